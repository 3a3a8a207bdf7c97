"""Figures: images on an asinh stretch, segments, a band with its model and residual."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from .units import robust_sigma

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NOISE_SHOWN, BRIGHT_SHOWN = 2.0, 30.0
"""Sigma of the noise below the sky that is black, and above it that is white (asinh between)."""
MASK_COLOUR = "#5b3b3b"


def stretch(image: np.ndarray, sigma: float, level: float = 0.0) -> np.ndarray:
    """Return the image on 0 … 1, linear in the noise and logarithmic above; NaN stays NaN."""
    low, high = np.arcsinh(-NOISE_SHOWN), np.arcsinh(BRIGHT_SHOWN)
    return np.clip((np.arcsinh((image - level) / sigma) - low) / (high - low), 0.0, 1.0)


def outline(segments: np.ndarray) -> np.ndarray:
    """Return True on the inner border of every segment, shape (ny, nx)."""
    border = np.zeros(segments.shape, dtype=bool)
    for axis in (0, 1):
        differs = np.diff(segments, axis=axis) != 0
        before = [slice(None), slice(None)]
        after = [slice(None), slice(None)]
        before[axis], after[axis] = slice(None, -1), slice(1, None)
        border[tuple(before)] |= differs
        border[tuple(after)] |= differs
    return border & (segments > 0)


def detection_figure(stack: np.ndarray, segments: np.ndarray, sources: np.ndarray, target: int | None = None) -> Figure:
    """Return the stack with the outlines and IDs of all segments; the target's in another colour."""
    figure = _figure(9.0, 9.0 * stack.shape[0] / stack.shape[1])
    axes = figure.add_axes((0.0, 0.0, 1.0, 1.0))
    grey = np.nan_to_num(stretch(stack, robust_sigma(stack), float(np.nanmedian(stack))))
    rgb = np.repeat(1.0 - grey[..., None], 3, axis=2)
    rgb[outline(segments)] = (0.10, 0.45, 0.80)
    axes.imshow(rgb, origin="lower", interpolation="nearest")
    for row in sources:
        colour = "#c1121f" if row["id"] == target else "#0b3d66"
        axes.text(row["x"] + row["a"] + 2, row["y"] + row["b"] + 2, str(row["id"]), color=colour, fontsize=6)
    axes.set_axis_off()
    return figure


def band_figure(
    name: str,
    image: np.ndarray,
    residual: np.ndarray,
    mask: np.ndarray,
    *,
    background: float,
    circles: Sequence[tuple[float, float, float]] = (),
) -> Figure:
    """Return image, model and residual of a band side by side on one stretch.

    Parameters
    ----------
    name : str
    image, residual : arrays (ny, nx)
        `residual` is the image less models and constant, NaN where masked.
    mask : array (ny, nx) of bool
        Shown in colour.
    background : float
        The fitted constant.
    circles : sequence of (y, x, radius)
        The Monte Carlo circles, drawn on the residual.
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


def chi2_figure(offsets_arcsec: Sequence[float], chi2: np.ndarray, best: Sequence[float]) -> Figure:
    """Return the chi2 map of the shift search, its least value subtracted; `best` is (dx, dy) in arcsec."""
    figure = _figure(3.6, 3.2)
    axes = figure.add_axes((0.2, 0.16, 0.7, 0.8))
    half_step = (offsets_arcsec[1] - offsets_arcsec[0]) / 2.0 if len(offsets_arcsec) > 1 else 0.5
    low, high = offsets_arcsec[0] - half_step, offsets_arcsec[-1] + half_step
    shown = axes.imshow(
        np.log10(chi2 - chi2.min() + 1.0), origin="lower", extent=(low, high, low, high), cmap="viridis_r"
    )
    axes.plot(*best, "+", color="#c1121f", ms=12, mew=2)
    axes.set_xlabel("shift along X [arcsec]", fontsize=8)
    axes.set_ylabel("shift along Y [arcsec]", fontsize=8)
    axes.tick_params(labelsize=7)
    figure.colorbar(shown, ax=axes, label="log10(Δχ² + 1)")
    return figure


def offsets_figure(
    shape: tuple[int, int], positions: np.ndarray, offsets_arcsec: np.ndarray, errors_arcsec: np.ndarray
) -> Figure:
    """Return the offsets of the bright sources as arrows; `positions` (n, 2) are (y, x), `offsets` (n, 2) (dy, dx)."""
    figure = _figure(3.6, 3.6 * shape[0] / shape[1])
    axes = figure.add_axes((0.02, 0.02, 0.96, 0.96))
    good = np.isfinite(offsets_arcsec).all(axis=1) & (np.hypot(*errors_arcsec.T) < 0.2)
    length = 0.12 * shape[1] / 0.1  # an offset of 0.1 arcsec is drawn as an eighth of the width
    axes.quiver(
        positions[good, 1], positions[good, 0], offsets_arcsec[good, 1] * length, offsets_arcsec[good, 0] * length,
        angles="xy", scale_units="xy", scale=1.0, width=0.006, color="#0b3d66",
    )  # fmt: skip
    axes.quiver([0.04 * shape[1]], [0.04 * shape[0]], [0.1 * length], [0.0], angles="xy", scale_units="xy", scale=1.0,
                width=0.008, color="#c1121f")  # fmt: skip
    axes.text(0.04 * shape[1], 0.07 * shape[0], '0.1"', color="#c1121f", fontsize=8)
    axes.set_xlim(0, shape[1])
    axes.set_ylim(0, shape[0])
    axes.set_xticks([])
    axes.set_yticks([])
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
