"""Figures: images with an asinh stretch, borders of segments, a band with its model and residual."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from ..core.statistics import robust_sigma

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NOISE_SHOWN, BRIGHT_SHOWN = 2.0, 30.0
"""Levels below and above the sky, in sigma of the noise, that are shown black and white, with asinh between them."""
MASK_COLOUR = "#5b3b3b"


def stretch(image: np.ndarray, sigma: float, level: float = 0.0, bright: float = BRIGHT_SHOWN) -> np.ndarray:
    """Return the image scaled to 0 … 1, linear in the noise and logarithmic up to `bright` sigma.

    Parameters
    ----------
    image : array (ny, nx)
        NaN stays NaN.
    sigma, level : float
        Noise of a pixel and level of the sky, in units of the image.
    bright : float
        Level that becomes 1, in sigma above the sky.
    """
    low, high = np.arcsinh(-NOISE_SHOWN), np.arcsinh(bright)
    return np.clip((np.arcsinh((image - level) / sigma) - low) / (high - low), 0.0, 1.0)


def outline(segments: np.ndarray) -> np.ndarray:
    """Return True on the pixels of each segment next to other pixels, shape (ny, nx)."""
    border = np.zeros(segments.shape, dtype=bool)
    for axis in (0, 1):
        differs = np.diff(segments, axis=axis) != 0
        before = [slice(None), slice(None)]
        after = [slice(None), slice(None)]
        before[axis], after[axis] = slice(None, -1), slice(1, None)
        border[tuple(before)] |= differs
        border[tuple(after)] |= differs
    return border & (segments > 0)


def band_figure(
    name: str,
    image: np.ndarray,
    residual: np.ndarray,
    mask: np.ndarray,
    *,
    background: float,
    circles: Sequence[tuple[float, float, float]] = (),
) -> Figure:
    """Return image, model and residual of a band side by side with one stretch.

    Parameters
    ----------
    name : str
        Name of the band.
    image, residual : arrays (ny, nx)
        `residual` is the image minus models and background level, NaN where masked.
    mask : array (ny, nx) of bool
        True where masked: shown in colour.
    background : float
        The fitted background level.
    circles : sequence of (y, x, radius)
        Monte Carlo circles in pixels, drawn on the residual.
    """
    ratio = image.shape[0] / image.shape[1]
    figure = _figure(12.0, 12.0 / 3.0 * ratio + 0.35)
    sigma = robust_sigma(residual)
    model = image - background - residual
    panels = {"image": image - background, "model": model, "image − model": residual}
    for number, (title, panel) in enumerate(panels.items()):
        height = 12.0 / 3.0 * ratio / (12.0 / 3.0 * ratio + 0.35)
        axes = figure.add_axes((number / 3.0 + 0.002, 0.0, 1.0 / 3.0 - 0.004, height))
        shown = stretch(panel, sigma)
        rgb = np.repeat(1.0 - np.nan_to_num(shown)[..., None], 3, axis=2)
        rgb[mask | ~np.isfinite(panel)] = _rgb(MASK_COLOUR)
        axes.imshow(rgb, origin="lower", interpolation="nearest")
        axes.set_title(f"{name}: {title}" if number == 0 else title, fontsize=9)
        axes.set_axis_off()
    for y, x, radius in circles:
        axes.add_patch(_circle(x, y, radius))
    return figure


def _figure(width: float, height: float) -> Figure:
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), facecolor="white")


def _rgb(colour: str) -> tuple[float, float, float]:
    from matplotlib.colors import to_rgb

    red, green, blue = to_rgb(colour)
    return red, green, blue


def _circle(x: float, y: float, radius: float):  # type: ignore[no-untyped-def]
    from matplotlib.patches import Circle

    return Circle((x, y), radius, fill=False, edgecolor="#e09f3e", linewidth=0.8)
