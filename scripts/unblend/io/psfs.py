"""PSFs as FITS files, with their centre and sampling in the header."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from ..core.types import Psf
from .fits_files import new_fits
from .images import header_records, read_image


def read_psf(name: str) -> tuple[Psf, dict[str, object]]:
    """Return a PSF that was written by `write_psf`, and the header of its file."""
    data, header = read_image(name)
    psf = Psf(
        data=data,
        centre=(float(header["CENTRE_Y"]), float(header["CENTRE_X"])),  # type: ignore[arg-type]
        oversampling=float(header["OVERSAMP"]),  # type: ignore[arg-type]
        kind=str(header["PSFKIND"]),
        original_sum=float(header["ORIGSUM"]),  # type: ignore[arg-type]
    )
    return psf, header


def write_psf(path: str | Path, psf: Psf, header: Mapping[str, object] | None = None) -> None:
    """Write a PSF as float64, so that templates are not affected by rounding.

    Parameters
    ----------
    path : path
    psf : Psf
    header : mapping, optional
        Further cards, besides those of the centre and the sampling.
    """
    cards = {
        "CENTRE_Y": psf.centre[0],
        "CENTRE_X": psf.centre[1],
        "OVERSAMP": psf.oversampling,
        "PSFKIND": psf.kind,
        "ORIGSUM": psf.original_sum,
        **(header or {}),
    }
    with new_fits(path) as fits:
        fits.write(np.ascontiguousarray(psf.data, dtype=np.float64), header=header_records(cards))
