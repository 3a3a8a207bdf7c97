"""Prepare the PSF of the fits: on the stack's pixels, without the response of the pixel that IMFIT adds itself."""

from __future__ import annotations

from unblend.field.prepared_psf import prepared_psf
from unblend.fits.fit_psf import fit_psfs
from unblend.io.files import read_json
from unblend.io.images import read_shape
from unblend.io.psfs import write_psf
from unblend.run.job_log import record_work, run


def main(spec_path: str, psf_path: str) -> None:
    """Write the PSF described by the spec as IMFIT wants it, at every place."""
    spec = read_json(spec_path)
    psf, _ = prepared_psf(spec)
    ny, nx = read_shape(spec["image"]["file"])
    write_psf(psf_path, fit_psfs(psf), middle=((ny - 1) / 2.0, (nx - 1) / 2.0))
    record_work("fit_psf", spec["name"])


if __name__ == "__main__":
    run(main)
