"""FITS images: pixels, headers and WCS. Reads images of any common kind, writes plain ones."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import fitsio
import numpy as np

from ..core.types import Box, WindowedImage
from .fits_files import new_fits
from .headers import comments_of, read_cards
from .image_hdus import (
    TABLES,
    StoredImage,
    dimensions,
    find_hdu,
    find_image,
    opened_fits,
    pixels_of,
    read_whole,
    stored_pixels,
)
from .selections import split_extension
from .world_coordinates import SKY_CARDS, check_inherited, inherited, needs_tables, wcs_from_header, wcs_header

if TYPE_CHECKING:
    from astropy.wcs import WCS


SMALLEST_SINGLE, LARGEST_SINGLE = 1e-30, 1e38
"""Largest absolute value of an image that float32 holds with all its digits: pixels a million times fainter, too."""
ROWS_AT_ONCE = 256
"""Rows of a large image that are written at once."""


def read_array(name: str) -> np.ndarray:
    """Return the image `file.fits` or `file.fits[EXT]` as native float64, shape (ny, nx).

    Blank and infinite pixels are NaN.

    Raises
    ------
    InputError
        The file or the extension is missing, unreadable, or has no two-dimensional image.
    """
    with opened_fits(name) as fits:
        image = find_image(fits, name)
        with read_whole(name):
            return pixels_of(image, name)


def read_window(name: str, box: Box) -> np.ndarray:
    """Return the pixels of an image inside a box as `read_array` does, reading no others; NaN beyond the image.

    Raises
    ------
    InputError
        As in `read_array`.
    """
    with opened_fits(name) as fits:
        image = find_image(fits, name)
        result = np.full(box.shape, np.nan)
        common = Box.of_shape(image.shape) & box
        if not common.is_empty:
            image = replace(image, window=common)
            with read_whole(name):
                result[common.within(box)] = pixels_of(image, name)
        return result


def read_cube(name: str) -> tuple[np.ndarray, dict[str, object]]:
    """Return the planes of a cube as float64, shape (n, ny, nx), and its header; an image has one plane.

    Pixels are those of `read_array`. As there, `file.fits[EXT]` names the extension.

    Raises
    ------
    InputError
        As in `read_array`, or the image has more than three dimensions.
    """
    with opened_fits(name) as fits:
        hdu, selection = find_hdu(fits, name)
        shape = dimensions(hdu)
        if len(shape) == 3 and selection.plane is None:
            planes = [StoredImage(hdu, (k,), (shape[1], shape[2])) for k in range(shape[0])]
        else:
            planes = [StoredImage(hdu, selection.plane_index(shape, name), (shape[-2], shape[-1]))]
        with read_whole(name):
            own = read_cards(hdu)
            return np.stack([stored_pixels(plane, own, name) for plane in planes]), _merged_header(fits, hdu, own)


def read_image(name: str) -> tuple[np.ndarray, dict[str, object]]:
    """Return the pixels and the header of an image, as `read_array` and `read_header` do, opening the file once.

    Raises
    ------
    InputError
        As in `read_array`.
    """
    with opened_fits(name) as fits:
        image = find_image(fits, name)
        with read_whole(name):
            own = read_cards(image.hdu)
            return stored_pixels(image, own, name), _merged_header(fits, image.hdu, own)


def read_labels(name: str) -> np.ndarray:
    """Return a segmentation map or a mask as native int32, shape (ny, nx)."""
    with opened_fits(name) as fits:
        return np.ascontiguousarray(find_image(fits, name).read(), dtype=np.int32)


def read_label_window(name: str, box: Box, fill: int) -> np.ndarray:
    """Return the part of a segmentation map or a mask inside a box as native int32; `fill` beyond the image.

    Parameters
    ----------
    name : str
        `file.fits` or `file.fits[EXT]`.
    box : Box
        May reach beyond the image.
    fill : int
    """
    with opened_fits(name) as fits:
        image = find_image(fits, name)
        result = np.full(box.shape, fill, dtype=np.int32)
        common = Box.of_shape(image.shape) & box
        if not common.is_empty:
            result[common.within(box)] = replace(image, window=common).read()
        return result


def read_shape(name: str) -> tuple[int, int]:
    """Return (ny, nx) of an image without reading its pixels."""
    with opened_fits(name) as fits:
        return find_image(fits, name).shape


def image_extensions(name: str) -> tuple[int, dict[int, str]]:
    """Return the number of the extension that `name` selects, and the names of all images of its file by number.

    An extension without a name has an empty one.
    """
    with opened_fits(name) as fits:
        names = {i: hdu.get_extname() for i, hdu in enumerate(fits) if hdu.get_exttype() not in TABLES}
        return find_image(fits, name).hdu.get_extnum(), names


def flat_images(name: str) -> dict[int, str]:
    """Return the names of all images of two dimensions of a file by the number of their extension."""
    with opened_fits(name) as fits:
        images = {i: hdu for i, hdu in enumerate(fits) if hdu.get_exttype() not in TABLES}
        return {i: hdu.get_extname() for i, hdu in images.items() if len(dimensions(hdu)) == 2}


def extension_shapes(path: str) -> dict[str, tuple[int, ...]]:
    """Return the shape of each image of a file, by the name of its extension, else its number; empty ones are left out.

    Raises
    ------
    InputError
        The file is missing or is not FITS.
    """
    with opened_fits(path) as fits:
        images = [(i, hdu) for i, hdu in enumerate(fits) if hdu.get_exttype() not in TABLES and hdu.has_data()]
        shapes: dict[str, tuple[int, ...]] = {}
        for number, hdu in images:
            shapes.setdefault(hdu.get_extname() or str(number), dimensions(hdu))
        return shapes


def read_header(name: str) -> dict[str, object]:
    """Return the header of an image as a dictionary, with what it has from the primary header, see `inherited`."""
    with opened_fits(name) as fits:
        hdu = find_image(fits, name).hdu
        return _merged_header(fits, hdu, read_cards(hdu))


def _merged_header(fits: fitsio.FITS, hdu: fitsio.hdu.ImageHDU, own: Mapping[str, object]) -> dict[str, object]:
    """Return the cards of an image's `own` header, and those that it has from the primary header."""
    return inherited(read_cards(fits[0]) if hdu.get_extnum() else {}, own)


