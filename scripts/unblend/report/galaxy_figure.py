"""The first figure of the README: a galaxy in colour, its blended light, the same without its neighbours, its SED."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..core.coordinates import offset_to_sky, sky_to_pixel
from ..core.statistics import robust_sigma
from .plots import stretch

if TYPE_CHECKING:
    from astropy.wcs import WCS
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SIDE_PIXELS = 300
"""Side of a stamp on the figure."""
BLACK, SOFTENING, BRIGHT = 0.5, 1.5, 25.0
"""Level below the sky that is shown black, softening of the stretch and level of full brightness, in sigma of the noise
of a pixel."""
BRIGHT_BLENDED = 250.0
"""Level that is shown black in the images of the band with a broad PSF, in sigma."""
BLUE, RED = "#1f5f99", "#c1121f"


@dataclass(frozen=True)
class SedPoint:
    """A flux of the galaxy.

    Parameters
    ----------
    band : str
    wavelength_um, flux_ujy, err_ujy : float
    """

    band: str
    wavelength_um: float
    flux_ujy: float
    err_ujy: float


def north_up(image: np.ndarray, wcs: WCS, centre: tuple[float, float], side_arcsec: float) -> np.ndarray:
    """Return the pixels around a position with north up and east left, shape (n, n), n = `SIDE_PIXELS`.

    The nearest pixel is shown, so that the pixels of a coarse image are seen as such; NaN beyond the image.

    Parameters
    ----------
    image : array (ny, nx)
    wcs : WCS
    centre : (ra, dec)
        Degrees.
    side_arcsec : float
    """
    along = (np.arange(SIDE_PIXELS) - (SIDE_PIXELS - 1) / 2) * side_arcsec / SIDE_PIXELS
    north, east = np.meshgrid(along, -along, indexing="ij")
    y, x = (np.rint(each).astype(int) for each in sky_to_pixel(wcs, *offset_to_sky(east, north, *centre)))
    inside = (y >= 0) & (x >= 0) & (y < image.shape[0]) & (x < image.shape[1])
    stamp = np.full(inside.shape, np.nan)
    stamp[inside] = image[y[inside], x[inside]]
    return stamp


def in_colour(stamps: Sequence[np.ndarray], sigmas: Sequence[float], scales: Sequence[float]) -> np.ndarray:
    """Return stamps as a colour image, shape (n, n, 3), the longest wavelength red (Lupton et al. 2004).

    Parameters
    ----------
    stamps : three arrays (n, n)
        Without the sky, the shortest wavelength first.
    sigmas : three floats
        Noise of a pixel.
    scales : three floats
        Factors on the fluxes that make a typical source white.
    """
    red, green, blue = (
        np.nan_to_num(stamp) * scale for stamp, scale in zip(reversed(stamps), reversed(scales), strict=True)
    )
    noise = float(np.mean([sigma * scale for sigma, scale in zip(sigmas, scales, strict=True)]))
    mean = np.maximum((red + green + blue) / 3.0 + BLACK * noise, 1e-3 * noise)
    factor = np.arcsinh(mean / noise / SOFTENING) / np.arcsinh(BRIGHT / SOFTENING) / mean
    rgb = np.stack([red, green, blue], axis=-1) + BLACK * noise
    rgb = np.clip(rgb * factor[..., None], 0.0, None)
    return np.asarray(rgb / np.maximum(rgb.max(axis=-1, keepdims=True), 1.0))


def galaxy_figure(
    colour: np.ndarray,
    blended: tuple[str, np.ndarray, np.ndarray, float],
    marks: Sequence[tuple[float, float]],
    sed: Sequence[SedPoint],
    side_arcsec: float,
) -> Figure:
    """Return the figure, a panel for each step from the image to the fluxes.

    Parameters
    ----------
    colour : array (n, n, 3)
    blended : (str, array (n, n), array (n, n), float)
        Name of a band with a broad PSF, its stamp, the stamp with the neighbours removed, and the noise of a pixel.
    marks : sequence of (east, north)
        Positions of the galaxy, first, and of its neighbours, in arcsec from the centre.
    sed : sequence of SedPoint
    side_arcsec : float
        Side of the stamps.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12.0, 3.25), facecolor="white")
    name, data, removed, sigma = blended
    grey = [1.0 - np.nan_to_num(stretch(stamp, sigma, bright=BRIGHT_BLENDED)) for stamp in (data, removed)]
    titles = ("a galaxy and its neighbours", f"its light in {name}", "neighbours removed")
    for number, (title, image) in enumerate(zip(titles, (colour, *grey), strict=True)):
        axes = figure.add_axes((0.004 + 0.2365 * number, 0.02, 0.2325, 0.86))
        half = side_arcsec / 2.0
        axes.imshow(image, origin="lower", cmap="gray", vmin=0.0, vmax=1.0, extent=(half, -half, -half, half))
        axes.set_title(title, fontsize=11)
        axes.set_axis_off()
        _mark(axes, marks if number == 1 else marks[:1], dark=number == 0)
        if number == 0:
            axes.plot([half - 0.6, half - 2.6], [0.6 - half] * 2, color="white", linewidth=2)
            axes.text(half - 1.6, 0.85 - half, '2"', color="white", ha="center", fontsize=10)
    _draw_sed(figure.add_axes((0.777, 0.175, 0.19, 0.6)), sed)
    return figure


def _mark(axes: Axes, marks: Sequence[tuple[float, float]], *, dark: bool) -> None:
    """Draw a cross at each neighbour and a ring around the galaxy."""
    (east, north), *others = marks
    axes.plot(east, north, "o", markersize=17, fillstyle="none", color="#ff6b6b" if dark else RED, markeredgewidth=1.3)
    for east, north in others:
        axes.plot(east, north, "+", markersize=8, color="#8fd0ff" if dark else BLUE, markeredgewidth=1.3)


def _draw_sed(axes: Axes, sed: Sequence[SedPoint]) -> None:
    waves = np.array([point.wavelength_um for point in sed])
    fluxes = np.array([point.flux_ujy for point in sed])
    axes.errorbar(waves, fluxes, [point.err_ujy for point in sed], fmt="o", color=BLUE, markersize=5, capsize=2)
    axes.set(xscale="log", yscale="log", xlabel="wavelength [µm]")
    axes.set_title("flux [µJy]", fontsize=11, pad=34, loc="left")
    axes.set_xlim(waves.min() / 1.25, waves.max() * 1.25)
    axes.set_ylim(fluxes.min() / 2.0, fluxes.max() * 1.6)
    axes.set_xticks([1, 2, 4], ["1", "2", "4"])
    axes.minorticks_off()
    above = axes.secondary_xaxis("top")
    above.set_xticks(waves, [point.band for point in sed], rotation=35, ha="left", fontsize=8)
    above.minorticks_off()
    above.tick_params(length=3, pad=1)


def noise_of(image: np.ndarray, level: float = 0.0) -> float:
    """Return the noise of a pixel of an image, by the robust scatter of what is below its level."""
    below = (image - level)[np.isfinite(image) & (image < level)]
    return float(robust_sigma(np.concatenate([below, -below])))
