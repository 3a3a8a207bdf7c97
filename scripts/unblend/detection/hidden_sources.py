"""The second detection: sources hidden in the segment of a brighter one, above the profile of that source.

A galaxy 0.9 arcsec from a star, or at the edge of a bright galaxy, is often part of its segment, because it is a small
fraction of the flux of the blend. It stands out once the bright source is subtracted: its median profile in elliptical
annuli, which does not depend on a model or a PSF. Knots, spiral arms, spikes and rings stand out, too. They are told
apart in four ways: the scatter in an annulus counts as noise; a source outshines the bright one at its place, where
knots shine on top of a disc (up to 2.5 times as bright in drawn spirals); it is compact, where arms are long; and
spikes, rings and arms have counterparts on other sides. In drawn fields 9 of 13 galaxies that shared a segment were
found, and nothing else.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from ..core.areas import extents
from ..core.statistics import robust_sigma
from ..core.strips import Canvas, Derived, Strip, Window, Workspace
from ..core.types import Box, WindowedImage
from ..core.units import FWHM_PER_SIGMA
from ..images.matched_filter import filter_reach, matched_filter, signal_variance
from .stack import Stack

ID_STEP = 10_000_000
"""The k-th source hidden in the segment of source i has the ID k × 10 000 000 + i, which no edit of others changes."""
MIN_CONTRAST = 3.0
"""Smallest ratio of a peak to the profile of the bright source at its place."""
STRUCTURE = 0.05
"""Noise as a fraction of the profile, at least."""
MIN_DISTANCE_FWHM = 1.5
"""Smallest distance from the centre of the bright source in FWHM; the profile is not known closer to the centre."""
MAX_EXTENT = 1.2
"""Largest ratio of the signal-to-noise ratios in a filter of twice the width and in the filter. It is 0.8 for a source
of the width of the filter, and was 0.8 to 0.9 for companions and 1.4 to 1.6 for pieces of spiral arms in HDF-S."""
STAR_LIGHT = 0.8
"""Smallest fraction of the light of a star within two FWHM of its centre. A spiral has less than half."""
CLEAR_CONTRAST, MAX_EXTENT_BESIDE_STAR = 8.0, 1.7
"""Beside a star, which has no arms, a source of this contrast may be wider: a galaxy with r_e = 0.2 arcsec had an
extent of 1.4 in a filter of 0.15 arcsec, and a contrast of 11."""
COUNTERPARTS_DEG = (60.0, 90.0, 120.0, 180.0, 240.0, 270.0, 300.0)
"""Angles around the bright source at which spikes, rings and arms repeat."""
COUNTERPART_FRACTION = 0.5
"""A peak with a counterpart of more than this fraction of its signal-to-noise ratio is not a source."""
SEGMENT_RADIUS_FWHM = 3.0
"""Largest radius of the segment of a hidden source, in FWHM."""
MIN_FWHM_PIXELS = 2.0
"""FWHM of the filter where the detection image is smoothed by less."""
MIN_ANNULUS_PIXELS = 8
"""Smallest number of pixels in an annulus of the profile."""
AWAY_PIXELS = 8.0
"""Distance from segments beyond which the noise of the filtered image is measured."""


@dataclass(frozen=True)
class HiddenSource:
    """A source hidden in the segment of a brighter one.

    Parameters
    ----------
    parent : int
        ID of the brighter source.
    y, x : int
        Pixel of its peak.
    snr : float
        Signal-to-noise ratio of the peak in the matched filter.
    box : Box
    pixels : bool array (ny, nx)
        The pixels in `box` that it takes from the segment of the brighter source.
    """

    parent: int
    y: int
    x: int
    snr: float
    box: Box
    pixels: np.ndarray


def find_hidden(
    stack: Stack,
    segments: WindowedImage,
    catalogue: np.ndarray,
    *,
    fwhm_pixels: float,
    min_snr: float,
    min_area: int,
    work: Workspace | None = None,
) -> list[HiddenSource]:
    """Return the sources hidden in the segments of brighter ones, in order of these, highest peak first.

    Parameters
    ----------
    stack : Stack
    segments : int image (ny, nx)
        0 = sky.
    catalogue : structured array
        Columns id, a, b, theta, snr of the sources in `segments`.
    fwhm_pixels : float
        FWHM of the Gaussian that smooths the detection image.
    min_snr : float
        Smallest signal-to-noise ratio of a peak.
    min_area : int
        Smallest area of a segment in pixels: a source with less than twice that hides none.
    work : Workspace, optional
    """
    work, fwhm = work or Workspace(), max(fwhm_pixels, MIN_FWHM_PIXELS)
    data, error = known_pixels(stack)
    factor = noise_factor(data, error, segments, fwhm, work)
    margin = math.ceil(SEGMENT_RADIUS_FWHM * fwhm)
    whole, found = Box.of_shape(segments.shape), []
    boxes = extents(segments, work).boxes()
    for row in catalogue:
        if int(row["id"]) not in boxes or row["snr"] < 2.0 * min_snr:
            continue
        box = boxes[int(row["id"])].grown(margin) & whole
        part = box.slices
        around = _Surroundings(data[part], error[part], segments[part], row, fwhm)
        if np.count_nonzero(around.own) < 2 * min_area or around.lacks_centre:
            continue
        for y, x, snr in around.peaks(min_snr, factor):
            pixels = around.segment(y, x, min_area)
            found.append(HiddenSource(int(row["id"]), y + box.y0, x + box.x0, snr, box, pixels))
    return found


def known_pixels(stack: Stack) -> tuple[WindowedImage, WindowedImage]:
    """Return the stack, 0 where it is not known, and its noise, infinite there."""

    def usable(window: Window) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        data, error = stack.data[window], stack.error[window]
        return np.isfinite(data) & np.isfinite(error) & (error > 0), data, error

    def data_in(window: Window) -> np.ndarray:
        known, data, _ = usable(window)
        return np.where(known, data, 0.0)

    def error_in(window: Window) -> np.ndarray:
        known, _, error = usable(window)
        return np.where(known, error, np.inf)

    return Derived(stack.data.shape, data_in), Derived(stack.data.shape, error_in)


def add_hidden(segments: WindowedImage, found: Sequence[HiddenSource], work: Workspace | None = None) -> Canvas:
    """Return the segmentation, int32, with segments of the hidden sources.

    Parameters
    ----------
    segments : int image (ny, nx)
        0 = sky; all IDs below `ID_STEP`.
    found : sequence of HiddenSource
        Numbered in this order; one that would leave the brighter source without pixels is not added.
    work : Workspace, optional
    """
    work = work or Workspace()
    result, counts = work.new(segments.shape, np.int32), dict.fromkeys((source.parent for source in found), 0)
    for strip in work.strips(segments.shape):
        result[strip.slices] = segments[strip.slices]
    known = extents(segments, work)
    left = dict(zip(known.ids.tolist(), known.area.tolist(), strict=True))
    for source in found:
        window = np.array(result[source.box.slices])
        taken = source.pixels & (window == source.parent)
        if not taken.any() or left[source.parent] == np.count_nonzero(taken):
            continue
        counts[source.parent] += 1
        left[source.parent] -= int(np.count_nonzero(taken))
        window[taken] = counts[source.parent] * ID_STEP + source.parent
        result[source.box.slices] = window
    return result


def noise_factor(
    data: WindowedImage,
    error: WindowedImage,
    segments: WindowedImage,
    fwhm_pixels: float,
    work: Workspace | None = None,
) -> float:
    """Return the scatter of the matched filter on empty sky, above 1 for correlated noise.

    Parameters
    ----------
    data, error : image (ny, nx)
        The stack and its noise, infinite where a pixel is ignored.
    segments : int image (ny, nx)
        0 = sky.
    fwhm_pixels : float
        FWHM of the filter.
    work : Workspace, optional
    """
    work, shape = work or Workspace(), segments.shape
    margin = max(math.ceil(AWAY_PIXELS) + 1, filter_reach(fwhm_pixels))
    noise = Derived(shape, lambda at: np.where(segments[at] == 0, error[at], np.inf))

    def empty(strip: Strip) -> np.ndarray:
        return _far_from(segments[strip.wide.slices] > 0)[strip.inside] & np.isfinite(noise[strip.slices])

    (sky,) = work.gather(shape, lambda strip: [empty(strip), data[strip.slices]], margin)
    if not sky.size:
        return 1.0
    level = float(np.median(sky))
    largest = max(
        float(signal_variance(noise[strip.wide.slices], fwhm_pixels)[strip.inside].max(initial=0.0))
        for strip in work.strips(shape, margin)
    )

    def filtered(strip: Strip) -> list[np.ndarray]:
        at = strip.wide.slices
        snr = matched_filter(data[at] - level, noise[at], fwhm_pixels, largest_variance=largest)
        return [empty(strip), snr[strip.inside]]

    return max(1.0, robust_sigma(work.gather(shape, filtered, margin)[0]))


def _far_from(sources: np.ndarray) -> np.ndarray:
    """Return the pixels farther than `AWAY_PIXELS` from any of a source."""
    from scipy.ndimage import distance_transform_edt

    if not sources.any():
        return np.ones(sources.shape, dtype=bool)
    return np.asarray(distance_transform_edt(~sources) > AWAY_PIXELS)


class _Surroundings:
    """A bright source in a window of the stack, its profile and what it leaves.

    Parameters
    ----------
    data, error, segments : array (ny, nx)
        Pixels with an infinite error are ignored.
    row : row of the catalogue
        Columns id, a, b, theta.
    fwhm_pixels : float
        FWHM of the filter.
    """

    def __init__(self, data: np.ndarray, error: np.ndarray, segments: np.ndarray, row: np.void, fwhm_pixels: float):
        from scipy.ndimage import gaussian_filter

        self.fwhm, self.own = fwhm_pixels, segments == row["id"]
        usable = np.isfinite(error) & (self.own | (segments == 0))
        smooth = np.where(self.own & usable, gaussian_filter(data, fwhm_pixels / FWHM_PER_SIGMA), -np.inf)
        row_of, column_of = np.unravel_index(int(np.argmax(smooth)), smooth.shape)
        self.centre = (int(row_of), int(column_of))
        self.error = np.where(usable, error, np.inf)
        radius = _elliptical_radius(segments.shape, self.centre, row)
        self.profile, scatter = _profile(data, radius, usable)
        self.residual = np.where(usable, data - self.profile, 0.0)
        structure = np.maximum(scatter, STRUCTURE * np.maximum(self.profile, 0.0))
        self.noise = np.where(usable, np.maximum(self.error, structure), np.inf)

    @property
    def lacks_centre(self) -> bool:
        """Whether pixels at the centre are missing, as in a saturated star: there is no profile without a centre."""
        return bool(np.any(_disc(self.own.shape, self.centre, self.fwhm) & self.own & ~np.isfinite(self.error)))

    @property
    def is_star(self) -> bool:
        """Whether nearly all light of the profile is at the centre."""
        light = np.where(self.own, np.maximum(self.profile, 0.0), 0.0)
        return bool(light[_disc(light.shape, self.centre, 2.0 * self.fwhm)].sum() >= STAR_LIGHT * light.sum())

    def peaks(self, min_snr: float, noise_factor: float) -> Iterator[tuple[int, int, float]]:
        """Yield pixel (y, x) and signal-to-noise ratio of the peaks that are sources, highest first."""
        from scipy.ndimage import maximum_filter, uniform_filter

        snr = matched_filter(self.residual, self.noise, self.fwhm) / noise_factor
        side = 2 * max(1, round(0.5 * self.fwhm)) + 1
        below = np.maximum(uniform_filter(self.profile, 3), np.where(np.isfinite(self.error), self.error, 0.0))
        candidates = (snr == maximum_filter(snr, side)) & (snr >= min_snr) & self.own
        light = uniform_filter(self.residual, 3)
        candidates &= light >= MIN_CONTRAST * below
        wide = self.is_star & (light >= CLEAR_CONTRAST * below)
        widest = np.where(wide, MAX_EXTENT_BESIDE_STAR, MAX_EXTENT)
        candidates &= matched_filter(self.residual, self.noise, 2.0 * self.fwhm) <= widest * noise_factor * snr
        candidates &= ~_disc(snr.shape, self.centre, MIN_DISTANCE_FWHM * self.fwhm)
        nearby = maximum_filter(snr, 3)
        for y, x in sorted(np.argwhere(candidates).tolist(), key=lambda peak: (-snr[tuple(peak)], peak)):
            if not self._has_counterpart(y, x, snr, nearby):
                yield y, x, float(snr[y, x])

    def _has_counterpart(self, y: int, x: int, snr: np.ndarray, nearby: np.ndarray) -> bool:
        """Return whether the residual is half as high at the same distance on another side of the bright source."""
        angles, (dy, dx) = np.deg2rad(COUNTERPARTS_DEG), (y - self.centre[0], x - self.centre[1])
        rows = np.rint(self.centre[0] + dy * np.cos(angles) + dx * np.sin(angles)).astype(int)
        columns = np.rint(self.centre[1] - dy * np.sin(angles) + dx * np.cos(angles)).astype(int)
        inside = (rows >= 0) & (rows < snr.shape[0]) & (columns >= 0) & (columns < snr.shape[1])
        rows, columns = rows[inside], columns[inside]
        usable = np.isfinite(self.error[rows, columns])
        return bool(np.any(nearby[rows, columns][usable] > COUNTERPART_FRACTION * snr[y, x]))

    def segment(self, y: int, x: int, min_area: int) -> np.ndarray:
        """Return the pixels (ny, nx) that the hidden source at (y, x) takes.

        Those are the connected pixels in which the residual exceeds both the profile and twice the noise, and a disc
        around the peak. The bright source keeps its centre.
        """
        from scipy.ndimage import label

        shape = self.own.shape
        bright = _disc(shape, (y, x), SEGMENT_RADIUS_FWHM * self.fwhm) & (self.residual > self.profile)
        bright &= self.residual > 2.0 * self.error
        small = _disc(shape, (y, x), max(0.5 * self.fwhm, math.sqrt(min_area / math.pi)))
        labels, _ = label(bright | small)
        core = _disc(shape, self.centre, 0.5 * self.fwhm)
        return np.asarray((labels == labels[y, x]) & self.own & ~core)


def _elliptical_radius(shape: tuple[int, int], centre: tuple[int, int], row: np.void) -> np.ndarray:
    """Return the semi-major axis in pixels of the ellipse through each pixel, with the axes of a catalogue row."""
    angle = math.radians(row["theta"])
    y, x = (np.indices(shape).T - np.array(centre)).T
    along, across = x * math.cos(angle) + y * math.sin(angle), y * math.cos(angle) - x * math.sin(angle)
    return np.asarray(np.hypot(along, across * row["a"] / row["b"]))


def _profile(data: np.ndarray, radius: np.ndarray, usable: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the median in annuli one pixel wide and the scatter about it, interpolated to every pixel."""
    order = np.argsort(radius[usable], kind="stable")
    radii, values = radius[usable][order], data[usable][order]
    edges = [0]
    while edges[-1] < radii.size:
        first = edges[-1]
        edges.append(max(int(np.searchsorted(radii, radii[first] + 1.0)), min(first + MIN_ANNULUS_PIXELS, radii.size)))
    annuli = [slice(first, last) for first, last in pairwise(edges)]
    middle = [float(np.median(radii[annulus])) for annulus in annuli]
    medians = [float(np.median(values[annulus])) for annulus in annuli]
    scatter = [robust_sigma(values[annulus]) for annulus in annuli]
    return np.interp(radius, middle, medians), np.interp(radius, middle, scatter)


def _disc(shape: tuple[int, int], centre: tuple[float, float], radius: float) -> np.ndarray:
    """Return the pixels (ny, nx) within a radius of a position (y, x), in pixels."""
    y, x = np.indices(shape)
    return np.asarray(np.hypot(y - centre[0], x - centre[1]) <= radius)