def read_comments(name: str) -> dict[str, str]:
    """Return the comments of the header cards of an image, and of those that only the primary header has."""
    with opened_fits(name) as fits:
        hdu = find_image(fits, name).hdu
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
    with opened_fits(name) as fits:
        image = find_image(fits, name)
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
        Floats are written as float32, or as float64 where these cannot hold them, bool as uint8 and integers in their
        own type.
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


def write_strips(
    path: str | Path,
    shape: tuple[int, int],
    dtype: str,
    strips: Iterable[np.ndarray],
    *,
    wcs: WCS | None = None,
    header: Mapping[str, object] | None = None,
) -> None:
    """Write an image whose rows are computed some at a time, complete or not at all.

    Parameters
    ----------
    path : path
    shape : (ny, nx)
    dtype : str
        Type of the pixels in the file, such as f4.
    strips : iterable of arrays (k, nx)
        Rows from the first to the last; the number k may change.
    wcs, header
        As in `write_image`.
    """
    cards = {**(wcs_header(wcs) if wcs is not None else {}), **(header or {})}
    with new_fits(path) as fits:
        fits.create_image_hdu(dims=list(shape), dtype=dtype)
        fits[-1].write_keys(header_records(cards))
        y = 0
        for strip in strips:
            fits[-1].write(_as_a_whole_image(np.ascontiguousarray(strip, dtype=dtype)), start=[y, 0])
            y += len(strip)


def _as_a_whole_image(strip: np.ndarray) -> np.ndarray:
    """Return a strip with the bytes that CFITSIO writes for a whole image: all bits set where a pixel is not finite."""
    if strip.dtype != np.float32:
        return strip
    result = strip.copy()
    result.view(np.uint32)[~np.isfinite(result)] = 0xFFFFFFFF
    return result


def write_pixels(
    path: str | Path,
    image: WindowedImage,
    dtype: str,
    *,
    wcs: WCS | None = None,
    header: Mapping[str, object] | None = None,
) -> None:
    """Write an image of which windows are read, some rows at a time; parameters as for `write_strips`."""
    shape = (image.shape[0], image.shape[1])
    strips = (image[strip.slices] for strip in Box.of_shape(shape).strips(ROWS_AT_ONCE))
    write_strips(path, shape, dtype, strips, wcs=wcs, header=header)


def _as_written(data: np.ndarray) -> np.ndarray:
    """Return pixels in the type in which they are written."""
    if data.dtype == bool:
        data = data.astype(np.uint8)
    elif np.issubdtype(data.dtype, np.floating):
        data = data.astype(np.float32 if _fits_single(data) else np.float64)
    return np.ascontiguousarray(data)


def _fits_single(data: np.ndarray) -> bool:
    """Whether float32 holds pixels: the weights of an image in erg/s/cm2/Hz are 1e60, beyond its range of 1e±38."""
    largest = float(np.max(np.abs(data), where=np.isfinite(data), initial=0.0))
    return largest == 0.0 or SMALLEST_SINGLE <= largest <= LARGEST_SINGLE


def header_records(cards: Mapping[str, object]) -> list[dict[str, object]]:
    """Return header cards in the form that fitsio writes, without those whose value is None.

    A value may be a pair (value, comment).
    """
    pairs = {key: value if isinstance(value, tuple) else (value, "") for key, value in cards.items()}
    return [{"name": key, "value": value, "comment": text} for key, (value, text) in pairs.items() if value is not None]
