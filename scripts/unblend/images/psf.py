"""Point-spread functions: unit sum, measured centre, centred by a Fourier shift, transforms at any frequency."""

from __future__ import annotations

import logging

import numpy as np

from ..core.errors import InputError
from ..core.nouns import Psf
from ..core.units import FWHM_PER_SIGMA

log = logging.getLogger(__name__)

CENTRED_WITHIN = 0.02
"""PSF pixels: a centroid closer to a pixel's centre than this is left alone; its offset goes into the phase."""
WELL_SAMPLED_FWHM = 2.5
"""PSF pixels: below it a point source between pixels is wrong by 1 % of its peak or more (sinc interpolation)."""


def prepare_psf(data: np.ndarray, *, oversampling: float = 1.0, kind: str = "effective", name: str = "PSF") -> Psf:
    """Return `data` (any size, any sum, any centre) as a PSF of unit sum, centred on a pixel of an odd array.

    Raises
    ------
    InputError
        A sum that is not positive, or no peak: nothing can be convolved with it.
    """
    data = np.where(np.isfinite(data), data, 0.0).astype(np.float64)
    original_sum = float(data.sum())
    if not original_sum > 0 or not data.max() > 0:
        raise InputError(f"{name} has the sum {original_sum:g}: expected a positive PSF; give another file.")
    data /= original_sum
    centre = centroid(data)
    nearest = tuple(round(c) for c in centre)
    offset = max(abs(centre[0] - nearest[0]), abs(centre[1] - nearest[1]))
    middle = tuple((side - 1) / 2 for side in data.shape)
    if max(abs(centre[0] - middle[0]), abs(centre[1] - middle[1])) > 1.0:
        log.warning("%s: the centroid is at x=%.2f y=%.2f (1-based), more than a pixel off the middle of the array; "
                    "it is taken as the position of the source.", name, centre[1] + 1, centre[0] + 1)  # fmt: skip
    if offset > CENTRED_WITHIN:
        data = fourier_shift(data, nearest[0] - centre[0], nearest[1] - centre[1])
    data = _odd_around(data, nearest)
    middle_pixel = tuple(side // 2 for side in data.shape)
    if offset <= CENTRED_WITHIN:
        centred = (middle_pixel[0] + centre[0] - nearest[0], middle_pixel[1] + centre[1] - nearest[1])
    else:
        centred = (float(middle_pixel[0]), float(middle_pixel[1]))
    return Psf(data / data.sum(), centred, oversampling, kind, original_sum)


def centroid(data: np.ndarray, *, iterations: int = 50) -> tuple[float, float]:
    """Return the windowed centroid (y, x): a Gaussian window of 3 pixels or the half-light radius, iterated.

    The windowed position of SExtractor (Bertin, XWIN_IMAGE). Unlike the plain one it does not follow noise or
    cut wings.
    """
    y, x = (float(c) for c in np.unravel_index(np.argmax(data), data.shape))
    sigma = max(3.0, psf_half_light_radius(data, y, x))
    rows, columns = np.indices(data.shape)
    for _ in range(iterations):
        window = data * np.exp(-((rows - y) ** 2 + (columns - x) ** 2) / (2 * sigma**2))
        total = window.sum()
        dy, dx = 2 * ((rows - y) * window).sum() / total, 2 * ((columns - x) * window).sum() / total
        y, x = float(y + dy), float(x + dx)
        if abs(dy) + abs(dx) < 1e-9:
            break
    return y, x


def psf_half_light_radius(data: np.ndarray, y: float, x: float) -> float:
    """Return the radius in pixels around (y, x) that holds half of the array's sum."""
    rows, columns = np.indices(data.shape)
    radius = np.hypot(rows - y, columns - x).ravel()
    order = np.argsort(radius, kind="stable")
    growth = np.cumsum(data.ravel()[order])
    return float(radius[order][np.searchsorted(growth, 0.5 * growth[-1])])


def fourier_shift(data: np.ndarray, dy: float, dx: float) -> np.ndarray:
    """Return `data` moved by (dy, dx) pixels by a phase in Fourier space, the array's edge padded with zeros."""
    padded = np.pad(data, 8)
    ky, kx = np.fft.fftfreq(padded.shape[0])[:, None], np.fft.fftfreq(padded.shape[1])[None, :]
    phase = np.exp(-2j * np.pi * (ky * dy + kx * dx))
    return np.fft.ifft2(np.fft.fft2(padded) * phase).real[8:-8, 8:-8]


def _odd_around(data: np.ndarray, centre: tuple[int, ...]) -> np.ndarray:
    """Pad with zeros so that `centre` is the middle pixel of an odd array; no light is cut."""
    half = [max(c, side - 1 - c) for c, side in zip(centre, data.shape, strict=True)]
    pads = [(h - c, h - (side - 1 - c)) for h, c, side in zip(half, centre, data.shape, strict=True)]
    return np.pad(data, pads)


def fwhm(psf: Psf) -> float:
    """Return the FWHM in PSF pixels: of the circle whose area is that above half of the peak, resampled × 8."""
    half = min(16, min(psf.data.shape) // 2)
    row, column = (round(c) for c in psf.centre)
    core = psf.data[max(row - half, 0) : row + half + 1, max(column - half, 0) : column + half + 1]
    fine = _upsampled(core, 8)
    area = np.count_nonzero(fine > 0.5 * fine.max()) / 64.0
    if area > 0.5 * core.size:  # broader than the core that was cut: the Gaussian of the same half-light radius
        return FWHM_PER_SIGMA * psf_half_light_radius(psf.data, *psf.centre) / np.sqrt(2 * np.log(2))
    return float(2.0 * np.sqrt(area / np.pi))


def _upsampled(data: np.ndarray, factor: int) -> np.ndarray:
    """Band-limited interpolation by a whole factor."""
    ny, nx = data.shape
    spectrum = np.fft.fftshift(np.fft.fft2(np.pad(data, 4)))
    fine = np.zeros(((ny + 8) * factor, (nx + 8) * factor), dtype=complex)
    y0, x0 = fine.shape[0] // 2 - spectrum.shape[0] // 2, fine.shape[1] // 2 - spectrum.shape[1] // 2
    fine[y0 : y0 + spectrum.shape[0], x0 : x0 + spectrum.shape[1]] = spectrum
    return np.fft.ifft2(np.fft.ifftshift(fine)).real * factor**2


def transform(psf: Psf, ky: np.ndarray, kx: np.ndarray) -> np.ndarray:
    """Return the Fourier transform of the PSF, as an image pixel sees it, about its own centre.

    Parameters
    ----------
    psf : Psf
    ky, kx : arrays (my,), (mx,)
        Frequencies in cycles per *image* pixel. Those that the PSF's sampling cannot hold are zero.

    Returns
    -------
    array (my, mx), complex
        1 at zero frequency. An optical PSF is multiplied by the transform of the image's square pixel; an
        effective one holds it already.
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
    """Return how many times the image's Nyquist frequency the PSF reaches: 1 when the image samples it fully.

    Light beyond it is aliased by the image's pixels. Frequencies where the transform is below `tolerance` are left out.
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
