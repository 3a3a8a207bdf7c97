"""Cutouts of a large mosaic around the target."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from ..core.coordinates import axis_scales, sky_to_pixel
from ..core.errors import InputError
from ..core.types import Box

if TYPE_CHECKING:
    from astropy.wcs import WCS


def cutout_box(
    wcs: WCS, shape: tuple[int, int], target: Mapping[str, float], size_arcsec: float, name: str = "the mosaic"
) -> Box:
    """Return the box around the target, clipped to the mosaic.

    Parameters
    ----------
    wcs : WCS
    shape : (ny, nx)
        Shape of the mosaic.
    target : mapping
        `ra` and `dec` in degrees.
    size_arcsec : float
        Side of the box.
    name : str
        Name of the mosaic for the error message.

    Raises
    ------
    InputError
        The target is not on the mosaic.
    """
    ys, xs = sky_to_pixel(wcs, target["ra"], target["dec"])  # type: ignore[arg-type]
    y, x = float(ys[0]), float(xs[0])
    whole = Box.of_shape(shape)
    # A comparison with NaN is false, so that a target on the far side of the sky counts as outside.
    if not (-0.5 <= y <= shape[0] - 0.5 and -0.5 <= x <= shape[1] - 0.5):
        raise InputError(
            f"{name} ({shape[1]} x {shape[0]} pixels) does not cover the target ra={target['ra']} dec={target['dec']}, "
            f"which would be at x={x + 1:.1f} y={y + 1:.1f}. Correct the target or the mosaic."
        )
    scale_y, scale_x = axis_scales(wcs, y, x)
    half_y, half_x = size_arcsec / 2.0 / scale_y, size_arcsec / 2.0 / scale_x
    box = Box(round(y - half_y), round(x - half_x), round(y + half_y) + 1, round(x + half_x) + 1)
    return box & whole
