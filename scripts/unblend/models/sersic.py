"""The Sersic profile: its normalisation, total flux and surface brightness at the half-light radius.

Intensity at the elliptical radius r: I(r) = I_e exp(−b_n [(r / r_e)^(1/n) − 1]), half of the light inside r_e
(Sersic 1968; Graham & Driver 2005). Lengths in pixels of the detection image.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass


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
