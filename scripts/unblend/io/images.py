"""FITS images: pixels, headers and WCS. Reads images of any common kind, writes plain ones."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import fitsio
import numpy as np

from ..core.errors import InputError
from ..core.types import Box
from .fits_files import new_fits, open_fits
from .header_numbers import needed_number
from .headers import header_text, read_cards
from .headers import read_comments as comments_of
from .selections import Selection, known_extensions, split_extension
from .world_coordinates import SKY_CARDS, check_inherited, inherited, needs_tables, wcs_from_header, wcs_header

if TYPE_CHECKING:
    from astropy.wcs import WCS

_INTEGERS = (8, 16, 32, 64)
"""BITPIX of images that store integers."""
_TABLES = ("BINARY_TBL", "ASCII_TBL")


@dataclass(frozen=True)
class _Image:
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


def _find_image(fits: fitsio.FITS, name: str) -> _Image:
    """Return the image that `name` selects, or the first two-dimensional one of the file.

    Raises
    ------
    InputError
        There is none.
    """
    hdu, selection = _find_hdu(fits, name)
    shape = _dimensions(hdu)
    index = selection.plane_index(shape, name)
    return _Image(hdu, index, (shape[-2], shape[-1]))


def _find_hdu(fits: fitsio.FITS, name: str) -> tuple[fitsio.hdu.ImageHDU, Selection]:
    """Return the extension that `name` selects, or the first one with an image of two dimensions, else of more."""
    path, text = split_extension(name)
    selection = Selection.parse(text)
    if selection.key is None:
        images = [hdu for hdu in fits if hdu.get_exttype() not in _TABLES and len(_dimensions(hdu)) > 1]
        flat = [hdu for hdu in images if math.prod(_dimensions(hdu)[:-2]) == 1] if selection.plane is None else []
        if not images:
            raise InputError(f"{path} has no two-dimensional image. Give the extension of the image as {path}[NAME].")
        hdu = (sorted(flat, key=lambda hdu: len(_dimensions(hdu)) > 2) or images)[0]
    else:
        try:
            hdu = fits[selection.key]
        except (OSError, KeyError, IndexError) as error:
            known = known_extensions([(hdu.get_extname(), hdu.get_extver()) for hdu in fits])
            raise InputError(f"{path} has no extension {text!r}. It has {known}. Use one of these.") from error
        if hdu.get_exttype() in _TABLES:
            raise InputError(f"{name} is a table; expected an image. Give another extension.")
    return hdu, selection


def _dimensions(hdu: fitsio.hdu.ImageHDU) -> tuple[int, ...]:
    return tuple(hdu.get_dims()) if hdu.has_data() else ()


@contextmanager
def _opened(name: str) -> Iterator[fitsio.FITS]:
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


def read_array(name: str) -> np.ndarray:
    """Return the image `file.fits` or `file.fits[EXT]` as native float64, shape (ny, nx).

    Blank and infinite pixels are NaN.

    Raises
    ------
    InputError
        The file or the extension is missing, unreadable, or has no two-dimensional image.
    """
    with _opened(name) as fits:
        image = _find_image(fits, name)
        with _whole(name):
            return _array(image, name)


def read_window(name: str, box: Box) -> np.ndarray:
    """Return the pixels of an image inside a box as `read_array` does, reading no others; NaN beyond the image.

    Raises
    ------
    InputError
        As in `read_array`.
    """
    with _opened(name) as fits:
        image = _find_image(fits, name)
        result = np.full(box.shape, np.nan)
        common = Box.of_shape(image.shape) & box
        if not common.is_empty:
            image = replace(image, window=common)
            with _whole(name):
                result[common.within(box)] = _array(image, name)
        return result


def read_cube(name: str) -> tuple[np.ndarray, dict[str, object]]:
    """Return the planes of a cube as float64, shape (n, ny, nx), and its header; an image has one plane.

    Pixels are those of `read_array`. As there, `file.fits[EXT]` names the extension.

    Raises
    ------
    InputError
        As in `read_array`, or the image has more than three dimensions.
    """
    with _opened(name) as fits:
        hdu, selection = _find_hdu(fits, name)
        shape = _dimensions(hdu)
        if len(shape) == 3 and selection.plane is None:
            planes = [_Image(hdu, (k,), (shape[1], shape[2])) for k in range(shape[0])]
        else:
            planes = [_Image(hdu, selection.plane_index(shape, name), (shape[-2], shape[-1]))]
        with _whole(name):
            own = read_cards(hdu)
            return np.stack([_pixels(plane, own, name) for plane in planes]), _merged_header(fits, hdu, own)


@contextmanager
def _whole(name: str) -> Iterator[None]:
    """Turn errors of reading a file that was opened into a sentence."""
    try:
        yield
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{name} cannot be read: {_first_line(error)}. Check if the file is truncated.") from error


def _array(image: _Image, name: str) -> np.ndarray:
    """Return the pixels of an image, with its header only read where the pixels need it."""
    return _pixels(image, None if _is_plain(image) else read_cards(image.hdu), name)


def _is_plain(image: _Image) -> bool:
    """Return whether pixels are floats that are stored as they are; False where only the parsed header can tell.

    Parsing the cards of a long header takes time, so they are only looked at.
    """
    info = image.hdu.get_info()
    if info["img_type"] in _INTEGERS or info["is_compressed_image"]:
        return False
    text = header_text(image.hdu)
    return text is not None and not {b"BSCALE  ", b"BZERO   "} & {text[at : at + 8] for at in range(0, len(text), 80)}


def read_image(name: str) -> tuple[np.ndarray, dict[str, object]]:
    """Return the pixels and the header of an image, as `read_array` and `read_header` do, opening the file once.

    Raises
    ------
    InputError
        As in `read_array`.
    """
    with _opened(name) as fits:
        image = _find_image(fits, name)
        with _whole(name):
            own = read_cards(image.hdu)
            return _pixels(image, own, name), _merged_header(fits, image.hdu, own)


def _pixels(image: _Image, header: Mapping[str, object] | None, name: str) -> np.ndarray:
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


def read_labels(name: str) -> np.ndarray:
    """Return a segmentation map or a mask as native int32, shape (ny, nx)."""
    with _opened(name) as fits:
        return np.ascontiguousarray(_find_image(fits, name).read(), dtype=np.int32)


def read_label_window(name: str, box: Box, fill: int) -> np.ndarray:
    """Return the part of a segmentation map or a mask inside a box as native int32; `fill` beyond the image."""
    with _opened(name) as fits:
        image = _find_image(fits, name)
        result = np.full(box.shape, fill, dtype=np.int32)
        common = Box.of_shape(image.shape) & box
        if not common.is_empty:
            result[common.within(box)] = replace(image, window=common).read()
        return result


def read_shape(name: str) -> tuple[int, int]:
    """Return (ny, nx) of an image without reading its pixels."""
    with _opened(name) as fits:
        return _find_image(fits, name).shape


def image_extensions(name: str) -> tuple[int, dict[int, str]]:
    """Return the number of the extension that `name` selects, and the names of all images of its file by number.

    An extension without a name has an empty one.
    """
    with _opened(name) as fits:
        names = {i: hdu.get_extname() for i, hdu in enumerate(fits) if hdu.get_exttype() not in _TABLES}
        return _find_image(fits, name).hdu.get_extnum(), names


def flat_images(name: str) -> dict[int, str]:
    """Return the names of all images of two dimensions of a file by the number of their extension."""
    with _opened(name) as fits:
        images = {i: hdu for i, hdu in enumerate(fits) if hdu.get_exttype() not in _TABLES}
        return {i: hdu.get_extname() for i, hdu in images.items() if len(_dimensions(hdu)) == 2}


def extension_shapes(path: str) -> dict[str, tuple[int, ...]]:
    """Return the shape of each image of a file, by the name of its extension, else its number; empty ones are left out.

    Raises
    ------
    InputError
        The file is missing or is not FITS.
    """
    with _opened(path) as fits:
        images = [(i, hdu) for i, hdu in enumerate(fits) if hdu.get_exttype() not in _TABLES and hdu.has_data()]
        shapes: dict[str, tuple[int, ...]] = {}
        for number, hdu in images:
            shapes.setdefault(hdu.get_extname() or str(number), _dimensions(hdu))
        return shapes


def read_header(name: str) -> dict[str, object]:
    """Return the header of an image as a dictionary, with what it has from the primary header, see `inherited`."""
    with _opened(name) as fits:
        hdu = _find_image(fits, name).hdu
        return _merged_header(fits, hdu, read_cards(hdu))


def _merged_header(fits: fitsio.FITS, hdu: fitsio.hdu.ImageHDU, own: Mapping[str, object]) -> dict[str, object]:
    """Return the cards of an image's `own` header, and those that it has from the primary header."""
    return inherited(read_cards(fits[0]) if hdu.get_extnum() else {}, own)


