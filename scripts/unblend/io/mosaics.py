"""Mosaics that are too large to read: only the pixels of a cutout are fetched, from a file or a URL."""

from __future__ import annotations

import gzip
import math
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..core.coordinates import cut_wcs, set_physical_coordinates
from ..core.errors import InputError
from ..core.types import Box
from .files import is_url
from .header_zero_point import calibration_cards
from .image_hdus import scaled
from .images import read_wcs
from .selections import Selection, known_extensions, split_extension
from .world_coordinates import check_inherited, inherited, wcs_from_header

if TYPE_CHECKING:
    from astropy.wcs import WCS

_GZIP = b"\x1f\x8b"
"""The first bytes of a file that gzip has compressed."""


@dataclass(frozen=True)
class Mosaic:
    """An open mosaic, whose pixels are fetched only for the boxes that are asked for.

    Parameters
    ----------
    hdu : HDU
        Image extension of Astropy.
    wcs : WCS
    shape : (ny, nx)
    name : str
        Name of the file or URL, for error messages.
    plane : tuple of int
        Index of the image in a cube; empty without one.
    calibration : mapping
        Cards from which its zero point can be read, each with its comment.
    """

    hdu: Any
    wcs: WCS
    shape: tuple[int, int]
    name: str
    plane: tuple[int, ...] = ()
    calibration: Mapping[str, tuple[object, str]] = field(default_factory=dict)

    def read(self, box: Box) -> np.ndarray:
        """Return the pixels of `box` as float64, NaN where an integer is BLANK.

        Raises
        ------
        InputError
            The connection was lost or the file is truncated.
        """
        try:
            stored = np.asarray(self.hdu.section[(*self.plane, *box.slices)])
        except InputError:
            raise
        except Exception as error:  # fsspec passes on any exception of its protocols
            reason = _reason(error)
            raise InputError(f"{self.name} cannot be read: {reason}. Check if the file is truncated.") from error
        if np.issubdtype(stored.dtype, np.integer):
            return scaled(stored, self.hdu.header, self.name)
        return stored.astype(np.float64)

    def cut_wcs(self, box: Box) -> WCS:
        """Return the WCS of the cutout `box`."""
        return _cut_with_physical(self.wcs, box)


@contextmanager
def open_mosaic(name: str) -> Iterator[Mosaic]:
    """Open a mosaic (`file.fits[EXT]`, http(s)://, s3://) without reading its pixels.

    Raises
    ------
    InputError
        The file cannot be opened, or does not have the extension or a celestial WCS.
    """
    from astropy.io import fits

    path, text = split_extension(name)
    try:
        # `section` reads only the rows it needs in any case. Astropy ignores BLANK where integers are unsigned.
        file = _http_file(path) if path.startswith(("http://", "https://")) else path
        opened = fits.open(file, memmap=False, use_fsspec=file is path and is_url(path), do_not_scale_image_data=True)
    except InputError:
        raise
    except Exception as error:  # fsspec passes on any exception of its protocols
        reason = _reason(error)
        raise InputError(f"{path} cannot be opened: {reason}. Check the path or the address.") from error
    with opened as hdus:
        selection = Selection.parse(text)
        hdu = _image_hdu(hdus, path, text, selection)
        plane = selection.plane_index(hdu.shape, name)
        primary = {} if hdu is hdus[0] else dict(hdus[0].header)
        header, shape = inherited(primary, dict(hdu.header)), (int(hdu.shape[-2]), int(hdu.shape[-1]))
        check_inherited(primary, header, name)
        comments = {key: h.comments[key] for h in (hdus[0].header, hdu.header) for key in h if key}
        cards = calibration_cards(header, comments)
        yield Mosaic(hdu, wcs_from_header(header, name, shape=shape), shape, name, plane, cards)


def window_wcs(name: str, box: Box) -> WCS:
    """Return the WCS of the part of an image inside `box`; its physical coordinates are those of the image."""
    return _cut_with_physical(read_wcs(name), box)


def _cut_with_physical(wcs: WCS, box: Box) -> WCS:
    cut = cut_wcs(wcs, box)
    if not hasattr(wcs, "physical"):
        set_physical_coordinates(cut, np.eye(2), np.array([-box.x0, -box.y0], dtype=float))
    return cut


def _http_file(url: str) -> Any:
    """Return an open file of an http server, or its decompressed copy on the disk: of such a file no part can be read.

    The library is imported only where there is a server.
    """
    from .http_files import PartlyReadFile

    file = PartlyReadFile(url)
    is_zipped = file.read(len(_GZIP)) == _GZIP
    file.seek(0)
    if not is_zipped:
        return file
    with tempfile.NamedTemporaryFile() as whole:
        shutil.copyfileobj(gzip.GzipFile(fileobj=file), whole, 1 << 20)
        whole.flush()
        return Path(whole.name).open("rb")  # Astropy wants a file that can only be read; it closes it


def _reason(error: Exception) -> str:
    text = (str(error).splitlines() or [""])[0].rstrip(".")
    if "No SIMPLE card" in text:
        return "it does not begin as a FITS file does"
    if "buffer is too small" in text:
        return "it ends before its last pixel"
    return f"{type(error).__name__} {text}"


def _image_hdu(hdus: Any, path: str, text: str | None, selection: Selection) -> Any:
    """Return the HDU that is selected, or the first image of two dimensions; with a plane, the first cube."""
    if selection.key is not None:
        try:
            named = hdus[selection.key]
        except (KeyError, IndexError) as error:
            known = known_extensions([(hdu.name, hdu.ver) for hdu in hdus])
            raise InputError(f"{path} has no extension {text!r}. It has {known}: name one of these.") from error
        if not named.is_image:
            raise InputError(f"{path}[{text}] is a table; expected an image. Give another extension.")
        return named
    images = [hdu for hdu in hdus if hdu.is_image and len(hdu.shape) > 1]
    flat = [hdu for hdu in images if math.prod(hdu.shape[:-2]) == 1] if selection.plane is None else []
    if not images:
        raise InputError(f"{path} has no two-dimensional image. Give the extension of the image as {path}[NAME].")
    return (sorted(flat, key=lambda hdu: len(hdu.shape) > 2) or images)[0]
