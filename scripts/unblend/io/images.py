"""FITS images: pixels, headers and WCS. Reads images of any common kind, writes plain ones."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import fitsio
import numpy as np

from ..core import coordinates
from ..core.errors import InputError
from ..core.types import Box
from .fits_files import new_fits, open_fits

if TYPE_CHECKING:
    from astropy.wcs import WCS

_WITH_EXTENSION = re.compile(r"^(?P<path>.*?)(?:\[(?P<extension>[^\[\]]+)\])?$")
# Keywords that describe the file, not the sky, and are not copied from the header of an input.
_STRUCTURAL = {"SIMPLE", "XTENSION", "BITPIX", "NAXIS", "NAXIS1", "NAXIS2", "NAXIS3", "EXTEND", "PCOUNT", "GCOUNT"}
_LTM = {"LTM1_1": (0, 0), "LTM1_2": (0, 1), "LTM2_1": (1, 0), "LTM2_2": (1, 1)}
_LTV = {"LTV1": 0, "LTV2": 1}
_TABLES = ("BINARY_TBL", "ASCII_TBL")
# Keywords of a celestial WCS (FITS papers I and II, SIP), without those of a third axis.
_WCS_CARDS = re.compile(
    r"(WCSNAME|RADESYS|RADECSYS|EQUINOX|EPOCH|LONPOLE|LATPOLE|C(TYPE|UNIT|RPIX|RVAL|DELT|ROTA)[12]"
    r"|(CD|PC)[12]_[12]|PV[12]_\d+|(A|B|AP|BP)_(ORDER|DMAX|\d_\d))"
)


def split_extension(name: str) -> tuple[str, str | None]:
    """Split `image.fits[SCI]` into the path and the extension, which is None if it is not given."""
    match = _WITH_EXTENSION.match(str(name))
    assert match is not None
    return match["path"], match["extension"]


def _find_image(fits: fitsio.FITS, name: str) -> fitsio.hdu.ImageHDU:
    """Return the extension that `name` gives, or the first two-dimensional image of the file."""
    path, extension = split_extension(name)
    if extension is not None:
        key = int(extension) if extension.isdigit() else extension
        try:
            hdu = fits[key]
        except (OSError, KeyError) as error:
            known = ", ".join(hdu.get_extname() or str(i) for i, hdu in enumerate(fits))
            raise InputError(f"{path} has no extension {extension!r}. It has {known}. Use one of these.") from error
        if hdu.get_exttype() in _TABLES:
            raise InputError(f"{name} is a table; expected an image. Give another extension.")
        if len(_dimensions(hdu)) != 2:
            raise InputError(f"{name} has {len(_dimensions(hdu))} dimensions; expected a two-dimensional image.")
        return hdu
    for hdu in fits:
        if hdu.get_exttype() not in _TABLES and len(_dimensions(hdu)) == 2:
            return hdu
    raise InputError(f"{path} has no two-dimensional image. Give the extension of the image as {path}[NAME].")


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
    return read_image(name)[0]


def read_image(name: str) -> tuple[np.ndarray, dict[str, object]]:
    """Return the pixels and the header of an image, as `read_array` and `read_header` do, opening the file once.

    Raises
    ------
    InputError
        As in `read_array`.
    """
    with _opened(name) as fits:
        hdu = _find_image(fits, name)
        try:
            data = np.ascontiguousarray(hdu.read(), dtype=np.float64)
            own = hdu.read_header()
            header = _merged_header(fits, hdu, own)
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"{name} cannot be read: {_first_line(error)}. Check if the file is truncated.") from error
    if "BLANK" in own:  # marks missing pixels of integer images
        blank = own["BLANK"] * own.get("BSCALE", 1.0) + own.get("BZERO", 0.0)
        data[data == blank] = np.nan
    data[np.isinf(data)] = np.nan
    return data, header


def read_labels(name: str) -> np.ndarray:
    """Return a segmentation map or a mask as native int32, shape (ny, nx)."""
    with _opened(name) as fits:
        return np.ascontiguousarray(_find_image(fits, name).read(), dtype=np.int32)


def read_shape(name: str) -> tuple[int, int]:
    """Return (ny, nx) of an image without reading its pixels."""
    with _opened(name) as fits:
        ny, nx = _dimensions(_find_image(fits, name))
        return ny, nx


def read_header(name: str) -> dict[str, object]:
    """Return the header of an image as a dictionary, including the cards that only the primary header has."""
    with _opened(name) as fits:
        hdu = _find_image(fits, name)
        return _merged_header(fits, hdu, hdu.read_header())


def _merged_header(fits: fitsio.FITS, hdu: fitsio.hdu.ImageHDU, own: fitsio.FITSHDR) -> dict[str, object]:
    """Return the cards of an image's `own` header, and those that only the primary header has."""
    primary = [fits[0].read_header()] if hdu.get_extnum() else []
    merged: dict[str, object] = {}
    for header in (*primary, own):
        merged.update({r["name"]: r["value"] for r in header.records() if r["name"] and r["name"] != "COMMENT"})
    return merged


