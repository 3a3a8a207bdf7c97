"""Un-convolved models on fine pixels, brightness integrated over each pixel."""

from __future__ import annotations

import numpy as np

from ..core.nouns import Model
from .sersic import b_n, k_n

LIGHT_HELD = 0.999
"""Fraction of the light that a stamp holds, unless that is farther out than MAX_RADIUS and CHEAP_RADIUS."""
MAX_RADIUS = 20.0
"""In r_e. At n = 4 it leaves 1 % outside, at n = 8 some 6 %: the analytic total in the header accounts for it."""
CHEAP_RADIUS = 250.0
"""Model pixels: small sources reach farther than MAX_RADIUS. Cut at 20 r_e, the template of r_e = 0.05", n = 6 in
pixels of 0.6" biases a fitted flux by 1.0 % (n = 4: 0.26 %); so it is 0.04 %, for 0.1 s more per source and band."""
MIN_HALF_SIZE, MAX_HALF_SIZE = 8, 1200
"""Model pixels: the least and the largest half side of a stamp (46 MB). r_e = 2" at n = 4 keeps 96 % of its light: a
flux fitted with its template is off by 1e-5, as the wings that are cut weigh nothing."""
_STRIP = 1_000_000
"""Pixels drawn at once: temporary arrays stay small where the stamp is large."""

# Nodes and weights of three-point Gauss-Legendre integration over a pixel of unit side.
_NODES = np.array([-np.sqrt(0.6), 0.0, np.sqrt(0.6)]) / 2.0
_WEIGHTS = np.array([5.0, 8.0, 5.0]) / 18.0
_SMOOTH = 0.02
"""Relative change of brightness per pixel below which the centre stands for the pixel (error 2e-5)."""
_STEEP = 0.5
"""The same, above which nine nodes do not suffice (error 1e-4) and the pixel is divided."""
_NOTHING = 1e-4
"""Brightness relative to that at r_e below which, outside r_e, the centre stands for the pixel."""
_THINNEST = 0.5
"""Model pixels: smaller semi-axes are drawn as this, far below what any PSF resolves (0.1 detection pixel)."""
_DIVISION, _MAX_DEPTH = 5, 8


def sersic_profile(radius: np.ndarray, n: float, b: float) -> np.ndarray:
    """Return the brightness at `radius` (in r_e) relative to that at r_e (Sersic 1963); `b` is `b_n(n)`."""
    return np.exp(-b * (radius ** (1.0 / n) - 1.0))


