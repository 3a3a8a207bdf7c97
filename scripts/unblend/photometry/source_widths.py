"""The widths of bright sources in a band compared with those of their templates, to find a PSF of another image.

No source can be narrower in an image than its PSF, and a compact one is hardly wider. The usual mistakes are an
oversampled PSF without `psf_oversampling`, and the PSF of another band.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..core.statistics import robust_sigma
from ..core.types import Box, Template
from ..images.psf import upsampled
from .linear_system import LinearSolution, model_image

MIN_PEAK_SNR = 20.0
"""Least S/N of the brightest pixel of a source: noise then changes its width by 5 %."""
MIN_SOURCES, MAX_SOURCES = 3, 100
"""Fewest sources that are compared, and how many of the brightest are measured."""
MAX_OTHER_LIGHT = 0.1
"""Largest light of other sources at the peak, over the peak."""
COMPACT, VERY_COMPACT = 1.5, 1.25
"""Largest width of the template of a compact source, in FWHM of the PSF; and of one whose own size hardly matters, so
that the width of the PSF follows from its width."""
NARROW, WIDE = 0.8, 1.25
"""Limits of the median of the ratios of widths."""
ENOUGH, NARROWER, WIDER = 5, 0.85, 1.15
"""Fewest compact sources for closer limits, and these: in bands of HST, JWST, HSC and MUSE the medians of the widths of
the PSF are 0.91 to 1.02 of its own, and those of sources, also of drawn spirals, 0.97 to 1.04 of their templates'."""
SPIKE = 0.3
"""Height of a pixel over the median of its surroundings, and over the peak of a source, from which it is not light of
the sky: the interpolation to finer pixels would spread it over the source."""
SINGLE = 0.08
"""Median of the eight pixels around a single bright pixel, over it: 0.19 for a star with a FWHM of 1.5 pixels."""
HALF_SIZE = 8
"""Half the side in pixels of the first cutout in which a width is measured."""
FAR_WIDER = 1.6
"""Limit for sources of any size, if there are `ENOUGH`: models of most sources are not so much too small. No source is
compact beside a PSF that is several times too narrow."""
MIN_COVERAGE = 0.9
"""Least fraction of a template inside the image."""


@dataclass(frozen=True)
class WidthComparison:
    """Widths of bright sources.

    Parameters
    ----------
    ids : int array (k,)
    measured, expected : arrays (k,)
        FWHM of the source in the image and of its template, pixels.
    isolated : bool array (k,)
        Whether other sources contribute little light at the peak.
    fwhm : float
        Of the band's PSF, pixels.
    single : int
        Number of other bright sources that are single bright pixels.
    """

    ids: np.ndarray
    measured: np.ndarray
    expected: np.ndarray
    isolated: np.ndarray
    fwhm: float
    single: int = 0

    @property
    def agreement(self) -> tuple[float, float, int]:
        """Median of measured over expected widths of isolated sources, its error, and their number; NaN for too few."""
        ratio = (self.measured / self.expected)[self.isolated]
        if ratio.size < MIN_SOURCES:
            return np.nan, np.nan, int(ratio.size)
        # the error of a median is that of a mean times √(π/2)
        return float(np.median(ratio)), float(np.sqrt(0.5 * np.pi / ratio.size)) * robust_sigma(ratio), int(ratio.size)

    @property
    def contradiction(self) -> float | None:
        """How wide the sources are over what is expected, where it contradicts the PSF, otherwise None.

        It is the median of measured over expected widths; of very compact sources, if there are enough, that of the
        widths of the PSF: the own size of a source, which adds in quadrature, is that of its template. Neighbours make
        a source wider, never narrower.
        """
        ratio = self.measured / self.expected
        if ratio.size >= MIN_SOURCES and np.median(ratio) < NARROW:
            return float(np.median(ratio))
        size2 = self.expected**2 - self.fwhm**2
        of_psf = np.sqrt(np.maximum(self.measured**2 - size2, 0.0)) / self.fwhm
        for widths, largest in ((of_psf, VERY_COMPACT), (ratio, COMPACT)):
            compact = self.isolated & (self.expected < largest * self.fwhm)
            low, high = (NARROWER, WIDER) if compact.sum() >= ENOUGH else (NARROW, WIDE)
            if compact.sum() >= MIN_SOURCES and not low <= np.median(widths[compact]) <= high:
                return float(np.median(widths[compact]))
        if self.isolated.sum() >= ENOUGH and np.median(ratio[self.isolated]) > FAR_WIDER:
            return float(np.median(of_psf[self.isolated]))
        return None


def compare_widths(
    image: np.ndarray, weight: np.ndarray, templates: Sequence[Template], solution: LinearSolution, fwhm: float
) -> WidthComparison:
    """Return the widths of the bright sources of a band, and of their templates.

    Parameters
    ----------
    image, weight : arrays (ny, nx)
        The weight is the inverse variance, 0 where a pixel is masked: not where light was found to be unmodelled, which
        a wrong PSF leaves around every source.
    templates : sequence of Template
        In the order of the solution.
    solution : LinearSolution
    fwhm : float
        Of the band's PSF, pixels.
    """
    light = np.where(weight > 0, image - solution.background_image, np.nan)
    model = model_image(templates, solution.flux, image.shape)
    bright = [k for k in np.argsort(-solution.flux / solution.err) if solution.flux[k] > 0][:MAX_SOURCES]
    rows, single = [], 0
    for k in bright:
        peak = _peak(light, weight, templates[k])
        if peak is None or _has_spike(light, peak):
            continue
        if _is_spike(light, peak):
            single += 1
            continue
        measured, expected = _width(light, peak), _width(templates[k].data, _argmax(templates[k].data))
        if np.isfinite(measured + expected):
            others = model[peak] - solution.flux[k] * _at(templates[k], *peak)
            rows.append((solution.ids[k], measured, expected, abs(others) < MAX_OTHER_LIGHT * light[peak]))
    found = np.array(rows, dtype=float).reshape(-1, 4)
    return WidthComparison(found[:, 0].astype(int), found[:, 1], found[:, 2], found[:, 3] > 0, fwhm, single)