def read_sky_cards(name: str) -> dict[str, object]:
    """Return the WCS cards of an image, to be copied to products on the same grid.

    Unlike `read_wcs` this does not need Astropy, whose import takes 0.7 s.
    """
    return {key: value for key, value in read_header(name).items() if _WCS_CARDS.fullmatch(key)}


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
        The header has no celestial world coordinates.
    """
    return wcs_from_header(read_header(name), name)


def wcs_from_header(header: Mapping[str, object], name: str) -> WCS:
    """Return the celestial WCS of a header; `name` is the name of the file for error messages.

    Raises
    ------
    InputError
        The header has no celestial world coordinates.
    """
    import warnings

    from astropy.io import fits
    from astropy.wcs import WCS, FITSFixedWarning

    card_header = fits.Header()
    for key, value in header.items():
        if key in _STRUCTURAL - {"NAXIS", "NAXIS1", "NAXIS2"} or key in ("HISTORY", "CONTINUE", "BSCALE", "BZERO"):
            continue
        try:
            card_header[key] = value
        except ValueError:
            continue  # Some files have keywords that FITS does not allow; they cannot belong to a WCS.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FITSFixedWarning)
        wcs = WCS(card_header, naxis=2)
    if not wcs.has_celestial:
        raise InputError(f"{name} has no celestial WCS (CTYPE1, CTYPE2 …). Add an astrometric solution to its header.")
    _add_physical_coordinates(wcs, header)
    return wcs


def _add_physical_coordinates(wcs: WCS, header: Mapping[str, object]) -> None:
    """Attach the physical coordinates of LTM and LTV to `wcs`, if the header has valid ones."""
    cards = {key: value for key, value in header.items() if key in _LTM | _LTV and isinstance(value, int | float)}
    if not cards:
        return
    matrix, offset = np.eye(2), np.zeros(2)
    for key, value in cards.items():
        if key in _LTM:
            matrix[_LTM[key]] = value
        else:
            offset[_LTV[key]] = value
    if abs(np.linalg.det(matrix)) > 0:
        coordinates.set_physical_coordinates(wcs, matrix, offset)


def wcs_header(wcs: WCS) -> dict[str, object]:
    """Return the header cards of a WCS, including distortion, as a dictionary."""
    header = wcs.to_header(relax=True)
    if wcs.sip is not None:
        header.update({f"CTYPE{i + 1}": f"{c.removesuffix('-SIP')}-SIP" for i, c in enumerate(wcs.wcs.ctype)})
    cards = {key: value for key, value in header.items() if key not in ("DATE-OBS", "MJD-OBS", "MJDREF")}
    if hasattr(wcs, "physical"):  # regions drawn on a product and on the image must mean the same
        matrix, offset = coordinates.physical_transform(wcs)
        cards |= {key: float(matrix[place]) for key, place in _LTM.items()}
        cards |= {key: float(offset[place]) for key, place in _LTV.items()}
    return cards


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
    """Return header cards in the form that fitsio writes, without those whose value is None."""
    return [{"name": key, "value": value} for key, value in cards.items() if value is not None]
