"""Prepare the PSF of a band at every place: unit sum, centred."""

from __future__ import annotations

import numpy as np
from unblend.field.prepared_psf import prepared_psf
from unblend.io.files import read_json
from unblend.io.images import read_shape
from unblend.io.psfs import write_psf
from unblend.run.job_log import record_work, run


def main(spec_path: str, psf_path: str) -> None:
    """Write the PSF described by the spec, its sampling, kind and FWHM (image pixels) in the header.

    Of a map, the first image is the PSF in the middle of the band's image, and FWHM is the median.
    """
    spec = read_json(spec_path)
    psf, widths = prepared_psf(spec)
    ny, nx = read_shape(spec["image"]["file"])
    middle, width = ((ny - 1) / 2.0, (nx - 1) / 2.0), float(np.median(widths))
    cards = {"FWHM": width / psf.oversampling, "FWHMPSF": width, "PSFSUM": psf.at(*middle).data.sum()}
    if len(psf.psfs) > 1:
        cards |= {"FWHMMIN": widths.min() / psf.oversampling, "FWHMMAX": widths.max() / psf.oversampling}
    write_psf(psf_path, psf, cards, middle=middle, widths=widths)
    record_work("psf", spec["name"])


if __name__ == "__main__":
    run(main)
