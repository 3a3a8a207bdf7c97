"""Products of sources and bands that the field no longer has: they are moved aside, so that nobody takes them for new.

Only products of this program are moved. They may be deleted; those of a band are not used again if it returns.
"""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Collection, Iterable
from pathlib import Path

from ..core.tiles import FOLDER as TILES_FOLDER
from .adopted_templates import TILES

log = logging.getLogger(__name__)

FITS = ("first.json", "fit.json")
"""Either is in the folder of a fit group."""
FOLDER = "stale"
"""Folder of the results to which they are moved."""


def move_stale_models(results: Path, sources: Collection[int]) -> list[Path]:
    """Move the models and fits of sources that are not in the field; return their new paths.

    These are `imfit/models/{id}.fits` and, for the main source of a fit group, `imfit/{id}`.

    Parameters
    ----------
    results : Path
        Folder of the products.
    sources : collection of int
        IDs of the field.
    """
    models = sorted((results / "imfit/models").glob("*.fits"))
    fits = [path for path in sorted((results / "imfit").glob("*")) if any((path / name).exists() for name in FITS)]
    stale = [path for path in (*models, *fits) if path.stem.isdigit() and int(path.stem) not in sources]
    return _move(results, stale)


def move_stale_bands(results: Path, bands: Collection[str]) -> list[Path]:
    """Move the folders and logs of bands that are not in the configuration; return the new paths.

    Parameters
    ----------
    results : Path
        Folder of the products.
    bands : collection of str
        Names of the bands.
    """
    folders = [path for path in sorted((results / "bands").glob("*")) if path.name not in bands and _is_band(path)]
    logs = [path for folder in folders for path in sorted((results / "logs").glob(f"*/{folder.name}.log"))]
    return _move(results, [*folders, *logs])


def move_stale_tiles(results: Path, band: str, tiles: Collection[str]) -> list[Path]:
    """Move the products of tiles that a band does not have any more; return the new paths.

    Parameters
    ----------
    results : Path
        Folder of the products.
    band : str
    tiles : collection of str
        Names of its tiles, none if it is measured as a whole. The templates of a band are then those of its tiles.
    """
    folder = results / "bands" / band
    known = [path for path in sorted((folder / TILES_FOLDER).glob("*_*")) if path.is_dir()]
    stale = [path for path in known if path.name not in tiles]
    stale += [folder / name for name in (("templates.npz", ".templates.npz") if tiles else (TILES,))]
    return _move(results, [path for path in stale if path.exists()])


def _is_band(folder: Path) -> bool:
    """Return whether a folder has the products of a band, and is not one that the user has made."""
    return any((folder / name).exists() for name in ("mask.fits", "psf.fits", "fluxes.fits"))


def _move(results: Path, paths: Iterable[Path]) -> list[Path]:
    """Move products below `FOLDER`, where an older one of the same name is replaced."""
    moved = []
    for path in paths:
        target = results / FOLDER / path.relative_to(results)
        if target.is_dir() and not target.is_symlink():
            shutil.rmtree(target)
        target.parent.mkdir(parents=True, exist_ok=True)
        os.replace(path, target)
        moved.append(target)
    if moved:
        log.info("moved to %s: %s", results / FOLDER, ", ".join(str(p.relative_to(results / FOLDER)) for p in moved))
    return moved
