"""Draw the example field: images, PSFs, weight map, truth and the region files of a user.

The same seed gives the same bytes. Nothing that exists is overwritten: the script refuses to draw where one of its
images or PSFs lies already, and leaves a region file that exists as it is.
"""

from __future__ import annotations

import logging
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from unblend.simulation.fields import Field

log = logging.getLogger(__name__)


def main(out_dir: str, seed: int, truth_path: str) -> None:
    """Write the example field into `out_dir` and, last, the table of true sources.

    Raises
    ------
    InputError
        A file of the field exists already.
    """
    from unblend.core.errors import InputError
    from unblend.io.files import write_text
    from unblend.io.tables import write_table
    from unblend.simulation import example_field

    out = Path(out_dir)
    names = example_field.file_names()
    existing = [name for name in names if (out / name).exists()]
    if existing:
        raise InputError(
            f"{out / existing[0]} exists and was not drawn as part of this example field ({Path(truth_path).name} is "
            "missing): nothing is overwritten. If these are your own images, delete the line example_seed from "
            "config.yaml; if they are what is left of the example, delete them and run again."
        )
    log.info("drawing the example field, seed %d: about half a minute", seed)
    field = example_field.draw_example(np.random.default_rng(seed))
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out, prefix=".drawing-") as temporary:
        write_images(field, Path(temporary), seed)
        for name in names:
            (Path(temporary) / name).rename(out / name)
    for name, text in example_field.region_files(field).items():
        if (out / name).exists():
            log.info("%s exists: it is kept", name)
        else:
            write_text(out / name, text)
    units = {"ra": "deg", "dec": "deg", "r_e_arcsec": "arcsec", "pa": "deg", "neighbour_arcsec": "arcsec"}
    units["edge_arcsec"] = "arcsec"
    write_table(truth_path, field.truth, units=units, header={"SEED": seed}, name="TRUTH")
    inside = field.truth[field.truth["in_field"]]
    stars = inside["is_star"].sum()
    log.info("%d sources, %d on the detection images, %d of them stars", len(field.truth), len(inside), stars)


def write_images(field: Field, out: Path, seed: int) -> None:
    """Write images, PSFs and the weight map into `out`."""
    from unblend.io.images import write_image
    from unblend.simulation import example_field

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


def _psf_cards(pixel_arcsec: float) -> dict[str, object]:
    return {"CDELT1": -pixel_arcsec / 3600.0, "CDELT2": pixel_arcsec / 3600.0, "CUNIT1": "deg", "CUNIT2": "deg"}


if __name__ == "__main__":
    from unblend.run.job_log import run

    run(main)
