"""Lengths of the configuration, in arcsec, that cannot be those of an image: what is given in degrees or in pixels."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from ..core.coordinates import pixel_scale
from .config import Config

if TYPE_CHECKING:
    from astropy.wcs import WCS


def bad_lengths(config: Config, grids: Mapping[str, tuple[tuple[int, int], WCS]]) -> Iterator[str]:
    """Yield a sentence for every box of a background below a pixel, and every shift or smoothing beyond the image.

    Parameters
    ----------
    config : Config
    grids : mapping
        By band: (ny, nx) and the world coordinates of each image that is there.
    """
    scales = {name: float(pixel_scale(wcs, shape)) for name, (shape, wcs) in grids.items()}
    for name, (shape, _) in grids.items():
        band = config.bands[name]
        if band.background is not None and band.background.order is None:
            yield from _small_box(f"bands.{name}.background", band.background.box, scales[name])
        side = max(shape) * scales[name]
        if isinstance(band.shift, list | tuple) and math.hypot(*band.shift) > side:
            yield (f"bands.{name}.shift moves the models by {math.hypot(*band.shift):.3g} arcsec, out of the image of "
                   f"{side:.3g} arcsec; expected arcsec along X and Y. Correct it, or set shift: auto.")  # fmt: skip
    first = config.detection.bands[0]
    if first in scales and config.detection.conv_fwhm > (side := max(grids[first][0]) * scales[first]):
        yield (f"detection.conv_fwhm is {config.detection.conv_fwhm:g} arcsec, more than the image ({side:.3g} "
               "arcsec); expected arcsec, about the FWHM of the PSF.")  # fmt: skip
    moving = config.detection.background
    if first in scales and moving is not None and not isinstance(moving, str):
        yield from _small_box("detection.background", moving.box, scales[first])


def _small_box(key: str, box_arcsec: float, scale_arcsec: float) -> Iterator[str]:
    if box_arcsec < scale_arcsec:
        yield (f"{key}.box is {box_arcsec:g} arcsec, less than a pixel of the image ({scale_arcsec:.3g} arcsec); "
               "expected arcsec, several times the size of the largest source.")  # fmt: skip
