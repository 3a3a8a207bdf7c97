"""Prepare the PSF of a band: unit sum, centred."""

from __future__ import annotations

import logging
from typing import Any

from unblend.core.coordinates import pixel_scale
from unblend.core.errors import InputError
from unblend.core.nouns import Psf
from unblend.images.psf import WELL_SAMPLED_FWHM, fwhm, prepare_psf
from unblend.io.files import read_json
from unblend.io.images import read_array, read_header, read_shape, read_wcs
from unblend.io.psfs import write_psf
from unblend.run.job_log import record_work, run

log = logging.getLogger("unblend.images.psf")

SCALE_TOLERANCE = 0.02
"""Relative difference of the PSF's pixel size, by its header, from what psf_oversampling says."""


def main(spec_path: str, out_path: str) -> None:
    """Write the PSF described by the spec, its sampling, kind and FWHM (image pixels) in the header."""
    spec = read_json(spec_path)
    psf, width = prepared(spec)
    write_psf(out_path, psf, {"FWHM": width / psf.oversampling, "FWHMPSF": width})
    record_work("psf", spec["name"])


def prepared(spec: dict[str, Any]) -> tuple[Psf, float]:
    """Return the PSF of a spec and its FWHM in PSF pixels, after a check of its scale and sampling."""
    check_scale(spec)
    name = spec["psf"]["file"]
    psf = prepare_psf(read_array(name), oversampling=spec["oversampling"], kind=spec["kind"], name=name)
    width = fwhm(psf)
    log.info(
        "%s: sum %.4g, FWHM %.2f PSF pixels, oversampling %g", spec["name"], psf.original_sum, width, psf.oversampling
    )
    if width < WELL_SAMPLED_FWHM:
        log.warning("%s: the PSF's FWHM is %.2f of its own pixels: below %.1f bright point sources are off by 1 %% or "
                    "more between pixels; give an oversampled PSF (psf_oversampling).",
                    spec["name"], width, WELL_SAMPLED_FWHM)  # fmt: skip
    return psf, width


def check_scale(spec: dict[str, Any]) -> None:
    """Hold the pixel size in the PSF's header, where it has one, against psf_oversampling."""
    header = read_header(spec["psf"]["file"])
    step = header.get("CDELT2")
    if "CTYPE1" in header:
        found = pixel_scale(read_wcs(spec["psf"]["file"]))
    elif isinstance(step, float) and step not in (0.0, 1.0):
        found = 3600.0 * abs(step)
    else:
        return
    image = pixel_scale(read_wcs(spec["image"]["file"]), read_shape(spec["image"]["file"]))
    expected = image / spec["oversampling"]
    if abs(found / expected - 1.0) > SCALE_TOLERANCE:
        raise InputError(
            f"{spec['psf']['file']} has pixels of {found:.4f} arcsec by its header: psf_oversampling = "
            f"{spec['oversampling']:g} of band {spec['name']} says {expected:.4f}; set it to {image / found:.3f}."
        )


if __name__ == "__main__":
    run(main)