def draw_sersic(
    shape: tuple[int, int], centre: tuple[float, float], *, n: float, r_e: float, ell: float, pa: float
) -> np.ndarray:
    """Return a Sersic profile of unit total light, integrated over each pixel.

    Parameters
    ----------
    shape : (ny, nx)
    centre : (y, x)
        In pixels, 0-based.
    n, r_e, ell, pa : float
        Sersic index, half-light radius along the major axis in pixels, ellipticity 1 − b/a, position angle in
        degrees from +y towards −x (counter-clockwise: IMFIT's convention).

    Returns
    -------
    array (ny, nx)
        Its sum is the fraction of the light that the stamp holds. Accurate to 3e-4 of the pixel for n 0.3 … 8.
    """
    r_e = max(r_e, _THINNEST)
    ell = min(ell, 1.0 - _THINNEST / r_e)
    total = k_n(n) * (1.0 - ell) * r_e**2
    y = np.arange(shape[0], dtype=float) - centre[0]
    x = np.arange(shape[1], dtype=float) - centre[1]
    profile = (n, b_n(n), r_e, ell, float(np.deg2rad(pa)))
    image = np.empty(shape)
    step = max(1, _STRIP // max(1, shape[1]))
    for first in range(0, shape[0], step):
        strip = slice(first, first + step)
        image[strip] = _integrated(y[strip], x, 1.0, profile, 0)
    image /= total
    return image


def _radius(y: np.ndarray, x: np.ndarray, r_e: float, ell: float, pa: float) -> np.ndarray:
    """Elliptical radius in r_e."""
    major = (-x * np.sin(pa) + y * np.cos(pa)) / r_e
    minor = (x * np.cos(pa) + y * np.sin(pa)) / (r_e * (1.0 - ell))
    return np.hypot(major, minor)


def _integrated(
    y: np.ndarray, x: np.ndarray, side: float, profile: tuple[float, float, float, float, float], depth: int
) -> np.ndarray:
    """Integrate the profile over the squares of `side` around the grid y × x; steep ones are divided anew."""
    n, b, r_e, ell, pa = profile
    rows, columns = y[:, None], x[None, :]
    radius = _radius(rows, columns, r_e, ell, pa)
    # Change per pixel along the minor axis; the pixel that holds the centre is limited by its own half side.
    slope_radius = np.maximum(radius, 0.25 * side / r_e)
    slope = (b / n) * slope_radius ** (1.0 / n - 1.0) * side / (r_e * (1.0 - ell))
    image = sersic_profile(radius, n, b)
    # Far out, where n < 1 falls off without end, nothing is left to integrate, not even in a pixel's nearest corner.
    nearest = radius - np.sqrt(0.5) * side / (r_e * (1.0 - ell))
    slope[(nearest > 1.0) & (sersic_profile(np.maximum(nearest, 1.0), n, b) < _NOTHING)] = 0.0
    medium = np.argwhere(slope > _SMOOTH)
    if medium.size:
        (y0, x0), (y1, x1) = medium.min(axis=0), medium.max(axis=0) + 1
        image[y0:y1, x0:x1] = _nine_nodes(rows[y0:y1], columns[:, x0:x1], side, profile)
    image *= side**2
    # The innermost pixel is always divided, a cusp has no derivative there; after two divisions nothing else is steep.
    cusp = (np.abs(rows) <= side / 2) & (np.abs(columns) <= side / 2)
    steep = np.argwhere(cusp | ((slope > _STEEP) & (depth < 2)))
    if steep.size and depth < _MAX_DEPTH:
        (y0, x0), (y1, x1) = steep.min(axis=0), steep.max(axis=0) + 1
        image[y0:y1, x0:x1] = _divided(y[y0:y1], x[x0:x1], side, profile, depth)
    return image


def _nine_nodes(rows: np.ndarray, columns: np.ndarray, side: float, profile: tuple[float, ...]) -> np.ndarray:
    n, b, r_e, ell, pa = profile
    total = np.zeros((rows.shape[0], columns.shape[1]))
    for node_y, weight_y in zip(_NODES * side, _WEIGHTS, strict=True):
        for node_x, weight_x in zip(_NODES * side, _WEIGHTS, strict=True):
            radius = _radius(rows + node_y, columns + node_x, r_e, ell, pa)
            total += weight_y * weight_x * sersic_profile(radius, n, b)
    return total


def _divided(y: np.ndarray, x: np.ndarray, side: float, profile: tuple[float, ...], depth: int) -> np.ndarray:
    parts = (np.arange(_DIVISION) - (_DIVISION - 1) / 2.0) * side / _DIVISION
    fine_y, fine_x = (y[:, None] + parts).ravel(), (x[:, None] + parts).ravel()
    fine = _integrated(fine_y, fine_x, side / _DIVISION, profile, depth + 1)  # type: ignore[arg-type]
    return fine.reshape(y.size, _DIVISION, x.size, _DIVISION).sum(axis=(1, 3))


def stamp_half_size(n: float, r_e: float, ell: float, pa: float) -> tuple[int, int]:
    """Return the half sides (y, x) in model pixels of the stamp that holds LIGHT_HELD of the light.

    Or less, where that is farther out than both MAX_RADIUS and CHEAP_RADIUS, or than MAX_HALF_SIZE.
    """
    held = (b_n(n, LIGHT_HELD) / b_n(n)) ** n * r_e
    radius = min(held, max(MAX_RADIUS * r_e, CHEAP_RADIUS))
    sine, cosine, q = np.sin(np.deg2rad(pa)), np.cos(np.deg2rad(pa)), 1.0 - ell
    half_y, half_x = radius * np.hypot(cosine, q * sine), radius * np.hypot(sine, q * cosine)
    half = [min(max(int(np.ceil(h)), MIN_HALF_SIZE), MAX_HALF_SIZE) for h in (half_y, half_x)]
    return half[0], half[1]


def sersic_model(
    *, n: float, r_e: float, ell: float, pa: float, flux: float, sky: tuple[float, float],
    pixel_to_sky: np.ndarray, oversampling: int,
) -> Model:  # fmt: skip
    """Return the model of one Sersic source, its centre on the middle pixel of an odd stamp.

    `r_e` is in detection pixels, `pixel_to_sky` the local matrix of the detection grid (arcsec per pixel); the
    model's pixels are `oversampling` times finer. A centre on a pixel costs nothing: the WCS carries the fraction
    (a quarter of a pixel off the centre costs 3e-3 of the template's peak once the pixel is divided out).
    """
    fine_r_e = r_e * oversampling
    half_y, half_x = stamp_half_size(n, fine_r_e, ell, pa)
    shape = (2 * half_y + 1, 2 * half_x + 1)
    centre = (float(half_y), float(half_x))
    data = flux * draw_sersic(shape, centre, n=n, r_e=fine_r_e, ell=ell, pa=pa)
    return Model(data, centre, sky, pixel_to_sky / oversampling, flux)


def point_model(flux: float, sky: tuple[float, float], pixel_to_sky: np.ndarray, oversampling: int) -> Model:
    """Return a point source: one pixel of light, at its exact position."""
    return Model(np.array([[flux]]), (0.0, 0.0), sky, pixel_to_sky / oversampling, flux, pixel_integrated=False)
