"""Images as they lie in FITS files: which extension and plane a name selects, and what the stored pixels mean."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import fitsio
import numpy as np

from ..core.errors import InputError
from ..core.types import Box
from .fits_files import open_fits
from .header_numbers import needed_number
from .headers import header_text, read_cards
from .selections import Selection, known_extensions, split_extension

_INTEGERS = (8, 16, 32, 64)
"""BITPIX of images that store integers."""
TABLES = ("BINARY_TBL", "ASCII_TBL")


@dataclass(frozen=True)
class StoredImage:
    """An image of two dimensions in an open file: `index` is that of its plane in a cube.

    With `window` its pixels are those of that box, which must lie in the image and have pixels.
    """

    hdu: fitsio.hdu.ImageHDU
    index: tuple[int, ...]
    shape: tuple[int, int]
    window: Box | None = None

    def read(self) -> np.ndarray:
        """Return the pixels (ny, nx)."""
        if not self.index and self.window is None:
            return self.hdu.read()
        box = Box.of_shape(self.shape) if self.window is None else self.window
        return self.hdu[(*(slice(i, i + 1) for i in self.index), *box.slices)].reshape(box.shape)


def find_image(fits: fitsio.FITS, name: str) -> StoredImage:
    """Return the image that `name` selects, or the first two-dimensional one of the file.

    Raises
    ------
    InputError
        There is none.
    """
    hdu, selection = find_hdu(fits, name)
    shape = dimensions(hdu)
    index = selection.plane_index(shape, name)
    return StoredImage(hdu, index, (shape[-2], shape[-1]))


def find_hdu(fits: fitsio.FITS, name: str) -> tuple[fitsio.hdu.ImageHDU, Selection]:
    """Return the extension that `name` selects, or the first one with an image of two dimensions, else of more."""
    path, text = split_extension(name)
    selection = Selection.parse(text)
    if selection.key is None:
        images = [hdu for hdu in fits if hdu.get_exttype() not in TABLES and len(dimensions(hdu)) > 1]
        flat = [hdu for hdu in images if math.prod(dimensions(hdu)[:-2]) == 1] if selection.plane is None else []
        if not images:
            raise InputError(f"{path} has no two-dimensional image. Give the extension of the image as {path}[NAME].")
        hdu = (sorted(flat, key=lambda hdu: len(dimensions(hdu)) > 2) or images)[0]
    else:
        try:
            hdu = fits[selection.key] if not isinstance(selection.key, tuple) else _of_version(fits, *selection.key)
        except (OSError, KeyError, IndexError) as error:
            known = known_extensions([(hdu.get_extname(), hdu.get_extver()) for hdu in fits])
            raise InputError(f"{path} has no extension {text!r}. It has {known}: name one of these.") from error
        if hdu.get_exttype() in TABLES:
            raise InputError(f"{name} is a table; expected an image. Give another extension.")
    return hdu, selection


def _of_version(fits: fitsio.FITS, name: str, version: int) -> fitsio.hdu.ImageHDU:
    """Return the extension of a name and version, which is 1 without EXTVER (FITS standard, 4.4.2.6)."""
    found = [hdu for hdu in fits if hdu.get_extname().upper() == name.upper() and (hdu.get_extver() or 1) == version]
    if not found:
        raise KeyError(name)
    return found[0]


def dimensions(hdu: fitsio.hdu.ImageHDU) -> tuple[int, ...]:
    """Return the shape of the image of an extension; () without pixels."""
    return tuple(hdu.get_dims()) if hdu.has_data() else ()


@contextmanager
def opened_fits(name: str) -> Iterator[fitsio.FITS]:
    """Open the file of an image `file.fits` or `file.fits[EXT]`.

    Raises
    ------
    InputError
        The file is missing or is not FITS.
    """
    path, _ = split_extension(name)
    if not Path(path).exists():
        raise InputError(f"{path} does not exist; expected a FITS file. Correct its name in config.yaml.")
    with ExitStack() as stack:
        try:
            fits = stack.enter_context(open_fits(path))
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(
                f"{path} cannot be read as FITS: {_first_line(error)}. Give an image in FITS format."
            ) from error
        yield fits


def _first_line(error: Exception) -> str:
    # The message of CFITSIO quotes the file, which may be binary.
    return "its header is not text" if isinstance(error, UnicodeDecodeError) else str(error).splitlines()[0].rstrip(".")


@contextmanager
def read_whole(name: str) -> Iterator[None]:
    """Turn errors of reading a file that was opened into a sentence."""
    try:
        yield
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{name} cannot be read: {_first_line(error)}. Check if the file is truncated.") from error


def pixels_of(image: StoredImage, name: str) -> np.ndarray:
    """Return the pixels of an image, with its header only read where the pixels need it."""
    return stored_pixels(image, needed_header(image), name)


def needed_header(image: StoredImage) -> dict[str, object] | None:
    """Return the header of an image for `stored_pixels`, None where the pixels do not need it."""
    return None if _is_plain(image) else read_cards(image.hdu)


def _is_plain(image: StoredImage) -> bool:
    """Return whether pixels are floats that are stored as they are; False where only the parsed header can tell.

    Parsing the cards of a long header takes time, so they are only looked at.
    """
    info = image.hdu.get_info()
    if info["img_type"] in _INTEGERS or info["is_compressed_image"]:
        return False
    text = header_text(image.hdu)
    return text is not None and not {b"BSCALE  ", b"BZERO   "} & {text[at : at + 8] for at in range(0, len(text), 80)}


def stored_pixels(image: StoredImage, header: Mapping[str, object] | None, name: str) -> np.ndarray:
    """Return the pixels of an image as native float64, NaN where an integer is BLANK or a pixel is infinite.

    The header is not needed for an image that `_is_plain`.
    """
    integers = image.hdu.get_info()["img_type"] in _INTEGERS
    if header is None or not (integers or "BSCALE" in header or "BZERO" in header):
        data = np.ascontiguousarray(image.read(), dtype=np.float64)
    else:
        # CFITSIO would scale in float32, or 64-bit integers to integers, and lose the integers that BLANK marks.
        image.hdu.ignore_scaling = True
        stored = image.read()
        image.hdu.ignore_scaling = False
        data = scaled(stored, header, name)
    data[np.isinf(data)] = np.nan
    return data


def scaled(stored: np.ndarray, header: Mapping[str, object], name: str) -> np.ndarray:
    """Return pixels as a file stores them as the float64 pixels that they mean.

    Parameters
    ----------
    stored : array (ny, nx)
    header : mapping
        BSCALE and BZERO are applied; integers of the value BLANK are NaN.
    name : str
        Name of the file for error messages.

    Raises
    ------
    InputError
        One of these cards holds no number.
    """
    stored = np.ascontiguousarray(stored, dtype=stored.dtype.newbyteorder("="))
    scale, zero = (
        needed_number(header, key, name, default=default) for key, default in (("BSCALE", 1.0), ("BZERO", 0.0))
    )
    if stored.dtype == np.int64 and zero == 2.0**63:  # unsigned: as floats, small values would be lost
        values, zero = (stored.view(np.uint64) ^ np.uint64(2**63)).astype(np.float64), 0.0
    else:
        values = stored.astype(np.float64)
    if (scale, zero) != (1.0, 0.0):
        values = values * scale + zero
    blank = header.get("BLANK", header.get("ZBLANK"))
    if blank is not None and stored.dtype.kind in "iu":
        values[stored == int(needed_number({"BLANK": blank}, "BLANK", name))] = np.nan
    return values
