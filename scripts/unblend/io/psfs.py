"""The PSF of a band as a FITS file: the PSFs of its map with their centres and sampling, and where each holds.

The first image is the PSF in the middle of the band's image, for other programs and for the eye. A map has two more
extensions: PSFS, the cube of all PSFs with a column of cards for each in the table OF_PSFS, and the table PLACES.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from ..core.errors import InputError
from ..core.field_psf import Everywhere, FieldPsf, NearestPoint, PixelGrid, Places, Polygons
from ..core.types import Psf
from .fits_files import new_fits, open_fits
from .images import header_records, read_image
from .tables import columns

PLANES, TABLE, PLACES = "PSFS", "OF_PSFS", "PLACES"
KINDS: dict[str, type] = {"everywhere": Everywhere, "points": NearestPoint, "grid": PixelGrid, "polygons": Polygons}
"""Kind of places by the card PSFMAP."""


def read_psf(name: str) -> tuple[FieldPsf, dict[str, object]]:
    """Return a PSF that was written by `write_psf`, and the header of its first image."""
    data, header = read_image(name)
    kind = str(header.get("PSFMAP", "everywhere"))
    if KINDS[kind] is Everywhere:
        centre = (float(header["CENTRE_Y"]), float(header["CENTRE_X"]))  # type: ignore[arg-type]
        return FieldPsf((_psf(data, centre, header, header["ORIGSUM"]),)), header
    with open_fits(name) as fits:
        planes, table, places = fits[PLANES].read(), fits[TABLE].read(), fits[PLACES].read()
    psfs = tuple(
        _psf(np.ascontiguousarray(plane, dtype=np.float64), (row["centre_y"], row["centre_x"]), header, row["sum"])
        for plane, row in zip(planes, table, strict=True)
    )
    return FieldPsf(psfs, _places(kind, places)), header


def _psf(data: np.ndarray, centre: tuple[float, float], header: Mapping[str, object], original_sum: object) -> Psf:
    return Psf(
        data=data,
        centre=(float(centre[0]), float(centre[1])),
        oversampling=float(header["OVERSAMP"]),  # type: ignore[arg-type]
        kind=str(header["PSFKIND"]),
        original_sum=float(original_sum),  # type: ignore[arg-type]
    )


def read_psf_widths(name: str) -> np.ndarray:
    """Return the FWHM of each PSF of a file in PSF pixels, shape (n,)."""
    header = read_image(name)[1]
    if "PSFMAP" not in header:
        return np.array([float(header["FWHMPSF"])])  # type: ignore[arg-type]
    with open_fits(name) as fits:
        return np.asarray(fits[TABLE].read()["fwhm"], dtype=float)


def write_psf(
    path: str | Path,
    psf: FieldPsf | Psf,
    header: Mapping[str, object] | None = None,
    *,
    middle: tuple[float, float] = (0.0, 0.0),
    widths: Sequence[float] | np.ndarray | None = None,
) -> None:
    """Write a PSF as float64, so that templates are not affected by rounding.

    Parameters
    ----------
    path : path
    psf : FieldPsf or Psf
    header : mapping, optional
        Further cards, besides those of the centre and the sampling.
    middle : (y, x)
        Middle of the band's image, whose PSF is written first.
    widths : array (n,), optional
        FWHM of each PSF in PSF pixels.
    """
    field = FieldPsf.of(psf)
    shown = field.at(*middle)
    is_map = not isinstance(field.places, Everywhere)
    cards = {
        "CENTRE_Y": shown.centre[0],
        "CENTRE_X": shown.centre[1],
        "OVERSAMP": shown.oversampling,
        "PSFKIND": shown.kind,
        "ORIGSUM": shown.original_sum,
        **({"PSFMAP": _kind(field.places), "NPSFS": len(field.psfs)} if is_map else {}),
        **(header or {}),
    }
    with new_fits(path) as fits:
        fits.write(np.ascontiguousarray(shown.data, dtype=np.float64), header=header_records(cards))
        if is_map:
            fits.write(np.stack([one.data for one in field.psfs]), extname=PLANES)
            fits.write(_table(field.psfs, widths), extname=TABLE)
            fits.write(_rows(field.places), extname=PLACES)


def _kind(places: Places) -> str:
    return next(name for name, kind in KINDS.items() if isinstance(places, kind))


def _table(psfs: Sequence[Psf], widths: Sequence[float] | np.ndarray | None) -> np.ndarray:
    """Return the table of the PSFs of a map."""
    return columns(
        centre_y=np.array([psf.centre[0] for psf in psfs]),
        centre_x=np.array([psf.centre[1] for psf in psfs]),
        sum=np.array([psf.original_sum for psf in psfs]),
        fwhm=np.full(len(psfs), np.nan) if widths is None else np.asarray(widths, dtype=float),
    )


def _rows(places: Places) -> np.ndarray:
    """Return places as a table: points, the nodes of a grid, or the edges of polygons with the index of the PSF."""
    if isinstance(places, NearestPoint):
        return columns(y=places.points[:, 0], x=places.points[:, 1])
    if isinstance(places, PixelGrid):
        y, x = np.meshgrid(places.y, places.x, indexing="ij")
        return columns(y=y.ravel(), x=x.ravel())
    if isinstance(places, Polygons):
        return columns(
            polygon=places.numbers.astype(np.int32),
            psf=places.owners[places.numbers].astype(np.int32),
            **{name: ends[:, axis] for name, ends, axis in _edge_columns(places)},
        )
    raise TypeError(f"no table for {type(places).__name__}")


def _edge_columns(places: Polygons) -> list[tuple[str, np.ndarray, int]]:
    pairs = (("0", places.starts), ("1", places.ends))
    return [(f"{name}{number}", ends, axis) for number, ends in pairs for axis, name in enumerate("yx")]


def _places(kind: str, table: np.ndarray) -> Places:
    """Return the places of a table as from `_rows`.

    Raises
    ------
    InputError
        The table is damaged.
    """
    names = table.dtype.names or ()
    column = {name: np.asarray(table[name], dtype=float) for name in names}
    try:
        if KINDS[kind] is NearestPoint:
            return NearestPoint(np.column_stack([column["y"], column["x"]]))
        if KINDS[kind] is PixelGrid:
            return PixelGrid(np.unique(column["y"]), np.unique(column["x"]))
        numbers = np.asarray(table["polygon"], dtype=int)
        owners = np.zeros(numbers.max() + 1, dtype=int)
        owners[numbers] = table["psf"]
        starts, ends = (np.column_stack([column[f"y{k}"], column[f"x{k}"]]) for k in "01")
        return Polygons(owners, numbers, starts, ends)
    except (KeyError, ValueError) as error:
        raise InputError(f"the table {PLACES} of a PSF is damaged; delete the file and run again.") from error