def spike_warning(found: WidthComparison, band: str) -> str | None:
    """Return a sentence for the user if several sources are single bright pixels, otherwise None."""
    if found.single < MIN_SOURCES:
        return None
    return (
        f"{band}: {found.single} of {found.single + found.ids.size} bright sources are single bright pixels, as cosmic "
        f"rays and hot pixels are; mask them (bad_regions, or 0 in the weight map) where they are not sources."
    )


def width_warning(found: WidthComparison, band: str, oversampling: float, pixel_arcsec: float) -> str | None:
    """Return a sentence for the user if the widths contradict the PSF, otherwise None.

    Parameters
    ----------
    found : WidthComparison
    band : str
    oversampling : float
        Of the PSF as given.
    pixel_arcsec : float
        Pixel of the band.
    """
    ratio = found.contradiction
    if ratio is None:
        return None
    k = int(np.argmin(np.abs(found.measured / found.expected - ratio)))
    measured, expected, fwhm = (value * pixel_arcsec for value in (found.measured[k], found.expected[k], found.fwhm))
    wide = "wide" if ratio < 1 else "narrow"
    factor = 1.0 / ratio if ratio < 1 else ratio
    return (
        f"{band}: the PSF (FWHM {fwhm:.2f} arcsec) is about {factor:.1f} times too {wide} for the bright sources of "
        f"the image (median of {found.ids.size}; source {found.ids[k]}: FWHM {measured:.2f} arcsec, expected "
        f"{expected:.2f}); check bands.{band}.psf and psf_oversampling, which is {oversampling:g} and would have to "
        f"be about {oversampling / ratio:.2g}."
    )


def _argmax(data: np.ndarray) -> tuple[int, int]:
    """Return the row and column of the largest finite value."""
    row, column = np.unravel_index(np.nanargmax(data), data.shape)
    return int(row), int(column)


def _peak(light: np.ndarray, weight: np.ndarray, template: Template) -> tuple[int, int] | None:
    """Return the brightest pixel near the peak of a template; None if it is too faint, masked or at the border."""
    if template.box.is_empty or template.coverage < MIN_COVERAGE or not template.data.max() > 0:
        return None
    y, x = _argmax(template.data)
    near = Box.around(y + template.box.y0, x + template.box.x0, 2)
    if near not in Box.of_shape(light.shape) or not np.isfinite(light[near.slices]).all():
        return None
    y, x = _argmax(light[near.slices])
    y, x = y + near.y0, x + near.x0
    return (y, x) if light[y, x] * np.sqrt(weight[y, x]) > MIN_PEAK_SNR else None


def _has_spike(light: np.ndarray, peak: tuple[int, int]) -> bool:
    """Return whether a single pixel near a source, such as a cosmic ray, is nearly as bright as its peak."""
    from scipy.ndimage import median_filter

    box = Box.around(*peak, HALF_SIZE) & Box.of_shape(light.shape)
    cutout = np.nan_to_num(light[box.slices])
    over = cutout - median_filter(cutout, size=3)
    y, x = peak[0] - box.y0, peak[1] - box.x0
    over[max(y - 1, 0) : y + 2, max(x - 1, 0) : x + 2] = 0.0
    return bool(over.max() > SPIKE * light[peak])


def _is_spike(light: np.ndarray, peak: tuple[int, int]) -> bool:
    """Return whether a peak is a single bright pixel, and not the image of a source."""
    near = light[(Box.around(*peak, 1) & Box.of_shape(light.shape)).slices]
    return bool(np.median(np.sort(near, axis=None)[:-1]) < SINGLE * light[peak])


def _at(template: Template, y: int, x: int) -> float:
    """Return the value of a template at a pixel of the band, 0 outside its box."""
    inside = Box(y, x, y + 1, x + 1) in template.box
    return float(template.data[y - template.box.y0, x - template.box.x0]) if inside else 0.0


def _width(data: np.ndarray, peak: tuple[int, int]) -> float:
    """Return the diameter of a circle with the area above half of a peak; NaN if a pixel within it is unknown."""
    from scipy.ndimage import label

    half, whole = HALF_SIZE, Box.of_shape(data.shape)
    while True:
        box = Box.around(*peak, half) & whole
        cutout = data[box.slices]
        factor = max(1, 8 * HALF_SIZE // half)
        fine = upsampled(np.nan_to_num(cutout), factor)
        # `upsampled` pads the cutout by 4 pixels
        top = tuple((4 + p - corner) * factor for p, corner in zip(peak, (box.y0, box.x0), strict=True))
        core = fine[top[0] - factor : top[0] + factor + 1, top[1] - factor : top[1] + factor + 1]
        row, column = _argmax(core)
        areas, _ = label(fine > 0.5 * core.max())
        inside = areas == areas[top[0] - factor + row, top[1] - factor + column]
        width = float(2.0 * np.sqrt(np.count_nonzero(inside) / np.pi) / factor)
        if width < 0.5 * half or box == whole:
            break
        half *= 2
    near = Box.around(*peak, 0.5 * width + 1.0) & whole
    return width if np.isfinite(data[near.slices]).all() else np.nan
