"""Point-spread functions: normalisation, centroid, centring, FWHM and Fourier transform."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from ..core.errors import InputError
from ..core.types import Psf
from ..core.units import FWHM_PER_SIGMA
from .psf_border import (
    LARGEST_BORDER_SHARE,
    LARGEST_SUM_ERROR,
    Pedestal,
    border_share,
    find_pedestal,
    sum_error,
)
from .psf_companion import Companion, find_companion

log = logging.getLogger(__name__)

CENTRING_TOLERANCE_PIXELS = 0.02
"""A centroid closer than this to the centre of a PSF pixel is not shifted; templates account for its offset exactly."""
WELL_SAMPLED_FWHM = 2.5
"""FWHM in PSF pixels below which sinc interpolation of a point source is wrong by 1 % of its peak or more."""
WINDOW_FWHM = 3.0
"""FWHM of the window of the centroid over that of the PSF. With it the centres of three IRAC PSFs sampled at 0.1" and,
binned, at 0.6" agree to 0.004", with a window of 1.5 FWHM to 0.009": the pixels make the core of the PSF wider."""
MIN_SIDE = 3
"""Fewest pixels of a PSF along each axis."""
LARGEST_SUM = 1.05
"""Largest sum that a PSF with a given sum may have: no stamp holds more than all of the light, up to its own errors."""


@dataclass(frozen=True)
class PsfFindings:
    """What is odd about a PSF, though it can be used.

    Parameters
    ----------
    centre : (y, x) or None
        The centroid, 0-based, where it is more than a pixel from the middle of the array.
    pedestal : Pedestal or None
        In the units of the file.
    border_share : float or None
        Fraction of the light in the outermost pixels, where it is so much that light beyond the stamp is missing.
    companion : Companion or None
        A second peak.
    sum_error : float or None
        Error of the sum from the noise of the pixels, as a fraction of it, where it is large.
    """

    centre: tuple[float, float] | None = None
    pedestal: Pedestal | None = None
    border_share: float | None = None
    companion: Companion | None = None
    sum_error: float | None = None


def prepare_psf(
    data: np.ndarray,
    *,
    oversampling: float = 1.0,
    kind: str = "effective",
    total: str = "unit",
    position: str = "centroid",
    name: str = "PSF",
) -> Psf:
    """Return a PSF image as a PSF centred on a pixel of an odd array; what is odd about it is logged as a warning.

    Parameters
    ----------
    data : array (ny, nx)
        PSF of any size, sum and centre; all pixels are finite.
    oversampling : float
        Number of PSF pixels per image pixel along each axis.
    kind : {"effective", "optical"}
        Whether the response of the image pixel is included in the PSF.
    total : {"unit", "given"}
        Whether the PSF gets a sum of 1 or keeps its own, the fraction of a point source's light that the stamp holds.
    position : {"centroid", "given"}
        What is placed on the position of a source: the centroid of the PSF, or the middle of its array. That is the
        central pixel along an odd side, and the edge between the two central pixels along an even side.
    name : str
        Name of the PSF for messages.

    Raises
    ------
    InputError
        A side is shorter than `MIN_SIDE`, a pixel is not finite, the sum or the peak is not positive, or a sum to be
        kept is above `LARGEST_SUM`.
    """
    psf, findings = examined_psf(data, oversampling, kind, total, position, name)
    if findings.pedestal is not None:
        log.warning("%s: near the border of the stamp the PSF does not fall as the wings of a PSF do: a pedestal of "
                    "about %.2g a pixel holds %.1f %% of its sum, and the fluxes are wrong by about as much; subtract "
                    "it from the file.", name, findings.pedestal.level, 100 * findings.pedestal.share)  # fmt: skip
    if findings.companion is not None:
        (y, x), height = findings.companion.place, findings.companion.height
        log.warning("%s: the PSF has a second peak of %.0f %% of the first at x=%d y=%d (1-based), as of a neighbour "
                    "of the star from which it was made, and the fluxes are wrong; remove it from the file.",
                    name, 100 * height, x + 1, y + 1)  # fmt: skip
    if findings.border_share is not None:
        log.warning("%s: the outermost pixels of the PSF hold %.0f %% of its light: the stamp is too small, and the "
                    "fluxes lack what lies beyond it; give a larger one, or psf_sum: given with the true sum.",
                    name, 100 * findings.border_share)  # fmt: skip
    if findings.sum_error is not None:
        log.warning("%s: the pixels of the PSF are so noisy that their sum, and all fluxes, may be wrong by %.0f %%; "
                    "set those far from the centre to 0, or fit a profile to them.", name,
                    100 * findings.sum_error)  # fmt: skip
    if findings.centre is not None:
        log.warning("%s: the centroid at x=%.2f y=%.2f (1-based) is more than a pixel from the middle of the array; "
                    "it is taken as the position of the source. If the middle is meant, set psf_centre: given.",
                    name, findings.centre[1] + 1, findings.centre[0] + 1)  # fmt: skip
    return psf


