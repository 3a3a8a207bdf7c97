"""FITS files opened with fitsio, whatever characters their names and folders have."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import fitsio

from .files import atomic_path

_PLAIN = re.compile(r"[\w./ -]+")
"""Names that CFITSIO takes as they are; it understands [ ] ( ) + and others as filters, copies and extensions."""


@contextmanager
def open_fits(path: str | Path) -> Iterator[fitsio.FITS]:
    """Open an existing file for reading.

    Raises
    ------
    OSError, UnicodeDecodeError
        The file is not FITS.
    """
    if _PLAIN.fullmatch(str(path)):
        with fitsio.FITS(str(path), "r") as fits:
            yield fits
        return
    with tempfile.TemporaryDirectory(prefix="unblend-") as folder:
        link = Path(folder) / "file.fits"
        link.symlink_to(Path(path).absolute())
        with fitsio.FITS(str(link), "r") as fits:
            yield fits


@contextmanager
def new_fits(path: str | Path) -> Iterator[fitsio.FITS]:
    """Open a new file for writing; it appears under its name when the block ends well, and not at all otherwise."""
    with atomic_path(path) as temporary:
        if _PLAIN.fullmatch(str(temporary)):
            with fitsio.FITS(str(temporary), "rw", clobber=True) as fits:
                yield fits
            return
        with tempfile.TemporaryDirectory(prefix="unblend-") as folder:
            link = Path(folder) / "folder"
            link.symlink_to(temporary.parent.absolute())
            written = link / f".{os.getpid()}.fits"
            with fitsio.FITS(str(written), "rw", clobber=True) as fits:
                yield fits
            os.replace(written, temporary)
