"""The Sersic profile in numbers, and start values for its fit from the moments of a segment.

Intensity at the elliptical radius r: I(r) = I_e exp(−b_n [(r / r_e)^(1/n) − 1]), half of the light inside r_e
(Sersic 1968; Graham & Driver 2005). Lengths in pixels of the detection image.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass

import numpy as np

SIGMA_PER_R50 = 1.0 / math.sqrt(2.0 * math.log(2.0))
"""Standard deviation of a round Gaussian over the radius that holds half its light."""

START_N = 1.5
PSF_SHARE = 1.3
"""How much of r50,PSF² comes off r50²: 1 would be right for Gaussians; 1.3 starts at 1.04 ± 0.11 of the true r_e
above S/N 100 over n 0.7 … 4 and r_e 1.2 … 5 pixels (1 starts at 1.17 ± 0.14)."""
SEGMENT_LIGHT = 1.1
"""Total light over the light inside the segment, typical of galaxies cut at 1.5 sigma."""


@dataclass(frozen=True)
class Sersic:
    """One Sersic profile on the detection image.

    Parameters
    ----------
    y, x : float
        Centre, 0-based pixels.
    pa : float
        Position angle of the major axis, degrees counter-clockwise from +y (IMFIT's convention).
    ell : float
        Ellipticity 1 − b/a.
    n : float
        Sersic index.
    i_e : float
        Surface brightness at r_e, image units per pixel.
    r_e : float
        Semi-major axis of the ellipse that holds half the light, pixels.
    """

    y: float
    x: float
    pa: float
    ell: float
    n: float
    i_e: float
    r_e: float

    @property
    def total_flux(self) -> float:
        """Light out to infinity, image units."""
        return total_flux(self.n, self.r_e, self.ell, self.i_e)


@functools.lru_cache(maxsize=4096)
def b_n(n: float, share: float = 0.5) -> float:
    """Return the b that puts half the light inside r_e: P(2n, b) = 1/2, good to 1e-13; NaN unless n is positive.

    With a larger `share`, P(2n, b) = share, and that much light is inside (b / b_n)^n r_e (0.999: good to 1e-11).
    Newton's method, from below on what is concave; Ciotti & Bertin's (1999) expansion for the half is its start.
    `scipy.special` has the function; importing it costs a job as much processor time as two fits.
    """
    if not n > 0:
        return math.nan
    a = 2.0 * n
    b = a - 1.0 / 3.0 + 8.0 / (405.0 * a) if n > 0.3 else math.exp((math.lgamma(a + 1.0) + math.log(share)) / a)
    for _ in range(50):
        term = total = 1.0 / a
        k = a
        while term > 1e-17 * total:
            k += 1.0
            term *= b / k
            total += term
        # P = x^a e^-x / Gamma(a) (1/a + x / a(a+1) + ...), and its derivative is that factor over x
        density = math.exp(a * math.log(b) - b - math.lgamma(a))
        step = b * (total - share / density)
        b -= step
        # each step squares the error
        if abs(step) < 1e-8 * b:
            break
    return b


def k_n(n: float) -> float:
    """Return total light / (I_e r_e² (1 − ell)): 2π n e^b b^(−2n) Γ(2n) (Graham & Driver 2005, eq. 4)."""
    b = b_n(n)
    return 2.0 * math.pi * n * math.exp(b - 2.0 * n * math.log(b) + math.lgamma(2.0 * n))


def total_flux(n: float, r_e: float, ell: float, i_e: float) -> float:
    """Return the light out to infinity, in the units of `i_e` times pixels²."""
    return i_e * r_e**2 * (1.0 - ell) * k_n(n)


def intensity_from_flux(n: float, r_e: float, ell: float, flux: float) -> float:
    """Return the I_e of a profile of the given total flux."""
    return flux / (r_e**2 * (1.0 - ell) * k_n(n))


def half_light_radius_pixels(psf: np.ndarray) -> float:
    """Return the radius in pixels that holds half the light of a centred image of a round source."""
    side_y, side_x = psf.shape
    y, x = np.mgrid[:side_y, :side_x]
    radius = np.hypot(y - (side_y - 1) / 2.0, x - (side_x - 1) / 2.0)
    return _radius_of_half(radius.ravel(), psf.ravel())


def start_values(data: np.ndarray, segment: np.ndarray, psf: np.ndarray) -> Sersic:
    """Return the start of a Sersic fit from the light of a segment.

    Centroid, axis ratio and angle from the second moments less the PSF's variance; r_e from the circularised
    half-light radius r50 as √(r50² − 1.3 r50,PSF²)/√q; n = 1.5.

    Parameters
    ----------
    data : array (ny, nx)
        Image without sky. Non-finite pixels are ignored.
    segment : bool array (ny, nx)
        Pixels of the source; at least one is True.
    psf : array
        Centred PSF at the same pixel size.

    Returns
    -------
    Sersic
        Position in pixels of `data`. Finite and of positive flux for every input: a segment without positive
        light gets a tenth of its absolute values and the size of its area.
    """
    y, x = (index.astype(float) for index in np.nonzero(segment))
    values = np.asarray(data, dtype=float)[segment]
    values = np.where(np.isfinite(values), values, 0.0)
    light = np.clip(values, 0.0, None)
    positive = light if light.sum() > 0 else np.ones_like(light)
    # negative noise must count where it can: clipped, it makes a source of S/N 10 1.6 times too large
    growth = values if values.sum() > 0.5 * light.sum() else positive
    psf_r50 = half_light_radius_pixels(psf)
    centre_y, centre_x, theta, ratio = _moments(y, x, positive / positive.sum(), (SIGMA_PER_R50 * psf_r50) ** 2)
    along = (x - centre_x) * math.cos(theta) + (y - centre_y) * math.sin(theta)
    across = (y - centre_y) * math.cos(theta) - (x - centre_x) * math.sin(theta)
    r50 = _radius_of_half(np.hypot(along * math.sqrt(ratio), across / math.sqrt(ratio)), growth)
    floor = 0.3 * psf_r50
    r_e = math.sqrt(max(r50**2 - PSF_SHARE * psf_r50**2, floor**2)) / math.sqrt(ratio)
    flux = max(SEGMENT_LIGHT * float(values.sum()), 0.1 * float(np.abs(values).sum())) or 1.0
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
    """Return centroid y, x, angle of the major axis (radians from +x, −π/2 … π/2) and axis ratio without PSF."""
    centre_y, centre_x = float(weights @ y), float(weights @ x)
    dy, dx = y - centre_y, x - centre_x
    # 1/12: the spread of the light inside a pixel
    yy, xx, xy = float(weights @ dy**2) + 1 / 12, float(weights @ dx**2) + 1 / 12, float(weights @ (dx * dy))
    theta = 0.5 * math.atan2(2.0 * xy, xx - yy)
    mean, spread = 0.5 * (xx + yy), math.hypot(0.5 * (xx - yy), xy)
    # a segment cuts the wings of the PSF: never more than 0.8 of the short axis is taken off
    variance = min(psf_variance, 0.8 * (mean - spread))
    ratio = math.sqrt((mean - spread - variance) / (mean + spread - variance))
    return centre_y, centre_x, theta, min(max(ratio, 0.15), 0.95)


def _radius_of_half(radius: np.ndarray, light: np.ndarray) -> float:
    """Return the radius of the disc that has the area of the innermost pixels with half of the light."""
    grown = np.cumsum(light[np.argsort(radius, kind="stable")])
    half = 0.5 * grown[-1]
    last = int(np.argmax(grown >= half))
    before = grown[last - 1] if last else 0.0
    step = grown[last] - before
    area = last + ((half - before) / step if step > 0 else 0.5)
    return max(math.sqrt(area / math.pi), 0.3)
