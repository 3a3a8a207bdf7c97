"""A band of which a job cannot use an input: its product says why, the band has no fluxes, and the others are measured.

The product (cutout, mask or PSF) is written without content, and the sentence is in its header. The jobs that follow
find it there. What can be said of an input before any job is refused then, by `plan.checks`.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..core.errors import FailedBandError
from ..core.types import Psf
from ..io.images import read_header, write_image
from ..io.psfs import write_psf

log = logging.getLogger(__name__)

CARD = "UNUSABLE"
"""In the header of a product: why it has no content."""
CUTOUT, MASK, PSF = "cutout.fits", "mask.fits", "psf.fits"
PRODUCTS = (CUTOUT, MASK, PSF)
_SIDE = 32
"""Pixels of each side of a cutout without content."""


def failure_cards(reason: Exception | str) -> dict[str, object]:
    """Return the card that says why a product has no content."""
    return {CARD: json.dumps(str(reason))}  # a header has ASCII alone


def failure_in(path: str | Path) -> str | None:
    """Return why a product has no content; None where it has one, or there is none."""
    if not Path(path).exists():
        return None
    return reason_in(read_header(str(path)))


def reason_in(header: Mapping[str, object]) -> str | None:
    """Return why a product has no content, as its header says; None where it has one."""
    text = header.get(CARD)
    return None if text is None else str(json.loads(str(text)))


def failure_of(band: str, results: Path, products: Sequence[str] = PRODUCTS) -> str | None:
    """Return why nothing can be measured in a band or a tile, as the first of its products says; None otherwise.

    Parameters
    ----------
    band : str
    results : Path
        Folder of the products.
    products : sequence of str
        Those that a job depends on: another one may be that of an earlier run.
    """
    found = (failure_in(results / "bands" / band / name) for name in products)
    return next((sentence for sentence in found if sentence is not None), None)


def check_band(band: str, results: Path) -> None:
    """Check that no product of a band is without content.

    Raises
    ------
    FailedBandError
        One of them is.
    """
    sentence = failure_of(band, results)
    if sentence is not None:
        raise FailedBandError(sentence)


def write_failed_cutout(path: str, weight_path: str, spec: Mapping[str, Any], error: Exception) -> None:
    """Write a cutout without any known pixel, around the target, north up, and a weight map of zeros.

    Parameters
    ----------
    path, weight_path : str
        Of the cutout and its weight map.
    spec : mapping
        The job spec: `target`, `size_arcsec`.
    error : Exception
        Why the mosaic cannot be read.
    """
    from astropy.wcs import WCS

    wcs, step = WCS(naxis=2), spec["size_arcsec"] / _SIDE / 3600.0
    wcs.wcs.ctype, wcs.wcs.radesys = ["RA---TAN", "DEC--TAN"], "ICRS"
    wcs.wcs.crval, wcs.wcs.cdelt = [spec["target"]["ra"], spec["target"]["dec"]], [-step, step]
    wcs.wcs.crpix = [(_SIDE + 1) / 2.0] * 2
    write_image(path, np.full((_SIDE, _SIDE), np.nan), wcs=wcs, header=failure_cards(error))
    write_image(weight_path, np.zeros((_SIDE, _SIDE)), wcs=wcs)


def write_failed_psf(path: str, error: Exception) -> None:
    """Write a PSF of a single pixel, whose FWHM is not known."""
    psf = Psf(np.ones((1, 1)), (0.0, 0.0))
    # a number that is not known is text in a header
    write_psf(path, psf, {"FWHM": "NaN", "FWHMPSF": "NaN", "PSFSUM": 1.0, **failure_cards(error)})
