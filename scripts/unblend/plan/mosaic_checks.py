"""Mosaics that are files on the disk, looked at before any job; one in the network is read by its job."""

from __future__ import annotations

from collections.abc import Iterator

from ..core.errors import UnblendError
from ..images.cutouts import cutout_box
from ..io.files import is_url
from ..io.mosaics import open_mosaic
from .config import Band
from .inputs import FieldInputs


def bad_mosaic(band: Band, inputs: FieldInputs, target: dict[str, float]) -> Iterator[str]:
    """Yield what is wrong with the mosaic of a band and with its weight map, as their headers say.

    Parameters
    ----------
    band : Band
    inputs : FieldInputs
    target : dict
        `ra` and `dec` in degrees.
    """
    assert band.mosaic is not None and band.cutout_size is not None, "the check of the configuration demands it"
    shapes = {}
    for key, name in (("mosaic", band.mosaic), ("weight", band.weight and band.weight.file)):
        path = inputs.path(name) if name else ""
        if not name or is_url(path):
            continue
        try:
            with open_mosaic(path) as mosaic:
                shapes[key] = mosaic.shape
                if key == "mosaic":
                    cutout_box(mosaic.wcs, mosaic.shape, target, band.cutout_size, path)
        except UnblendError as error:
            yield f"bands.{band.name}.{key}: {error}"
    if len(shapes) == 2 and shapes["mosaic"] != shapes["weight"]:
        (ny, nx), (wy, wx) = shapes["mosaic"], shapes["weight"]
        yield (f"bands.{band.name}.weight: it has {wx} x {wy} pixels and the mosaic {nx} x {ny}; expected a map on the "
               "pixels of the mosaic.")  # fmt: skip
