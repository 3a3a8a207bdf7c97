"""The Sersic profile: its normalisation, total flux and surface brightness at the half-light radius.

The surface brightness at the elliptical radius r is I(r) = I_e exp(−b_n [(r / r_e)^(1/n) − 1]), with half of the light
inside r_e (Sersic 1968; Graham & Driver 2005). Lengths are in pixels of the detection image.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass, replace


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
        Surface brightness at r_e in image units per pixel.
    r_e : float
        Semi-major axis, in pixels, of the ellipse that contains half of the light.
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
        """Flux integrated to infinity, in image units."""
        return total_flux(self.n, self.r_e, self.ell, self.i_e)

    def with_flux(self, flux: float, *, n: float, r_e: float, ell: float) -> Sersic:
        """Return a profile with the same centre and position angle, but another flux and shape."""
        return replace(self, n=n, r_e=r_e, ell=ell, i_e=intensity_from_flux(n, r_e, ell, flux))


@functools.lru_cache(maxsize=4096)
def b_n(n: float, fraction: float = 0.5) -> float:
    """Return the constant b_n of a Sersic profile, for which half of the light is inside r_e: P(2n, b_n) = 1/2.

    More generally P(2n, b) = `fraction`, and that fraction of the light is inside (b / b_n)^n r_e. The equation is
    solved by Newton's method from the expansion of Ciotti & Bertin (1999). It is not taken from `scipy.special` because
    importing that takes as long as two fits.

    Parameters
    ----------
    n : float
        Sersic index.
    fraction : float
        Fraction of the light, at least 0.5.

    Returns
    -------
    float
        Accurate to 1e-13 for 0.5 and to 1e-11 for 0.999; NaN if n is not positive.
    """
    if not n > 0:
        return math.nan
    a = 2.0 * n
    b = a - 1.0 / 3.0 + 8.0 / (405.0 * a) if n > 0.3 else math.exp((math.lgamma(a + 1.0) + math.log(fraction)) / a)
    for _ in range(50):
        term = total = 1.0 / a
        k = a
        while term > 1e-17 * total:
            k += 1.0
            term *= b / k
            total += term
        # P = x^a e^-x / Gamma(a) (1/a + x / a(a+1) + ...); its derivative is the first factor divided by x.
        density = math.exp(a * math.log(b) - b - math.lgamma(a))
        step = b * (total - fraction / density)
        b -= step
        # The error is squared in each step.
        if abs(step) < 1e-8 * b:
            break
    return b


def k_n(n: float) -> float:
    """Return total flux / (I_e r_e² (1 − ell)), which is 2π n e^b b^(−2n) Γ(2n) (Graham & Driver 2005, eq. 4)."""
    b = b_n(n)
    return 2.0 * math.pi * n * math.exp(b - 2.0 * n * math.log(b) + math.lgamma(2.0 * n))


def slope_of_ln_k_n(n: float) -> float:
    """Return the derivative of ln `k_n` with respect to n, accurate to 1e-6."""
    step = 1e-3 * n
    return (math.log(k_n(n + step)) - math.log(k_n(n - step))) / (2.0 * step)


def total_flux(n: float, r_e: float, ell: float, i_e: float) -> float:
    """Return the flux of a Sersic profile integrated to infinity, in the unit of `i_e` times pixel².

    Parameters
    ----------
    n, r_e, ell, i_e : float
        As in `Sersic`.
    """
    return i_e * r_e**2 * (1.0 - ell) * k_n(n)


def intensity_from_flux(n: float, r_e: float, ell: float, flux: float) -> float:
    """Return the surface brightness I_e at r_e of a Sersic profile with the given total flux.

    Parameters
    ----------
    n, r_e, ell : float
        As in `Sersic`.
    flux : float
        Flux integrated to infinity.
    """
    return flux / (r_e**2 * (1.0 - ell) * k_n(n))
