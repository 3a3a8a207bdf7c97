"""The stars of which a PSF is built: stamps, residuals, shapes over the field, the PSF, and its light in circles."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ..core.statistics import robust_sigma
from ..images.psf import centroid
from ..images.star_psf import BuiltPsf
from .plots import stretch

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SHOWN = 10
"""Stars in the figure, those with the largest weight."""
WHISKER = 1.0
"""Length of the line of a star of ellipticity 1, in units of the longer side of the image."""
PSF_SIGMA = 1e-4
"""Light of a PSF pixel over the peak that is shown as one sigma of noise."""


def used_stars(table: np.ndarray) -> np.ndarray:
    """Return the rows of psf_stars.fits of the stars that are used."""
    return table[table["state"] == "used"]


def star_figure(name: str, built: BuiltPsf, stars: np.ndarray, shape: tuple[int, int]) -> Figure:
    """Return the figure of the stars of a PSF.

    Stamps (top) and residuals (bottom) of the stars, the PSF, the light in circles of PSF and residuals, and the shapes
    of the stars over the field.

    Parameters
    ----------
    name : str
        Name of the band.
    built : BuiltPsf
    stars : structured array
        Rows of psf_stars.fits that are used.
    shape : (ny, nx)
        Of the band's image.
    """
    from matplotlib.figure import Figure

    shown = np.argsort(-built.weights, kind="stable")[:SHOWN]
    figure = Figure(figsize=(1.1 * len(shown) + 8.2, 2.8), layout="constrained", facecolor="white")
    widths = [*[1.0] * len(shown), 2.0, 2.6, 2.6]
    grid = figure.add_gridspec(2, len(widths), width_ratios=widths)
    for column, star in enumerate(shown):
        stamp, residual = built.stars[star], built.residuals[star] * built.stars[star].flux
        noise = robust_sigma(residual[np.isfinite(residual)])
        data = np.where(np.isfinite(stamp.error), stamp.data - stamp.background, np.nan)
        bright = float(np.nanmax(data)) / noise
        for row, image in enumerate((stretch(data, noise, bright=bright), stretch(residual, noise, bright=10.0))):
            _draw(figure.add_subplot(grid[row, column]), image)
        figure.axes[-2].set_title(f"{100 * built.weights[star]:.0f} %", fontsize=7)
    axes = figure.add_subplot(grid[:, -3])
    _draw(axes, stretch(built.data / built.data.max(), PSF_SIGMA, bright=1.0 / PSF_SIGMA))
    axes.set_title(f"PSF of {name} from {len(built.stars)} stars", fontsize=8)
    _draw_light(figure.add_subplot(grid[0, -2]), figure.add_subplot(grid[1, -2]), built)
    _draw_shapes(figure.add_subplot(grid[:, -1]), stars, shape)
    return figure


def light_in_circles(image: np.ndarray, centre: tuple[float, float], radii: np.ndarray) -> np.ndarray:
    """Return the light in circles around a place; pixels on the edge count by the part of their width inside.

    Parameters
    ----------
    image : array (ny, nx)
        NaN where masked: such pixels have no light.
    centre : (y, x)
    radii : array (n,)
        In pixels.
    """
    rows, columns = np.indices(image.shape)
    distance = np.hypot(rows - centre[0], columns - centre[1])
    known = np.nan_to_num(image)
    return np.array([(np.clip(radius + 0.5 - distance, 0.0, 1.0) * known).sum() for radius in radii])


def _draw(axes: Any, image: np.ndarray) -> None:
    axes.imshow(image, origin="lower", cmap="gray_r", vmin=0.0, vmax=1.0, interpolation="nearest")
    axes.set(xticks=[], yticks=[])


def _draw_light(axes: Any, below: Any, built: BuiltPsf) -> None:
    """Draw the light of the PSF in circles, and `below` that of the residual of each star, in per cent of the star."""
    over, middle = built.oversampling, centroid(built.data)
    radii = np.arange(0.5, built.data.shape[0] / 2 / over, 0.5)
    light = light_in_circles(built.data, middle, radii * over)
    offset = [(c - built.data.shape[0] // 2) / over for c in middle]
    for star, residual in zip(built.stars, built.residuals, strict=True):
        place = star.y + offset[0], star.x + offset[1]
        below.plot(radii, 100.0 * light_in_circles(residual, place, radii), color="0.5", linewidth=0.7)
    axes.plot(radii, light, color="black", linewidth=1.4)
    axes.set(ylim=(0.0, 1.1), xlim=(0.0, radii[-1]), xticklabels=[])
    axes.set_title("light in circles", fontsize=8)
    below.set(xlim=(0.0, radii[-1]))
    below.set_title("star − PSF (%) against radius (pixels)", fontsize=8)
    for each in (axes, below):
        each.tick_params(labelsize=7)


def _draw_shapes(axes: Any, stars: np.ndarray, shape: tuple[int, int]) -> None:
    """Draw the major axis of every star at its place, as long as its ellipticity, with its FWHM as colour."""
    reach, angle = WHISKER * max(shape), np.radians(stars["pa"])
    dx, dy = (0.5 * reach * stars["ell"] * part for part in (-np.sin(angle), np.cos(angle)))
    axes.plot([stars["x"] - dx, stars["x"] + dx], [stars["y"] - dy, stars["y"] + dy], color="black", linewidth=1.2)
    points = axes.scatter(stars["x"], stars["y"], c=stars["fwhm"], s=14, cmap="viridis")
    axes.set(xlim=(0, shape[1] + 1), ylim=(0, shape[0] + 1), aspect="equal", xticks=[], yticks=[])
    axes.figure.colorbar(points, ax=axes, shrink=0.8).ax.tick_params(labelsize=7)
    axes.set_title(
        f"FWHM ({np.nanmedian(stars['fwhm']):.3f} arcsec), ellipticity\n(median {np.nanmedian(stars['ell']):.2f}; "
        f"a line of a tenth of the side is {0.1 / WHISKER:.2f})", fontsize=7,
    )  # fmt: skip
