"""The sources of a large page: columns of the table as binary numbers, and the cards of some sources in each file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import reduce
from pathlib import Path
from typing import Any

import numpy as np

from ..core.types import Template
from ..field.adopted_templates import StoredTemplates
from ..photometry.detail_amplitude import with_amplitude
from .band_images import PageImage
from .page import Column, base64_of
from .page_folder import PageFolder

CARDS = 32
"""Number of sources whose cards are in one file."""
TABLE_COLUMNS = {
    "id": ("id", "i4"), "ra": ("ra", "f8"), "dec": ("dec", "f8"), "group": ("group", "i4"),
    "n": ("n", "f4"), "r_e": ("r_e_arcsec", "f4"), "chi2": ("chi2_red", "f4"),
    **{name: (name, "f4") for name in ("a", "b", "theta")},
}  # fmt: skip
"""By name of a file: the column of the sources in it, and the type of its numbers."""
BAND_COLUMNS = ("snr", "flux", "err", "mag")
"""The columns of a band in the table."""


@dataclass(frozen=True)
class BandSources:
    """The sources in a band.

    Parameters
    ----------
    name : str
    image : PageImage
    columns : mapping of str to Column
        What was measured, in the order of the catalogue.
    positions : array (2, n)
        (y, x) of the sources in page pixels.
    flux : array (n,)
        Image units, NaN where unknown.
    amplitude : array (n,)
        Of the detail of a template.
    """

    name: str
    image: PageImage
    columns: Mapping[str, Column]
    positions: np.ndarray
    flux: np.ndarray
    amplitude: np.ndarray


def write_columns(
    files: PageFolder, sources: Mapping[str, Column], positions: np.ndarray, bands: Sequence[BandSources]
) -> None:
    """Write the columns of the table, and the positions on the images, each in a file of binary numbers.

    Parameters
    ----------
    files : PageFolder
    sources : mapping of str to Column
        From `source_columns`.
    positions : array (2, n)
        (y, x) on the stack in page pixels.
    bands : sequence of BandSources
    """
    for name, (column, kind) in TABLE_COLUMNS.items():
        _write_numbers(files, name, sources[column].typed(kind))
    flags = [sources["flag"], *(band.columns["flag"] for band in bands)]
    _write_numbers(files, "flags", reduce(np.bitwise_or, (column.typed("i4") for column in flags)))
    for name, (y, x) in {"stack": positions, **{f"band-{band.name}": band.positions for band in bands}}.items():
        _write_numbers(files, f"y_{name}", y.astype("<f4"))
        _write_numbers(files, f"x_{name}", x.astype("<f4"))
    for band in bands:
        for column in BAND_COLUMNS:
            _write_numbers(files, f"{column}_{band.name}", band.columns[column].typed("f4"))


def _write_numbers(files: PageFolder, name: str, values: np.ndarray) -> None:
    files.write(f"columns/{name}", [values.dtype.str[1:], base64_of(values.tobytes())])


def write_cards(
    files: PageFolder, results: Path, sources: Mapping[str, Column], positions: np.ndarray, bands: Sequence[BandSources]
) -> None:
    """Write what the cards of the sources show, in the order of the catalogue.

    Parameters
    ----------
    files : PageFolder
    results : Path
        Folder of the products.
    sources, positions, bands
        As in `write_columns`.
    """
    ids, sides = sources["id"].values, sources["side"].values
    with ExitStack() as stack:
        templates = {band.name: stack.enter_context(StoredTemplates(results / "bands" / band.name)) for band in bands}
        for number, first in enumerate(range(0, len(ids), CARDS)):
            rows = slice(first, first + CARDS)
            panels: list[dict[str, Any]] = [_places(positions, rows)]
            for band in bands:
                columns = {name: column.listed(rows) for name, column in band.columns.items()}
                tiles = _models(band, templates[band.name], ids[rows], sides[rows], rows)
                panels.append({**columns, **_places(band.positions, rows), "tile": tiles})
            own = {name: column.listed(rows) for name, column in sources.items()}
            files.write(f"cards/{number}", {"first": first, "source": own, "panels": panels})


def _places(positions: np.ndarray, rows: slice) -> dict[str, Any]:
    y, x = (Column(axis, places=2).listed(rows) for axis in positions)
    return {"y": y, "x": x}


def _models(band: BandSources, file: StoredTemplates, ids: np.ndarray, sides: np.ndarray, rows: slice) -> list[Any]:
    """Return the model of each source as in `PageImage.tiles`, None where it has none that is visible."""
    names = [int(i) for i in ids]
    found: list[Template] = []
    for source, amplitude in zip(names, band.amplitude[rows], strict=True):
        template = file.get(source)
        if template is not None:
            found.append(with_amplitude(template, float(amplitude)))
    flux = dict(zip(names, map(float, band.flux[rows]), strict=True))
    places = {i: (float(y), float(x)) for i, y, x in zip(names, *band.positions[:, rows], strict=True)}
    tiles = band.image.tiles(found, flux, places, dict(zip(names, map(float, sides), strict=True)))
    return [tiles.get(i) for i in names]
