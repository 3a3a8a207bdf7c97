"""The Fourier transform of a Sersic profile and its derivatives, computed without an image.

An elliptical Sersic profile is a circular one that is stretched and rotated. So its transform is a function S_n(ρ) of
one variable, the scaled frequency ρ = 2π r_e |(k_major, q k_minor)|. S_n is a Hankel transform of order 0, computed
with FFTLog (Hamilton 2000, MNRAS 312, 257).
"""

from __future__ import annotations

import functools

import numpy as np

from ..core.types import SersicShape

_POINTS = 1024
"""Number of points of the transform in radius and in frequency."""
_LN_RADIUS = (-16.0, 14.0)
"""Range of ln(r/r_e) of the transform. With these points and the bias below, S_n agrees with GalSim to 8e-5 for n =
0.3–6 at all ρ; most of the difference comes from the linear interpolation."""
_BIAS = -0.5
"""Exponent of the power law by which FFTLog divides the profile, to make it nearly periodic."""
_LN_N = np.linspace(np.log(0.09), np.log(9.0), 232)
"""ln n of the tabulated profiles, 2 % apart in n: a parabola through three of them is accurate to 1e-6."""
_MIN_RHO = 1e-5
"""Smaller ρ are replaced by this, where S_n is 1 to 1e-6 up to n = 8."""


@functools.cache
def _grid() -> tuple[float, float, np.ndarray]:
    """Return ln ρ of the first point, its step, and S_n at all points for all `_LN_N`, shape (232, points)."""
    from scipy.fft import fht, fhtoffset
    from scipy.special import gammaincinv, gammaln

    n = np.exp(_LN_N)[:, None]
    b = gammaincinv(2.0 * n, 0.5)
    step = (_LN_RADIUS[1] - _LN_RADIUS[0]) / _POINTS
    ln_r = _LN_RADIUS[0] + step * np.arange(_POINTS)
    # FFTLog computes ∫ a(r) J0(kr) k dr, with a = r I(r) for a profile of unit total flux.
    with np.errstate(over="ignore", under="ignore"):
        a = np.exp(ln_r - b * np.exp(ln_r / n) - np.log(n) + 2.0 * n * np.log(b) - gammaln(2.0 * n))
    offset = float(fhtoffset(step, mu=0.0, bias=_BIAS))
    ln_rho = offset - ln_r[::-1]
    return float(ln_rho[0]), step, fht(a, step, mu=0.0, offset=offset, bias=_BIAS) / np.exp(ln_rho)


def load_tables() -> None:
    """Compute the table of profiles (0.02 s, and 0.3 s to import SciPy), so that forked processes share it."""
    _grid()


@functools.lru_cache(maxsize=4)
def _tables(n: float) -> tuple[float, float, np.ndarray]:
    """Return ln ρ of the first point, its step, and S, dS/d ln ρ and dS/dn at all points, shape (3, points)."""
    first, step, grid = _grid()
    spacing = _LN_N[1] - _LN_N[0]
    place = (np.log(n) - _LN_N[0]) / spacing
    middle = min(max(round(place), 1), len(_LN_N) - 2)
    low, here, high = grid[middle - 1 : middle + 2]
    t = place - middle
    values = here + 0.5 * t * (high - low) + 0.5 * t**2 * (high + low - 2.0 * here)
    by_n = (0.5 * (high - low) + t * (high + low - 2.0 * here)) / (spacing * n)
    return first, step, np.array([values, np.gradient(values, step), by_n])


def sersic_transform(rho: np.ndarray, n: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return S_n(ρ) and its derivatives with respect to ln ρ and to n, each of the shape of `rho`.

    Parameters
    ----------
    rho : array
        2π r_e times the frequency, ≥ 0.
    n : float
        Sersic index, 0.1 to 8.
    """
    first, step, tables = _tables(n)
    place = (np.log(np.maximum(rho, _MIN_RHO)) - first) / step
    index = np.clip(place.astype(int), 0, tables.shape[1] - 2)
    fraction = np.clip(place - index, 0.0, 1.0)
    low, high = tables[:, index], tables[:, index + 1]
    s, slope, by_n = low + fraction * (high - low)
    return s, slope, by_n


def _along_axes(
    ky: np.ndarray, kx: np.ndarray, jacobian: np.ndarray, pa: float
) -> tuple[list[np.ndarray], np.ndarray, np.ndarray]:
    """Return the frequencies along y and x of the model, and along the major and the minor axis of a profile."""
    along = [ky[:, None] * jacobian[0, axis] + kx[None, :] * jacobian[1, axis] for axis in (0, 1)]
    sine, cosine = np.sin(np.deg2rad(pa)), np.cos(np.deg2rad(pa))
    return along, along[0] * cosine - along[1] * sine, along[0] * sine + along[1] * cosine


def sersic_image_transform(ky: np.ndarray, kx: np.ndarray, jacobian: np.ndarray, shape: SersicShape) -> np.ndarray:
    """Return the transform of a Sersic profile of unit total flux at the origin, a real array (my, mx).

    Parameters
    ----------
    ky, kx : arrays (my,), (mx,)
        Frequencies in cycles per band pixel.
    jacobian : array (2, 2)
        Derivative of (y, x) in the band by (y, x) in the model.
    shape : SersicShape
    """
    _, major, minor = _along_axes(ky, kx, jacobian, shape.pa)
    square = major**2 + ((1.0 - shape.ell) * minor) ** 2
    first, step, tables = _tables(shape.n)
    # half the logarithm of the square: neither a root nor another pass over the array
    ln_rho = 0.5 * np.log(np.maximum(square * (2.0 * np.pi * shape.r_e) ** 2, _MIN_RHO**2))
    return np.interp(ln_rho, first + step * np.arange(tables.shape[1]), tables[0])


def sersic_derivatives(
    ky: np.ndarray, kx: np.ndarray, jacobian: np.ndarray, *, pa: float, ell: float, n: float, r_e: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return the transform of a Sersic profile of unit total flux at the origin, and its derivatives.

    Parameters
    ----------
    ky, kx : arrays (my,), (mx,)
        Frequencies in cycles per band pixel.
    jacobian : array (2, 2)
        Derivative of (y, x) in the band by (y, x) in the detection image.
    pa, ell, n, r_e : float
        Position angle in degrees, ellipticity, Sersic index, half-light radius in detection pixels.

    Returns
    -------
    transform : array (my, mx), real
    derivatives : array (6, my, mx), complex
        With respect to y and x (in detection pixels), pa (in degrees), ell, n, and r_e (in detection pixels).
    """
    along, major, minor = _along_axes(ky, kx, jacobian, pa)
    q = 1.0 - ell
    square = major**2 + (q * minor) ** 2
    s, slope, by_n = sersic_transform(2.0 * np.pi * r_e * np.sqrt(square), n)
    # d ln ρ/dp = dρ²/dp / 2ρ²; the derivatives vanish at zero frequency.
    scaled_slope = slope / np.where(square > 0, square, np.inf)
    derivatives = np.empty((6, *s.shape), dtype=np.complex128)
    derivatives[0], derivatives[1] = (-2j * np.pi * axis * s for axis in along)
    derivatives[2] = np.deg2rad(1.0) * (q**2 - 1.0) * major * minor * scaled_slope
    derivatives[3] = -q * minor**2 * scaled_slope
    derivatives[4] = by_n
    derivatives[5] = slope / r_e
    return s, derivatives
