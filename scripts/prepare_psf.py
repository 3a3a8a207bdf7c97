"""Prepare the PSF of a band at every place: unit sum, centred."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
from unblend.core.errors import FailedBandError, InputError
from unblend.field.band_data import origin_of
from unblend.field.failed_band import CUTOUT, failure_in, write_failed_psf
from unblend.field.prepared_psf import prepared_psf, psf_of_stars
from unblend.field.psf_stars import StarPsf, no_stars, star_psf
from unblend.io.files import DamagedFileError, atomic_path, read_json
from unblend.io.images import read_shape
from unblend.io.psfs import read_psf, read_psf_widths, write_psf
from unblend.io.tables import write_table
from unblend.run.job_log import record_work, run

log = logging.getLogger("unblend.psf")


def main(spec_path: str, psf_path: str, stars_path: str, whole_path: str = "") -> None:
    """Write the PSF described by the spec, its sampling, kind and FWHM (image pixels) in the header; the stars used.

    Where it is built from stars, they are drawn in `psf_stars.png` beside it. That of a tile is that of its band,
    `whole_path`.

    Of a map, the first image is the PSF in the middle of the band's image, and FWHM is the median.
    """
    spec = read_json(spec_path)
    try:
        reason = failure_in(whole_path if "tile" in spec else Path(psf_path).with_name(CUTOUT))
        if reason is not None:
            raise FailedBandError(reason)
        write_prepared(spec, psf_path, stars_path, whole_path)
    except DamagedFileError:
        raise
    except InputError as error:
        log.info("%s", error)
        write_failed_psf(psf_path, error)
        write_table(stars_path, no_stars(), name="STARS")
        Path(stars_path).with_suffix(".png").unlink(missing_ok=True)
    record_work("psf", spec["name"])


def write_prepared(spec: dict, psf_path: str, stars_path: str, whole_path: str) -> None:
    """Write the PSF and its stars.

    Raises
    ------
    InputError
        The PSF cannot be used, or no star of the image can.
    """
    ny, nx = read_shape(spec["image"]["file"])
    if "tile" in spec:
        write_psf_of_tile(spec, psf_path, whole_path, ((ny - 1) / 2.0, (nx - 1) / 2.0))
        write_table(stars_path, no_stars(), name="STARS")
        return
    built = star_psf(spec) if "stars" in spec else None
    psf, widths = prepared_psf(spec, psf_of_stars(spec, built) if built else None)
    middle, width = ((ny - 1) / 2.0, (nx - 1) / 2.0), float(np.median(widths))
    cards = {"FWHM": width / psf.oversampling, "FWHMPSF": width, "PSFSUM": psf.at(*middle).data.sum()}
    if len(psf.psfs) > 1:
        cards |= {"FWHMMIN": widths.min() / psf.oversampling, "FWHMMAX": widths.max() / psf.oversampling}
    write_psf(psf_path, psf, cards, middle=middle, widths=widths)
    units = {"ra": "deg", "dec": "deg", "x": "pix", "y": "pix", "half_light_radius": "arcsec"}
    units |= {"fwhm": "arcsec", "pa": "deg"}
    write_table(stars_path, built.table if built else no_stars(), units=units, name="STARS")
    draw_stars(Path(stars_path).with_suffix(".png"), spec["name"], built, (ny, nx))


def write_psf_of_tile(spec: dict, path: str, whole_path: str, middle: tuple[float, float]) -> None:
    """Write the PSF of a band for a tile, whose middle is at the pixel `middle` of the tile."""
    whole, header = read_psf(whole_path)
    y0, x0 = origin_of(spec)
    psf = whole.moved(-y0, -x0)
    cards: dict[str, object] = {
        name: header[name] for name in ("FWHM", "FWHMPSF", "FWHMMIN", "FWHMMAX") if name in header
    }
    cards["PSFSUM"] = float(psf.at(*middle).data.sum())
    write_psf(path, psf, cards, middle=middle, widths=read_psf_widths(whole_path))


def draw_stars(path: Path, band: str, built: StarPsf | None, shape: tuple[int, int]) -> None:
    """Draw the stars of which a PSF is built; remove the picture of an earlier run where a PSF is given."""
    if built is None:
        path.unlink(missing_ok=True)
        return
    from unblend.report.star_figure import star_figure, used_stars

    with atomic_path(path) as temporary:
        star_figure(band, built.built, used_stars(built.table), shape).savefig(
            temporary, dpi=110, metadata={"Software": None}
        )


if __name__ == "__main__":
    run(main)
