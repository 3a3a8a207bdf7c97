"""Prepare the PSF of a band: unit sum, centred."""

from __future__ import annotations

from unblend.field.prepared_psf import prepared_psf
from unblend.io.files import read_json
from unblend.io.psfs import write_psf
from unblend.run.job_log import record_work, run


def main(spec_path: str, psf_path: str) -> None:
    """Write the PSF described by the spec, its sampling, kind and FWHM (image pixels) in the header."""
    spec = read_json(spec_path)
    psf, width = prepared_psf(spec)
    write_psf(psf_path, psf, {"FWHM": width / psf.oversampling, "FWHMPSF": width, "PSFSUM": psf.data.sum()})
    record_work("psf", spec["name"])


if __name__ == "__main__":
    run(main)
