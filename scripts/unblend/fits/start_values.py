"""Start values of a Sersic fit, from the moments of the light in a segment."""

from __future__ import annotations

import math

import numpy as np

from ..models.sersic import Sersic, intensity_from_flux

SIGMA_PER_R50 = 1.0 / math.sqrt(2.0 * math.log(2.0))
"""Standard deviation of a circular Gaussian divided by its half-light radius."""

START_N = 1.5
"""Every fit starts at this Sersic index, between an exponential disc and a de Vaucouleurs profile."""
PSF_R50_FACTOR = 1.3
"""r50² of the source is reduced by this multiple of r50² of the PSF. It would be 1 for Gaussians; with 1.3 the start
value of r_e is 1.04 ± 0.11 of the truth above S/N 100, for n = 0.7–4 and r_e = 1.2–5 pixels (with 1: 1.17 ± 0.14)."""
TOTAL_TO_SEGMENT_FLUX = 1.1
"""The total flux is taken as this multiple of the flux in the segment, typical of galaxies detected at 1.5 sigma."""


def half_light_radius_pixels(psf: np.ndarray) -> float:
    """Return the half-light radius in pixels of a circular source at the centre of the array `psf` (ny, nx)."""
    side_y, side_x = psf.shape
    y, x = np.mgrid[:side_y, :side_x]
    radius = np.hypot(y - (side_y - 1) / 2.0, x - (side_x - 1) / 2.0)
    return _half_light_radius(radius.ravel(), psf.ravel())


def start_values(data: np.ndarray, segment: np.ndarray, psf: np.ndarray) -> Sersic:
    """Return the start values of a Sersic fit, measured on the light in a segment.

    The centroid, axis ratio q and position angle come from the second moments after subtracting the variance of the
    PSF. The effective radius is √(r50² − 1.3 r50,PSF²)/√q, with the circularised half-light radius r50; n is 1.5.

    Parameters
    ----------
    data : array (ny, nx)
        Image minus the background level. Non-finite pixels are ignored.
    segment : bool array (ny, nx)
        True on the pixels of the source, at least one.
    psf : array (ny, nx)
        PSF centred in the array, with the same pixel size.

    Returns
    -------
    Sersic
        The position is in pixels of `data`. All values are finite and the flux is positive for any input: a segment
        without positive flux gets a tenth of the sum of its absolute values, and the size of its area.
    """
    y, x = (index.astype(float) for index in np.nonzero(segment))
    values = np.asarray(data, dtype=float)[segment]
    values = np.where(np.isfinite(values), values, 0.0)
    light = np.clip(values, 0.0, None)
    positive = light if light.sum() > 0 else np.ones_like(light)
    # Clipping negative noise would make the radius of a source of S/N 10 too large by a factor 1.6.
    profile_light = values if values.sum() > 0.5 * light.sum() else positive
    psf_r50 = half_light_radius_pixels(psf)
    centre_y, centre_x, theta, ratio = _moments(y, x, positive / positive.sum(), (SIGMA_PER_R50 * psf_r50) ** 2)
    along = (x - centre_x) * math.cos(theta) + (y - centre_y) * math.sin(theta)
    across = (y - centre_y) * math.cos(theta) - (x - centre_x) * math.sin(theta)
    r50 = _half_light_radius(np.hypot(along * math.sqrt(ratio), across / math.sqrt(ratio)), profile_light)
    floor = 0.3 * psf_r50
    r_e = math.sqrt(max(r50**2 - PSF_R50_FACTOR * psf_r50**2, floor**2)) / math.sqrt(ratio)
    flux = max(TOTAL_TO_SEGMENT_FLUX * float(values.sum()), 0.1 * float(np.abs(values).sum())) or 1.0
    ell = 1.0 - ratio
    return Sersic(
        centre_y,
        centre_x,
        (math.degrees(theta) + 90.0) % 180.0,
        ell,
        START_N,
        intensity_from_flux(START_N, r_e, ell, flux),
        r_e,
    )


def _moments(y: np.ndarray, x: np.ndarray, weights: np.ndarray, psf_variance: float) -> tuple[float, ...]:
    """Return the centroid (y, x), the angle of the major axis (radians from +x, ±π/2) and the intrinsic axis ratio."""
    centre_y, centre_x = float(weights @ y), float(weights @ x)
    dy, dx = y - centre_y, x - centre_x
    # 1/12 is the variance of a uniform distribution over one pixel.
    yy, xx, xy = float(weights @ dy**2) + 1 / 12, float(weights @ dx**2) + 1 / 12, float(weights @ (dx * dy))
    theta = 0.5 * math.atan2(2.0 * xy, xx - yy)
    mean, spread = 0.5 * (xx + yy), math.hypot(0.5 * (xx - yy), xy)
    # The segment truncates the wings of the PSF, so at most 0.8 of the minor-axis variance is subtracted.
    variance = min(psf_variance, 0.8 * (mean - spread))
    ratio = math.sqrt((mean - spread - variance) / (mean + spread - variance))
    return centre_y, centre_x, theta, min(max(ratio, 0.15), 0.95)


def _half_light_radius(radius: np.ndarray, light: np.ndarray) -> float:
    """Return the radius of the circle whose area is that of the innermost pixels that hold half of the light."""
    cumulative = np.cumsum(light[np.argsort(radius, kind="stable")])
    half = 0.5 * cumulative[-1]
    last = int(np.argmax(cumulative >= half))
    before = cumulative[last - 1] if last else 0.0
    step = cumulative[last] - before
    area = last + ((half - before) / step if step > 0 else 0.5)
    return max(math.sqrt(area / math.pi), 0.3)
