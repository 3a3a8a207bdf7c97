"""Draw the example field: images, PSFs, weight map, truth and the region files of a user.

`python scripts/make_example_field.py OUT_DIR 1`. FITS files are written anew, the same bytes for the same seed;
a region file that exists is the user's and stays.
"""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np

log = logging.getLogger(__name__)


def main(out_dir: str, seed: int | str) -> None:
    """Write the example field into `out_dir`."""
    from unblend.io.files import write_text
    from unblend.io.images import write_image
    from unblend.io.tables import write_table
    from unblend.simulation import example_field

    out, seed = Path(out_dir), int(seed)
    log.info("drawing the example field, seed %d: about half a minute", seed)
    field = example_field.draw_example(np.random.default_rng(seed))
    for name, band in field.bands.items():
        cards = {"FILTER": name, "ZEROPT": band.spec.zero_point_ab, "OBJECT": "simulated field", "SEED": seed}
        write_image(out / f"{name}.fits", band.image, wcs=band.wcs, header=cards)
        write_image(
            out / f"{name}-psf.fits", band.psf, header=_psf_cards(band.spec.pixel_arcsec / band.spec.psf_oversampling)
        )
        if band.spec.noisy_columns is not None:
            weight = np.where(np.isfinite(band.image), band.rms**-2.0, 0.0)
            write_image(out / f"{name}-weight.fits", weight, wcs=band.wcs, header={"FILTER": name})
        log.info("%s: %s pixels, rms %.3g", name, band.image.shape, float(np.median(band.rms)))
    scale = field.bands[example_field.REFERENCE].spec.pixel_arcsec
    write_image(out / "det_stack-psf.fits", example_field.stack_psf(field), header=_psf_cards(scale))
    units = {"ra": "deg", "dec": "deg", "r_e_arcsec": "arcsec", "pa": "deg", "neighbour_arcsec": "arcsec"}
    units["edge_arcsec"] = "arcsec"
    for name, text in example_field.region_files(field).items():
        if (out / name).exists():
            log.info("%s exists: kept", name)
        else:
            write_text(out / name, text)
    # Last: where there is a truth table the field is complete.
    write_table(out / "truth.fits", field.truth, units=units, header={"SEED": seed}, name="TRUTH")
    inside = field.truth[field.truth["in_field"]]
    log.info(
        "%d sources, %d on the detection images, %d of them stars",
        len(field.truth),
        len(inside),
        inside["is_star"].sum(),
    )


def _psf_cards(pixel_arcsec: float) -> dict[str, object]:
    return {"CDELT1": -pixel_arcsec / 3600.0, "CDELT2": pixel_arcsec / 3600.0, "CUNIT1": "deg", "CUNIT2": "deg"}


if __name__ == "__main__":
    from unblend.run.job_log import run

    run(main)