def read_comments(name: str) -> dict[str, str]:
    """Return the comments of the header cards of an image, and of those that only the primary header has."""
    with _opened(name) as fits:
        hdu = _find_image(fits, name).hdu
        return (comments_of(fits[0]) if hdu.get_extnum() else {}) | comments_of(hdu)


def read_sky_cards(name: str) -> dict[str, object]:
    """Return the WCS cards of an image, to be copied to products on the same grid.

    Unlike `read_wcs` this does not need Astropy, whose import takes 0.7 s.
    """
    header = read_header(name)
    if needs_tables(header):
        return wcs_header(read_wcs(name))
    return {key: value for key, value in header.items() if SKY_CARDS.fullmatch(key)}


def cut_sky_cards(cards: Mapping[str, object], box: Box) -> dict[str, object]:
    """Return the WCS cards of the part of an image inside `box`, which may extend beyond the image."""
    corner = {"CRPIX1": box.x0, "CRPIX2": box.y0}
    # The reference pixel is 0 if the keyword is missing.
    return {**cards, **{key: float(cards.get(key, 0.0)) - first for key, first in corner.items()}}  # type: ignore[arg-type]


def read_wcs(name: str) -> WCS:
    """Return the celestial WCS of an image.

    Raises
    ------
    InputError
        The header has no celestial world coordinates, or they cannot be understood.
    """
    with _opened(name) as fits:
        image = _find_image(fits, name)
        hdu, number, shape = image.hdu, image.hdu.get_extnum(), image.shape
        own = read_cards(hdu)
        primary = read_cards(fits[0]) if number else {}
        header = inherited(primary, own)
        check_inherited(primary if number else own, header, name)
    if not needs_tables(header):
        return wcs_from_header(header, name, shape=shape)
    from astropy.io import fits as astropy_fits

    with astropy_fits.open(split_extension(name)[0]) as hdus:
        return wcs_from_header(hdus[number].header, name, tables=hdus, shape=shape)


