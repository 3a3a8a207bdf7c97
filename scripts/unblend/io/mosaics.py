"""Mosaics that are too large to read: only the pixels of a cutout are fetched, from a file or a URL."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..core.coordinates import cut_wcs
from ..core.errors import InputError
from ..core.types import Box
from .files import is_url
from .images import split_extension, wcs_from_header

if TYPE_CHECKING:
    from astropy.wcs import WCS

HTTP_SETTINGS = {"block_size": 1_000_000, "cache_type": "bytes"}
"""Settings of fsspec for http: its default block of 5 MB is several times more data than a small cutout needs."""

SILENCE_S, REQUEST_S = 60.0, 300.0
"""Seconds without an answer, and seconds for one request (1 MB), after which a server is given up."""


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
    """

    hdu: Any
    wcs: WCS
    shape: tuple[int, int]
    name: str

    def read(self, box: Box) -> np.ndarray:
        """Return the pixels of `box` as float64.

        Raises
        ------
        InputError
            The connection was lost or the file is truncated.
        """
        try:
            return np.asarray(self.hdu.section[box.slices], dtype=np.float64)
        except Exception as error:  # fsspec passes on any exception of its protocols
            reason = f"{type(error).__name__} {_first_line(error)}"
            raise InputError(f"{self.name} cannot be read: {reason}. Check if the file is truncated.") from error

    def cut_wcs(self, box: Box) -> WCS:
        """Return the WCS of the cutout `box`."""
        return cut_wcs(self.wcs, box)


@contextmanager
def open_mosaic(name: str) -> Iterator[Mosaic]:
    """Open a mosaic (`file.fits[EXT]`, http(s)://, s3://) without reading its pixels.

    Raises
    ------
    InputError
        The file cannot be opened, or does not have the extension or a celestial WCS.
    """
    from astropy.io import fits

    path, extension = split_extension(name)
    try:
        # `section` reads only the rows it needs in any case, and memory mapping does not support BSCALE and BZERO.
        settings = _http_settings() if path.startswith("http") else None
        opened = fits.open(path, memmap=False, use_fsspec=is_url(path), fsspec_kwargs=settings)
    except Exception as error:  # fsspec passes on any exception of its protocols
        reason = f"{type(error).__name__} {_first_line(error)}"
        raise InputError(f"{path} cannot be opened: {reason}. Check the path or the address.") from error
    with opened as hdus:
        hdu = _image_hdu(hdus, path, extension)
        header = {key: value for key, value in {**dict(hdus[0].header), **dict(hdu.header)}.items() if key}
        yield Mosaic(hdu, wcs_from_header(header, name), (int(hdu.shape[0]), int(hdu.shape[1])), name)


def _http_settings() -> dict[str, Any]:
    """Return the settings of fsspec for http, with the time limits of a request."""
    import aiohttp

    limits = aiohttp.ClientTimeout(total=REQUEST_S, sock_connect=SILENCE_S, sock_read=SILENCE_S)
    return {**HTTP_SETTINGS, "client_kwargs": {"timeout": limits}}


def _first_line(error: Exception) -> str:
    # fsspec says "not found" whatever has happened; the cause is behind it.
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, TimeoutError):
        cause = cause.__cause__ or cause.__context__
    if cause is not None:
        return (
            f"(the server was silent for {SILENCE_S:g} s, or took more than {REQUEST_S:g} s for one request: run "
            "again, or download the file)"
        )
    return (str(error).splitlines() or [""])[0].rstrip(".")


def _image_hdu(hdus: Any, path: str, extension: str | None) -> Any:
    if extension is not None:
        try:
            named = hdus[int(extension) if extension.isdigit() else extension]
        except (KeyError, IndexError) as error:
            known = ", ".join(hdu.name or str(i) for i, hdu in enumerate(hdus))
            raise InputError(f"{path} has no extension {extension!r}. It has {known}. Use one of these.") from error
        if not (named.is_image and named.header.get("NAXIS") == 2):
            raise InputError(f"{path}[{extension}] is not a two-dimensional image. Give another extension.")
        return named
    for hdu in hdus:
        if hdu.is_image and hdu.header.get("NAXIS") == 2:
            return hdu
    raise InputError(f"{path} has no two-dimensional image. Give the extension of the image as {path}[NAME].")
