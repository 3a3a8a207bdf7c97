"""Proposed regions of a band: sources beyond the detection image, and artefacts.

Both are found on the residual of a band, without the user's own regions: a proposal therefore does not change after it
has been saved under its final name.
"""

from __future__ import annotations

import numpy as np

from ..core.statistics import median, robust_sigma
from ..core.units import FWHM_PER_SIGMA
from ..images.pixel_stack import set_pixel_stack

LARGEST_SNR = 1e6
"""S/N is cut at this: the moments of an image with values of 1e38, as of a file in another byte order, overflow."""
BORDER_SIGMA = 4.0
"""Detection threshold for sources beyond the detection image, in sigma of the image smoothed by the PSF: fainter ones
do not affect the fluxes of sources inside it."""
ARTEFACT_SIGMA, WINGS_SIGMA = 8.0, 4.0
"""Smallest peak of an artefact and the level of its outline, both in sigma of a single pixel."""
MISMATCH = 0.3
"""Fraction of the model light that a fit may leave as residual: cores, arms and colour gradients that a Sersic profile
cannot describe."""
TRAIL_AXIS_RATIO = 3.0
"""Ratio of major to minor axis above which an object is a trail and not a source."""

FOUND_DTYPE = np.dtype([("y", "f8"), ("x", "f8"), ("a", "f8"), ("b", "f8"), ("theta", "f8"), ("peak", "f8")])
"""Columns of a detection: y, x are 0-based, a and b are semi-axes in pixels, theta is in degrees from x
counter-clockwise, peak is in sigma."""


def border_sources(residual: np.ndarray, noise: np.ndarray, inside: np.ndarray, fwhm_pixels: float) -> np.ndarray:
    """Return the sources with a centre beyond the detection image as circles (a = b), brightest first.

    Parameters
    ----------
    residual : array (ny, nx)
        Image of the band minus background and models; NaN where nothing was observed.
    noise : array (ny, nx)
        Rms of its pixels, up to a factor.
    inside : bool array (ny, nx)
        True on the detection image; see `masks.covered`.
    fwhm_pixels : float
        FWHM of the band's PSF. A circle extends by half of it beyond the pixels above the threshold.

    Returns
    -------
    array of FOUND_DTYPE
    """
    from scipy.ndimage import gaussian_filter

    snr = _in_sigma(gaussian_filter(_in_sigma(residual / noise), fwhm_pixels / FWHM_PER_SIGMA), np.isfinite(residual))
    found, area = _clusters(snr, BORDER_SIGMA, max(5, round(0.5 * fwhm_pixels**2)))
    kept = ~inside[_pixels(found)]
    radius = np.sqrt(area[kept] / np.pi) + 0.5 * fwhm_pixels
    found = found[kept]
    found["a"] = found["b"] = radius
    return found[np.argsort(-found["peak"], kind="stable")]


def artefacts(
    residual: np.ndarray,
    noise: np.ndarray,
    model: np.ndarray,
    *,
    inside: np.ndarray,
    segments: np.ndarray,
    fwhm_pixels: float,
) -> dict[str, np.ndarray]:
    """Return residuals that do not belong to any source as ellipses, by kind, strongest first.

    The kinds are "hole" (negative), "trail" (long and thin), "sharp" (narrower than the PSF), and "source?" (anything
    else on the detection image, where all sources should have been detected). On segments only trails and sharp objects
    are returned, since other residuals there are misfits of a galaxy's profile.

    Parameters
    ----------
    residual, noise, inside, fwhm_pixels
        As for `border_sources`.
    model : array (ny, nx)
        Sum of all models: a residual of less than `MISMATCH` times the model is not an artefact.
    segments : bool array (ny, nx)
        True on the segments of the detection image; see `masks.covered`.

    Returns
    -------
    dict of kind to array of FOUND_DTYPE
    """
    known = np.isfinite(residual)
    scale = robust_sigma((residual / noise)[known])
    snr = np.nan_to_num((residual - median(residual[known])) / np.hypot(noise * scale, MISMATCH * model))
    holes = _strong(-snr, fwhm_pixels)
    holes["peak"] *= -1.0
    holes = holes[~segments[_pixels(holes)]]
    bumps = _strong(snr, fwhm_pixels)
    trail = bumps["a"] > TRAIL_AXIS_RATIO * bumps["b"]
    sharp = ~trail & _sharp(bumps, snr, fwhm_pixels)
    rest = ~trail & ~sharp & inside[_pixels(bumps)] & ~segments[_pixels(bumps)]
    return {"hole": holes, "trail": bumps[trail], "sharp": bumps[sharp], "source?": bumps[rest]}


def _strong(snr: np.ndarray, fwhm_pixels: float) -> np.ndarray:
    """Return the detections with a peak above `ARTEFACT_SIGMA`, with ellipses around all of their pixels."""
    found, _ = _clusters(snr, WINGS_SIGMA, 1, contrast=1.0)  # without deblending: a trail is one object
    found = found[found["peak"] >= ARTEFACT_SIGMA]
    # A uniform line of length l has an rms length of 0.29 l: twice that on either side of its centre covers it.
    for axis in ("a", "b"):
        found[axis] = 2.0 * found[axis] + max(1.0, 0.5 * fwhm_pixels)
    return found[np.argsort(-found["peak"], kind="stable")]


def _sharp(found: np.ndarray, snr: np.ndarray, fwhm_pixels: float) -> np.ndarray:
    """Return whether smoothing by the PSF lowers a peak by more than that of a point source (to one half)."""
    from scipy.ndimage import gaussian_filter

    sigma = fwhm_pixels / FWHM_PER_SIGMA
    pixel = np.zeros((1, 2 * int(4 * sigma) + 3))
    pixel[0, pixel.shape[1] // 2] = 1.0
    single = gaussian_filter(pixel, (0.0, sigma)).max() ** 2
    smoothed = gaussian_filter(snr, sigma)
    return smoothed[_pixels(found)] < 0.5 * (single + 0.5) * snr[_pixels(found)]


def _in_sigma(values: np.ndarray, known: np.ndarray | None = None) -> np.ndarray:
    """Return the values minus their median in units of their scatter; 0 where they are not known."""
    known = np.isfinite(values) if known is None else known
    return np.where(known, (values - median(values[known])) / robust_sigma(values[known]), 0.0)


def _clusters(
    snr: np.ndarray, threshold: float, min_area: int, *, contrast: float = 0.005
) -> tuple[np.ndarray, np.ndarray]:
    """Return the detections above a threshold and their areas in pixels; with a `contrast` of 1 blends stay blended."""
    import sep

    set_pixel_stack(snr, threshold, deblends=contrast < 1.0)
    snr = np.ascontiguousarray(np.clip(snr, -LARGEST_SNR, LARGEST_SNR), dtype=float)
    objects = sep.extract(snr, threshold, minarea=min_area, filter_kernel=None, deblend_cont=contrast)
    found = np.zeros(len(objects), dtype=FOUND_DTYPE)
    for name in ("y", "x", "a", "b", "peak"):
        found[name] = objects[name]
    found["theta"] = np.rad2deg(objects["theta"])
    return found, objects["npix"]


def _pixels(found: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the rows and columns of the pixels that contain the centres."""
    return np.rint(found["y"]).astype(int), np.rint(found["x"]).astype(int)
