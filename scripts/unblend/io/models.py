"""Model images of sources as FITS files with a WCS: those of the workflow and those of the user."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from ..core import coordinates
from ..core.errors import InputError
from ..core.types import Model
from .images import read_image, wcs_from_header, write_image


def model_header(model: Model) -> dict[str, object]:
    """Return the header cards of a model: a tangent-plane WCS, its total flux (TOTAL), the fraction inside (HELD)."""
    jacobian = model.pixel_to_sky / 3600.0
    return {
        "CTYPE1": "RA---TAN",
        "CTYPE2": "DEC--TAN",
        "CUNIT1": "deg",
        "CUNIT2": "deg",
        "CRPIX1": model.centre[1] + 1.0,
        "CRPIX2": model.centre[0] + 1.0,
        "CRVAL1": model.sky[0],
        "CRVAL2": model.sky[1],
        "CD1_1": jacobian[0, 1],
        "CD1_2": jacobian[0, 0],
        "CD2_1": jacobian[1, 1],
        "CD2_2": jacobian[1, 0],
        "RADESYS": "ICRS",
        "TOTAL": model.total,
        "HELD": float(model.data.sum()) / model.total,
        "PIXINT": model.pixel_integrated,
    }


def write_model(path: str | Path, model: Model, header: Mapping[str, object] | None = None) -> None:
    """Write a model as float32 pixels with the cards of `model_header`.

    Parameters
    ----------
    path : path
    model : Model
    header : mapping, optional
        Further cards.
    """
    write_image(path, model.data, header={**model_header(model), **(header or {})})


def read_model(path: str | Path) -> Model:
    """Return the model in a file; see `read_model_header`."""
    return read_model_header(path)[0]


def read_model_header(path: str | Path) -> tuple[Model, dict[str, object]]:
    """Return the model in a file and the header of the file.

    The file was written by `write_model` or is an image of the user with a valid WCS. The total flux of a user's image
    is the sum of its pixels, which are taken as integrated over the pixel unless the header has `PIXINT = F`.

    Raises
    ------
    InputError
        The file has no WCS, pixels that are not finite, or a sum that is not positive.
    """
    data, header = read_image(str(path))
    if not np.isfinite(data).all():
        raise InputError(f"{path} has {int((~np.isfinite(data)).sum())} pixels that are not finite. Set them to 0.")
    if data.sum() <= 0:
        raise InputError(f"The pixels of {path} have the sum {data.sum():g}; the sum of a model must be positive.")
    if "TOTAL" in header and "PIXINT" in header and "HELD" in header:
        jacobian = 3600.0 * np.array(
            [[header["CD1_2"], header["CD1_1"]], [header["CD2_2"], header["CD2_1"]]], dtype=float
        )
        centre = (float(header["CRPIX2"]) - 1.0, float(header["CRPIX1"]) - 1.0)  # type: ignore[arg-type]
        sky = (float(header["CRVAL1"]), float(header["CRVAL2"]))  # type: ignore[arg-type]
        total = float(header["TOTAL"])  # type: ignore[arg-type]
        return Model(data, centre, sky, jacobian, total, bool(header["PIXINT"])), header
    wcs = wcs_from_header(header, str(path))
    # The Jacobian is taken at the centroid of the light: the reference pixel may lie far from the stamp.
    y, x = (float(np.average(grid, weights=np.abs(data))) for grid in np.indices(data.shape))
    y, x = float(round(y)), float(round(x))
    ra, dec = coordinates.pixel_to_sky(wcs, np.array([y]), np.array([x]))
    total = float(data.sum())
    model = Model(
        data,
        (y, x),
        (float(ra[0]), float(dec[0])),
        coordinates.sky_jacobian(wcs, y, x),
        total,
        bool(header.get("PIXINT", True)),
    )
    return model, header
