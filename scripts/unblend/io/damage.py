"""Products that were cut, emptied or overwritten: found while a run is planned or where a job has failed.

Planning looks at the size, the headers and the end of a product. A product is read as a whole only after a failure: a
run that goes well does not read anything twice.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import BinaryIO
from zipfile import BadZipFile

import fitsio
import numpy as np

from .fits_files import open_fits

SUFFIX = ".damaged"
"""Added to the name of a product that was moved aside."""
FITS_BLOCK = 2880
_TAIL = 22
"""Bytes of the end of a zip archive without a comment."""
_LINE, _PAGE = re.compile(rb"\n\Z"), re.compile(rb"</html>\n\Z")
_ENDS = {
    ".json": re.compile(rb"[}\]]\n\Z"),
    ".npz": re.compile(rb"\APK\x05\x06", re.S),
    ".png": re.compile(rb"IEND\xaeB`\x82\Z"),
    ".html": _PAGE,
    ".vot": re.compile(rb"</VOTABLE>\n\Z"),
    **dict.fromkeys((".ecsv", ".cat", ".dat", ".para", ".sh", ".txt"), _LINE),
}
"""By kind of file: the end of a whole one. A region file may be saved by an editor without its last line break."""
_WITH_DETAIL = b"DETAIL  =                    T"
_LENGTH_CARDS = (b"BITPI", b"NAXIS", b"PCOUN", b"GCOUN")
_CARD = re.compile(rb"(BITPIX|NAXIS\d*|PCOUNT|GCOUNT) *= +(-?\d+) *(/|$)")
_PRODUCTS = re.compile(
    r"(det_(stack|snr|error|background|auto_seg|auto_cat|seg|cat)|catalogue|flux_draws)\.fits"
    r"|imfit/((groups|models)\.json|(sersic|psf|mask|det_stack-\w+)\.fits|batches/[\w-]+\.json|models/\d+\.fits)"
    r"|imfit/\d+/(\w+\.fits|(first|fit)\.json)"
    r"|bands/[^/]+/(tiles/\d+_\d+/)?([a-z-]+\.(fits|json|npz))"
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
    """Whether a product is there and was not cut or emptied; see `cut_of`."""
    return cut_of(path) is None


def cut_of(path: Path) -> str | None:
    """Return why a product is not whole, as its size and its end tell without reading all of it; None where it is.

    The headers of a FITS file say how long it is; JSON files end with a brace and a line break, NumPy files with the
    end of a zip archive, pictures and pages with marks of their own, tables and scripts with a line break.
    """
    try:
        size = path.stat().st_size
        if size == 0:
            return "it is empty"
        if path.suffix == ".fits":
            return _fits_cut(path, size)
        end = _ENDS.get(path.suffix)
        if end is None:
            return None
        with path.open("rb") as stream:
            stream.seek(max(0, size - _TAIL))
            return None if end.search(stream.read()) is not None else "its end is missing"
    except OSError as error:
        return f"it cannot be read: {error.strerror}"


def _fits_cut(path: Path, size: int) -> str | None:
    """Return why a FITS file of `size` bytes is not as long as its headers say; None where it is."""
    if size % FITS_BLOCK:
        return f"its size of {size} bytes is not a multiple of {FITS_BLOCK}"
    with path.open("rb") as stream:
        if stream.read(6) != b"SIMPLE":
            return "it does not begin as FITS"
        end, number, more = 0, 0, False
        while end < size:
            stream.seek(end)
            found = _hdu(stream, size - end)
            if found is None:
                return f"the header at byte {end} is damaged"
            end, number, more = end + found[0], number + 1, more or found[1]
    if number == 1 and more:
        return "the extension behind its first header is missing"
    return None if end == size else f"it has {size} bytes of the {end} that its headers announce"


def _hdu(stream: BinaryIO, longest: int) -> tuple[int, bool] | None:
    """Return the length in bytes of the header and data at the place of the stream, and if an extension must follow.

    One follows a header without data, as of every table, and that of a model with a detail. None without the END of the
    header, or without the cards that give the length of the data.
    """
    values: dict[bytes, int] = {}
    more = False
    for length in range(FITS_BLOCK, longest + 1, FITS_BLOCK):
        block = stream.read(FITS_BLOCK)
        more |= _WITH_DETAIL in block
        for start in range(0, FITS_BLOCK, 80):
            name = block[start : start + 5]
            if name in _LENGTH_CARDS and (found := _CARD.match(block[start : start + 80])):
                values[found[1]] = int(found[2])
            elif name == b"END  ":
                data = _data_length(values)
                return None if data is None else (length + -(-data // FITS_BLOCK) * FITS_BLOCK, more or data == 0)
    return None


def _data_length(values: Mapping[bytes, int]) -> int | None:
    try:
        axes = [values[b"NAXIS%d" % (k + 1)] for k in range(values[b"NAXIS"])]
        number = math.prod(axes) if axes else 0
        return abs(values[b"BITPIX"]) // 8 * values.get(b"GCOUNT", 1) * (values.get(b"PCOUNT", 0) + number)
    except KeyError:
        return None


def damage_of(path: Path) -> str | None:
    """Return why a FITS, JSON or NumPy file cannot be read in full; None where it can."""
    try:
        size = path.stat().st_size
        if size == 0:
            return "it is empty"
        if path.suffix == ".fits":
            if (cut := _fits_cut(path, size)) is not None:
                return cut
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
