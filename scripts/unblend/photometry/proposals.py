"""Regions that a user may want: sources beyond the detection image, artefacts that no source explains.

Both are found on what the models leave of a band's image, the user's own regions ignored: a proposal stays the same
when it has been saved under its final name.
"""

from __future__ import annotations

import numpy as np

from ..core.statistics import robust_sigma
from ..core.units import FWHM_PER_SIGMA

BORDER_SIGMA = 4.0
"""Of the image smoothed by the PSF: fainter sources beyond the detection image matter to nobody inside."""
ARTEFACT_SIGMA, WINGS_SIGMA = 8.0, 4.0
"""Peak of an artefact in single pixels, and how far down its outline reaches."""
MISMATCH = 0.3
"""Fraction of the models' light that a fit may leave: cores, arms and colours that a Sersic profile does not have."""
ELONGATED = 3.0
"""Ratio of axes from which something is a trail and no source."""

FOUND_DTYPE = np.dtype([("y", "f8"), ("x", "f8"), ("a", "f8"), ("b", "f8"), ("theta", "f8"), ("peak", "f8")])
"""y, x 0-based; semi-axes in pixels, `theta` in degrees from x counter-clockwise; `peak` in sigma."""


def border_sources(left: np.ndarray, noise: np.ndarray, inside: np.ndarray, fwhm_pixels: float) -> np.ndarray:
    """Return the sources whose centre lies beyond the detection image, brightest first, as circles (a = b).

    Parameters
    ----------
    left : array (ny, nx)
        The band's image less background and models; NaN where nothing was observed.
    noise : array (ny, nx)
        Rms of its pixels, up to a factor.
    inside : bool array (ny, nx)
        True on the detection image; see `masks.covered`.
    fwhm_pixels : float
        Of the band's PSF. A circle reaches half of it beyond the pixels above the threshold.
    """
    from scipy.ndimage import gaussian_filter

    snr = _in_sigma(gaussian_filter(_in_sigma(left / noise), fwhm_pixels / FWHM_PER_SIGMA), np.isfinite(left))
    found, area = _clusters(snr, BORDER_SIGMA, max(5, round(0.5 * fwhm_pixels**2)))
    kept = ~inside[_pixels(found)]
    radius = np.sqrt(area[kept] / np.pi) + 0.5 * fwhm_pixels
    found = found[kept]
    found["a"] = found["b"] = radius
    return found[np.argsort(-found["peak"], kind="stable")]


def artefacts(
    left: np.ndarray,
    noise: np.ndarray,
    model: np.ndarray,
    *,
    inside: np.ndarray,
    segments: np.ndarray,
    fwhm_pixels: float,
) -> dict[str, np.ndarray]:
    """Return what no source explains, by kind, strongest first, as ellipses around it.

    "hole": negative; "trail": long and thin; "sharp": narrower than the PSF; "source?": none of these, on the detection
    image, where all sources should have been found. On a segment only trails and sharp ones count: the rest is what a
    profile leaves of its galaxy.

    Parameters
    ----------
    left, noise, inside, fwhm_pixels
        As for `border_sources`.
    model : array (ny, nx)
        Light of all models: what a fit leaves of it is no artefact, up to MISMATCH.
    segments : bool array (ny, nx)
        True on the segments of the detection image; see `masks.covered`.
    """
    scale = robust_sigma((left / noise)[np.isfinite(left)])
    snr = np.nan_to_num((left - np.nanmedian(left)) / np.hypot(noise * scale, MISMATCH * model))
    holes = _strong(-snr, fwhm_pixels)
    holes["peak"] *= -1.0
    holes = holes[~segments[_pixels(holes)]]
    bumps = _strong(snr, fwhm_pixels)
    trail = bumps["a"] > ELONGATED * bumps["b"]
    sharp = ~trail & _sharp(bumps, snr, fwhm_pixels)
    rest = ~trail & ~sharp & inside[_pixels(bumps)] & ~segments[_pixels(bumps)]
    return {"hole": holes, "trail": bumps[trail], "sharp": bumps[sharp], "source?": bumps[rest]}


def _strong(snr: np.ndarray, fwhm_pixels: float) -> np.ndarray:
    found, _ = _clusters(snr, WINGS_SIGMA, 1, contrast=1.0)  # a trail is one thing
    found = found[found["peak"] >= ARTEFACT_SIGMA]
    # An even line of length l has the rms length 0.29 l: twice that from its centre is all of it.
    for axis in ("a", "b"):
        found[axis] = 2.0 * found[axis] + max(1.0, 0.5 * fwhm_pixels)
    return found[np.argsort(-found["peak"], kind="stable")]


def _sharp(found: np.ndarray, snr: np.ndarray, fwhm_pixels: float) -> np.ndarray:
    """Whether smoothing by the PSF takes more from a peak than it takes from a point source (half)."""
    from scipy.ndimage import gaussian_filter

    sigma = fwhm_pixels / FWHM_PER_SIGMA
    pixel = np.zeros((1, 2 * int(4 * sigma) + 3))
    pixel[0, pixel.shape[1] // 2] = 1.0
    single = gaussian_filter(pixel, (0.0, sigma)).max() ** 2
    smoothed = gaussian_filter(snr, sigma)
    return smoothed[_pixels(found)] < 0.5 * (single + 0.5) * snr[_pixels(found)]


def _in_sigma(values: np.ndarray, known: np.ndarray | None = None) -> np.ndarray:
    """Return values less their median in units of their scatter; 0 where they are not known."""
    known = np.isfinite(values) if known is None else known
    return np.where(known, (values - np.median(values[known])) / robust_sigma(values[known]), 0.0)


def _clusters(
    snr: np.ndarray, threshold: float, min_area: int, *, contrast: float = 0.005
) -> tuple[np.ndarray, np.ndarray]:
    """Return what lies above a threshold and its areas in pixels; `contrast` 1 leaves blends as they are."""
    import sep

    sep.set_extract_pixstack(max(snr.size, 10_000))
    snr = np.ascontiguousarray(snr, dtype=float)
    objects = sep.extract(snr, threshold, minarea=min_area, filter_kernel=None, deblend_cont=contrast)
    found = np.zeros(len(objects), dtype=FOUND_DTYPE)
    for name in ("y", "x", "a", "b", "peak"):
        found[name] = objects[name]
    found["theta"] = np.rad2deg(objects["theta"])
    return found, objects["npix"]


def _pixels(found: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return np.rint(found["y"]).astype(int), np.rint(found["x"]).astype(int)
