"""Model images of sources as FITS files with a WCS: those of the workflow and those of the user."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from ..core import coordinates
from ..core.errors import InputError
from ..core.types import Model, ModelOutline, SersicShape
from .images import read_header, read_image, write_image
from .world_coordinates import wcs_from_header

SHAPE_CARDS = {"SHAPE_N": "n", "SHAPE_RE": "r_e", "SHAPE_EL": "ell", "SHAPE_PA": "pa"}
"""Cards of the shape of a Sersic profile, in pixels of the model."""
PIXELS_CARD = "PIXCRC"
"""Card with the CRC-32 of the pixels to which the shape belongs: edited pixels are no longer those of the profile."""


def model_header(model: Model) -> dict[str, object]:
    """Return the header cards of a model: a tangent-plane WCS, its total flux (TOTAL), the fraction inside (HELD).

    A Sersic profile has those of its shape, too.
    """
    jacobian = model.pixel_to_sky / 3600.0
    shape: dict[str, object] = {}
    if model.shape is not None:
        shape = {card: getattr(model.shape, name) for card, name in SHAPE_CARDS.items()}
        shape[PIXELS_CARD] = _checksum(model.data)
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
        "HELD": float(model.data.sum()) / model.total if model.total else 1.0,
        "PIXINT": model.pixel_integrated,
        **shape,
    }


def write_model(path: str | Path, model: Model, header: Mapping[str, object] | None = None) -> None:
    """Write a model as float32 pixels with the cards of `model_header`, and its detail as the extension DETAIL.

    Parameters
    ----------
    path : path
    model : Model
    header : mapping, optional
        Further cards.
    """
    cards, extensions = {**model_header(model), **(header or {})}, {}
    if model.detail is not None:
        own = {**model_header(model.detail), "NOISE": model.detail.noise, "FREE": model.detail.free}
        cards["DETAIL"], extensions["DETAIL"] = True, (model.detail.data, own)
    write_image(path, model.data, header=cards, extensions=extensions)


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
    if _is_written_model(header):
        detail = _written_model(*read_image(f"{path}[DETAIL]")) if header.get("DETAIL") else None
        return replace(_written_model(data, header), detail=detail), header
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


def read_model_outline(path: str | Path) -> ModelOutline:
    """Return the model in a file without its pixels, which for a file of the workflow are not read.

    Raises
    ------
    InputError
        As for `read_model_header`.
    """
    header = read_header(str(path))
    if not _is_written_model(header):
        model = read_model(path)
    else:
        nothing = np.zeros((0, 0))
        detail = _written_model(nothing, read_header(f"{path}[DETAIL]")) if header.get("DETAIL") else None
        model = replace(_written_model(nothing, header), detail=detail)
    return ModelOutline(model.sky, model.pixel_to_sky, model.total, model.flux, model.detail_noise)


def _is_written_model(header: Mapping[str, object]) -> bool:
    """Return whether a file was written by `write_model`."""
    return "TOTAL" in header and "PIXINT" in header and "HELD" in header


def _written_model(data: np.ndarray, header: Mapping[str, object]) -> Model:
    """Return the model, or the detail, that `write_model` has written."""
    cards = {name: float(value) for name, value in header.items() if isinstance(value, (int, float))}
    jacobian = 3600.0 * np.array([[cards["CD1_2"], cards["CD1_1"]], [cards["CD2_2"], cards["CD2_1"]]])
    return Model(
        data,
        centre=(cards["CRPIX2"] - 1.0, cards["CRPIX1"] - 1.0),
        sky=(cards["CRVAL1"], cards["CRVAL2"]),
        pixel_to_sky=jacobian,
        total=cards["TOTAL"],
        pixel_integrated=bool(header["PIXINT"]),
        noise=cards.get("NOISE", 0.0),
        shape=_written_shape(data, header, cards),
        free=bool(header.get("FREE", False)),
    )


def _written_shape(data: np.ndarray, header: Mapping[str, object], cards: Mapping[str, float]) -> SersicShape | None:
    """Return the shape of the profile in a file whose pixels are as they were written, otherwise None."""
    if PIXELS_CARD not in header or header[PIXELS_CARD] != _checksum(data):
        return None
    return SersicShape(**{name: cards[card] for card, name in SHAPE_CARDS.items()})


def _checksum(data: np.ndarray) -> int:
    """Return the CRC-32 of an image as float32."""
    return zlib.crc32(np.asarray(data, dtype=">f4").tobytes())
