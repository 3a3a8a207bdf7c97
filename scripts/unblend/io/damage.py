"""Products that were cut, emptied or overwritten: found where a job has failed, and moved aside to be made again.

A product is looked at as a whole only after a failure: a run that goes well does not read anything twice.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from zipfile import BadZipFile

import fitsio
import numpy as np

from .fits_files import open_fits

SUFFIX = ".damaged"
"""Added to the name of a product that was moved aside."""
FITS_BLOCK = 2880
_TAIL = 22
"""Bytes of the end of a zip archive without a comment."""
_ENDS = {".json": re.compile(rb"[}\]]\n\Z"), ".npz": re.compile(rb"\APK\x05\x06", re.S)}
_PRODUCTS = re.compile(
    r"(det_(stack|snr|error|background|auto_seg|auto_cat|seg|cat)|catalogue)\.fits"
    r"|imfit/((groups|models)\.json|(sersic|psf|mask|det_stack-\w+)\.fits|batches/[\w-]+\.json|models/\d+\.fits)"
    r"|imfit/\d+/(\w+\.fits|(first|fit)\.json)"
    r"|bands/[^/]+/([a-z-]+\.(fits|json|npz))"
)
"""Names of the products below the results folder that may be moved aside; whatever else lies there is not ours."""


def set_damaged_aside(results: Path, named: Iterable[str | Path] = ()) -> list[str]:
    """Rename every product that cannot be read, so that the next run makes it again, and describe each in a sentence.

    Parameters
    ----------
    results : Path
        The results folder.
    named : iterable of paths
        Files to look at first. If one of them is damaged, the others of the folder are not read.

    Returns
    -------
    list of str
        One sentence for each file that was renamed.
    """
    first = [path for path in map(Path, named) if is_product(results, path)]
    return _set_aside(first) or _set_aside(_products(results))


def describe_damage(results: Path, *, move: bool) -> list[str]:
    """Return a sentence for every damaged product; with `move` they are renamed, as by `set_damaged_aside`."""
    if move:
        return set_damaged_aside(results)
    found = {path: damage_of(path) for path in _products(results)}
    return [f"{path} is damaged ({reason}); a run moves it away." for path, reason in found.items() if reason]


def is_product(results: Path, path: Path) -> bool:
    """Whether a file is one that the program has made: by its place in the results folder and its name."""
    try:
        name = path.absolute().relative_to(results.absolute())
    except ValueError:
        return False
    return _PRODUCTS.fullmatch(name.as_posix()) is not None and path.is_file()


def _products(results: Path) -> Iterator[Path]:
    found = [*results.glob("*.fits"), *results.glob("imfit/*"), *results.glob("imfit/*/*"), *results.glob("bands/*/*")]
    return (path for path in sorted(found) if is_product(results, path))


def _set_aside(paths: Iterable[Path]) -> list[str]:
    sentences = []
    for path in paths:
        reason = damage_of(path)
        if reason is not None:
            moved = path.with_name(path.name + SUFFIX)
            try:
                path.replace(moved)
            except OSError:  # another job has moved it, or the disk cannot be written
                continue
            sentences.append(f"{path} was damaged ({reason}); it is now {moved.name}: run again, and it is made anew.")
    return sentences


def is_whole(path: Path) -> bool:
    """Whether a product is there and was not cut or emptied, as its size or its end tells without reading it.

    FITS files consist of blocks of 2880 bytes; JSON files end with a brace and a line break, NumPy files with the end
    of a zip archive.
    """
    try:
        size = path.stat().st_size
        if path.suffix == ".fits" or size == 0:
            return size > 0 and size % FITS_BLOCK == 0
        end = _ENDS.get(path.suffix)
        if end is None:
            return True
        with path.open("rb") as stream:
            stream.seek(max(0, size - _TAIL))
            return end.search(stream.read()) is not None
    except OSError:
        return False


def damage_of(path: Path) -> str | None:
    """Return why a FITS, JSON or NumPy file cannot be read in full; None where it can."""
    try:
        size = path.stat().st_size
        if size == 0:
            return "it is empty"
        if path.suffix == ".fits":
            with open_fits(path) as fits:
                for hdu in fits:
                    _read(hdu)
        elif path.suffix == ".json":
            json.loads(path.read_text(encoding="utf-8"))
        elif path.suffix == ".npz":
            with path.open("rb") as stream, np.load(stream) as store:
                for name in store.files:
                    store[name]
    except (OSError, ValueError, EOFError, KeyError, BadZipFile) as error:
        return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
    return None


def _read(hdu: fitsio.hdu.ImageHDU) -> None:
    if hdu.has_data() if hasattr(hdu, "has_data") else hdu.get_nrows():
        hdu.read()