def examined_psf(
    data: np.ndarray, oversampling: float, kind: str, total: str, position: str, name: str
) -> tuple[Psf, PsfFindings]:
    """Return the result of `prepare_psf`, and what is odd about the PSF.

    Parameters
    ----------
    data, oversampling, kind, total, position, name
        As in `prepare_psf`.

    Raises
    ------
    InputError
        As in `prepare_psf`.
    """
    _check_finite(data, name)
    if min(data.shape) < MIN_SIDE:
        raise InputError(
            f"{name} has {data.shape[1]} x {data.shape[0]} pixels; expected at least {MIN_SIDE} along each axis. Name "
            "another file or extension."
        )
    data = np.array(data, dtype=np.float64)
    original_sum = float(data.sum())
    _check_sum(original_sum, float(data.max()), total, name)
    data /= original_sum
    middle = ((data.shape[0] - 1) / 2, (data.shape[1] - 1) / 2)
    centre = middle if position == "given" else centroid(data)
    _check_centre(centre, data.shape, name)
    pedestal = find_pedestal(data, centre)
    off_middle = max(abs(centre[0] - middle[0]), abs(centre[1] - middle[1])) > 1.0
    share = border_share(data) if pedestal is None and total == "unit" else 0.0
    noise = sum_error(data, centre)
    findings = PsfFindings(
        centre if off_middle else None,
        None if pedestal is None else replace(pedestal, level=pedestal.level * original_sum),
        share if share > LARGEST_BORDER_SHARE else None,
        find_companion(data, centre, _fwhm(data, centre)),
        noise if noise > LARGEST_SUM_ERROR and share <= LARGEST_BORDER_SHARE else None,
    )
    nearest = tuple(round(c) for c in centre)
    offset = max(abs(centre[0] - nearest[0]), abs(centre[1] - nearest[1]))
    if offset > CENTRING_TOLERANCE_PIXELS:
        data = fourier_shift(data, nearest[0] - centre[0], nearest[1] - centre[1])
    data = _padded_around(data, nearest)
    middle_pixel = tuple(side // 2 for side in data.shape)
    if offset <= CENTRING_TOLERANCE_PIXELS:
        centred = (middle_pixel[0] + centre[0] - nearest[0], middle_pixel[1] + centre[1] - nearest[1])
    else:
        centred = (float(middle_pixel[0]), float(middle_pixel[1]))
    kept_sum = original_sum if total == "given" else 1.0
    return Psf(data * (kept_sum / data.sum()), centred, oversampling, kind, original_sum), findings


def of_one_shape(psfs: Sequence[Psf]) -> tuple[Psf, ...]:
    """Return PSFs with odd sides, each padded with zeros around its middle pixel to the shape of the largest one."""
    ny, nx = (max(psf.data.shape[axis] for psf in psfs) for axis in (0, 1))
    padded = []
    for psf in psfs:
        dy, dx = (ny - psf.data.shape[0]) // 2, (nx - psf.data.shape[1]) // 2
        data, centre = np.pad(psf.data, ((dy, dy), (dx, dx))), (psf.centre[0] + dy, psf.centre[1] + dx)
        padded.append(replace(psf, data=data, centre=centre))
    return tuple(padded)


def _check_finite(data: np.ndarray, name: str) -> None:
    unknown = int(np.count_nonzero(~np.isfinite(data)))
    if unknown:
        raise InputError(
            f"{name} has {unknown} of {data.size} pixels that are not finite. Fill them: 0 is right only where the PSF "
            "has no light."
        )


def _check_sum(original_sum: float, peak: float, total: str, name: str) -> None:
    if not original_sum > 0 or not peak > 0:
        raise InputError(f"{name} has the sum {original_sum:g}; expected a positive PSF. Give another file.")
    if total == "given" and original_sum > LARGEST_SUM:
        raise InputError(
            f"{name} has the sum {original_sum:.4g}; with psf_sum: given it is the fraction of the light that the "
            f"stamp holds, at most {LARGEST_SUM:g}. Divide the PSF by its total light, or set psf_sum: unit."
        )


def _check_centre(centre: tuple[float, float], shape: tuple[int, ...], name: str) -> None:
    """Refuse a PSF whose centroid moves off the array, as that of noise does."""
    if not all(-0.5 <= c <= n - 0.5 for c, n in zip(centre, shape, strict=True)):
        raise InputError(
            f"{name} has no peak on which its light is centred; expected a PSF. Give another file or extension, or set "
            "psf_centre: given if the middle of the array is the position of the source."
        )


def centroid(data: np.ndarray, *, iterations: int = 100) -> tuple[float, float]:
    """Return the centroid (y, x) in a Gaussian window, iterated as the windowed position of SExtractor (XWIN_IMAGE).

    The FWHM of the window is `WINDOW_FWHM` times that of the PSF, so that the centre does not depend on the sampling.
    Unlike the plain centroid it is not biased by noise or by truncated wings. NaN if there is no light in the window.
    """
    y, x = (float(c) for c in np.unravel_index(np.argmax(data), data.shape))
    sigma = WINDOW_FWHM * _fwhm(data, (y, x)) / FWHM_PER_SIGMA
    # the exact step for a Gaussian PSF, whose light in the window is narrower than the PSF
    step = 1.0 + WINDOW_FWHM**-2
    rows, columns = np.indices(data.shape)
    for _ in range(iterations):
        window = data * np.exp(-((rows - y) ** 2 + (columns - x) ** 2) / (2 * sigma**2))
        total = window.sum()
        if not total > 0:
            return np.nan, np.nan
        dy, dx = step * ((rows - y) * window).sum() / total, step * ((columns - x) * window).sum() / total
        y, x = float(y + dy), float(x + dx)
        if abs(dy) + abs(dx) < 1e-9:
            break
    return y, x


def psf_half_light_radius(data: np.ndarray, y: float, x: float) -> float:
    """Return the radius in pixels of the circle that contains half of the flux of a PSF.

    Parameters
    ----------
    data : array (ny, nx)
    y, x : float
        Centre of the circle, 0-based.
    """
    rows, columns = np.indices(data.shape)
    radius = np.hypot(rows - y, columns - x).ravel()
    order = np.argsort(radius, kind="stable")
    growth = np.cumsum(data.ravel()[order])
    return float(radius[order][np.searchsorted(growth, 0.5 * growth[-1])])


def fourier_shift(data: np.ndarray, dy: float, dx: float) -> np.ndarray:
    """Return an image shifted by a fraction of a pixel with a phase in Fourier space.

    Parameters
    ----------
    data : array (ny, nx)
        Padded with zeros at its edges for the shift.
    dy, dx : float
        Shift in pixels.
    """
    padded = np.pad(data, 8)
    ky, kx = np.fft.fftfreq(padded.shape[0])[:, None], np.fft.fftfreq(padded.shape[1])[None, :]
    phase = np.exp(-2j * np.pi * (ky * dy + kx * dx))
    return np.fft.ifft2(np.fft.fft2(padded) * phase).real[8:-8, 8:-8]


def _padded_around(data: np.ndarray, centre: tuple[int, ...]) -> np.ndarray:
    """Pad the array with zeros so that its sides are odd and `centre` is the middle pixel."""
    half = [max(c, side - 1 - c) for c, side in zip(centre, data.shape, strict=True)]
    pads = [(h - c, h - (side - 1 - c)) for h, c, side in zip(half, centre, data.shape, strict=True)]
    return np.pad(data, pads)


def fwhm(psf: Psf) -> float:
    """Return the FWHM in PSF pixels: the diameter of a circle with the area above half of the peak, resampled × 8.

    The finer a PSF is sampled, the less it is resampled.
    """
    return _fwhm(psf.data, psf.centre)


def _fwhm(data: np.ndarray, centre: tuple[float, float]) -> float:
    row, column = (round(c) for c in centre)
    half, factor = 16, 8
    while True:
        core = data[max(row - half, 0) : row + half + 1, max(column - half, 0) : column + half + 1]
        fine = upsampled(core, factor)
        area = np.count_nonzero(fine > 0.5 * fine.max()) / factor**2
        if area <= 0.25 * core.size:
            return float(2.0 * np.sqrt(area / np.pi))
        if half >= max(data.shape):  # broader than its stamp: use a Gaussian of the same half-light radius
            return FWHM_PER_SIGMA * psf_half_light_radius(data, *centre) / np.sqrt(2 * np.log(2))
        half, factor = 2 * half, max(1, factor // 2)


def upsampled(data: np.ndarray, factor: int) -> np.ndarray:
    """Return `data` on pixels smaller by an integer factor, by band-limited interpolation."""
    ny, nx = data.shape
    spectrum = np.fft.fftshift(np.fft.fft2(np.pad(data, 4)))
    fine = np.zeros(((ny + 8) * factor, (nx + 8) * factor), dtype=complex)
    y0, x0 = fine.shape[0] // 2 - spectrum.shape[0] // 2, fine.shape[1] // 2 - spectrum.shape[1] // 2
    fine[y0 : y0 + spectrum.shape[0], x0 : x0 + spectrum.shape[1]] = spectrum
    return np.fft.ifft2(np.fft.ifftshift(fine)).real * factor**2


def transform(psf: Psf, ky: np.ndarray, kx: np.ndarray) -> np.ndarray:
    """Return the Fourier transform of the PSF, including the pixel of the image, about the centre of the PSF.

    Parameters
    ----------
    psf : Psf
    ky, kx : arrays (my,), (mx,)
        Frequencies in cycles per *image* pixel.

    Returns
    -------
    array (my, mx), complex
        The sum of the PSF at zero frequency, 0 beyond the Nyquist frequency of the PSF pixels. An optical PSF is
        multiplied by the transform of the square image pixel, which an effective PSF already includes.
    """
    over = psf.oversampling
    y, x = (np.arange(side) - c for side, c in zip(psf.data.shape, psf.centre, strict=True))
    along_y = np.exp(-2j * np.pi * np.outer(ky / over, y))
    along_x = np.exp(-2j * np.pi * np.outer(x, kx / over))
    result = along_y @ psf.data @ along_x
    if psf.kind == "optical":
        result = result * np.sinc(ky)[:, None] * np.sinc(kx)[None, :]
    result[np.abs(ky) > over / 2, :] = 0.0
    result[:, np.abs(kx) > over / 2] = 0.0
    return result


def band_limit(psf: Psf, tolerance: float = 1e-4) -> int:
    """Return the highest frequency of the PSF in units of the Nyquist frequency of the image, rounded up.

    It is 1 if the image samples the PSF fully; otherwise the pixels of the image alias the higher frequencies. Those
    where the transform is below `tolerance` are ignored.
    """
    limit = max(1, int(np.ceil(psf.oversampling)))
    if limit == 1:
        return 1
    k = np.linspace(-limit / 2, limit / 2, 64 * limit + 1)
    power = np.abs(transform(psf, k, k))
    for factor in range(1, limit):
        beyond = (np.abs(k)[:, None] > factor / 2) | (np.abs(k)[None, :] > factor / 2)
        if power[beyond].max() < tolerance:
            return factor
    return limit