def write_image(
    path: str | Path,
    data: np.ndarray,
    *,
    wcs: WCS | None = None,
    header: Mapping[str, object] | None = None,
    extensions: Mapping[str, tuple[np.ndarray, Mapping[str, object]]] | None = None,
) -> None:
    """Write an image, complete or not at all.

    Parameters
    ----------
    path : path
    data : array (ny, nx)
        Floats are written as float32, bool as uint8 and integers in their own type.
    wcs : WCS, optional
        Written to the header.
    header : mapping, optional
        Further cards; those whose value is None are left out.
    extensions : mapping of str to (array, mapping), optional
        Images to write after the first one, with their names and cards.
    """
    cards = {**(wcs_header(wcs) if wcs is not None else {}), **(header or {})}
    with new_fits(path) as fits:
        fits.write(_as_written(data), header=header_records(cards))
        for name, (image, own_cards) in (extensions or {}).items():
            fits.write(_as_written(image), header=header_records(own_cards), extname=name)


def _as_written(data: np.ndarray) -> np.ndarray:
    """Return pixels in the type in which they are written."""
    if data.dtype == bool:
        data = data.astype(np.uint8)
    elif np.issubdtype(data.dtype, np.floating):
        data = data.astype(np.float32)
    return np.ascontiguousarray(data)


def header_records(cards: Mapping[str, object]) -> list[dict[str, object]]:
    """Return header cards in the form that fitsio writes, without those whose value is None.

    A value may be a pair (value, comment).
    """
    pairs = {key: value if isinstance(value, tuple) else (value, "") for key, value in cards.items()}
    return [{"name": key, "value": value, "comment": text} for key, (value, text) in pairs.items() if value is not None]
