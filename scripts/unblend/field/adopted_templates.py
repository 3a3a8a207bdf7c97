"""The templates of a band as its fluxes were fitted: with the adopted amplitudes of the details."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from ..core.tiles import FOLDER
from ..core.types import Box, Template
from ..io.files import read_json
from ..io.tables import read_table
from ..io.template_store import TemplateFile, read_templates
from ..photometry.detail_amplitude import with_amplitude

TILES = "tiles.json"
"""In the folder of a band that is measured in tiles: window and sources of each by the name of its folder."""


def adopted_templates(folder: Path) -> list[Template]:
    """Return the templates in the folder of a band whose fluxes have been extracted.

    Those of a band that is measured in tiles are each that of the tile that owns the source, which may be cut at the
    border of its window.

    Raises
    ------
    OSError
        A file is missing or damaged.
    """
    if (folder / TILES).exists():
        return _of_tiles(folder, read_json(folder / TILES))
    return _of_one(folder)


class StoredTemplates:
    """The templates of a band as they were made, each read when it is asked for; a context manager.

    Parameters
    ----------
    folder : Path
        Of the products of the band, which may be measured in tiles.

    Raises
    ------
    OSError
        A file is missing or damaged.
    """

    def __init__(self, folder: Path) -> None:
        self._stack = ExitStack()
        self._owner: dict[int, tuple[TemplateFile, Box]] = {}
        self._whole: TemplateFile | None = None
        if not (folder / TILES).exists():
            self._whole = self._stack.enter_context(TemplateFile(folder / "templates.npz"))
            return
        for name, tile in read_json(folder / TILES).items():
            file = self._stack.enter_context(TemplateFile(folder / FOLDER / name / "templates.npz"))
            self._owner |= dict.fromkeys(tile["sources"], (file, Box(*tile["window"])))

    def __enter__(self) -> StoredTemplates:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def get(self, source: int) -> Template | None:
        """Return the template of a source on the image of the band; None if it has none."""
        if self._whole is not None:
            return self._whole.get(source)
        if source not in self._owner:
            return None
        file, window = self._owner[source]
        template = file.get(source)
        return template and replace(template, box=template.box.shifted(window.y0, window.x0))


def _of_tiles(folder: Path, tiles: Mapping[str, Mapping[str, list[int]]]) -> list[Template]:
    """Return the templates that the tiles own, in the pixels of the whole image, in the order of the IDs."""
    found = []
    for name, tile in tiles.items():
        owned, window = frozenset(tile["sources"]), Box(*tile["window"])
        mine = (template for template in _of_one(folder / FOLDER / name) if template.id in owned)
        found += [replace(each, box=each.box.shifted(window.y0, window.x0)) for each in mine]
    return sorted(found, key=lambda template: template.id)


def _of_one(folder: Path) -> list[Template]:
    templates, _ = read_templates(folder / "templates.npz")
    if all(template.detail is None for template in templates):
        return templates
    fluxes = read_table(folder / "fluxes.fits")
    amplitude = {int(row["id"]): float(row["detail_amplitude"]) for row in fluxes}
    return [with_amplitude(template, amplitude.get(template.id, 1.0)) for template in templates]
