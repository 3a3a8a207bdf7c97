"""The table of the images of a field, for `./unblend check`: it reads all of them."""

from __future__ import annotations

from collections.abc import Mapping

from ..io.header_zero_point import read_zero_point
from .config import Band
from .jobs import Jobs


def describe_images(jobs: Jobs, psf_fwhm_arcsec: Mapping[str, float]) -> tuple[list[str], list[str]]:
    """Return the lines of the table, and sentences on what contradicts the images.

    These are PSFs that are much wider than the sources, and noise that is not the scatter of the pixels. Bands with a
    mosaic, whose images are cut in a job, and what needs a detection image of one, are left out.

    Parameters
    ----------
    jobs : Jobs
        Of a field whose input files have been checked.
    psf_fwhm_arcsec : mapping
        FWHM of the PSF of each band, in arcsec.
    """
    from ..field.input_table import rms_warning, summary_of, table_lines, width_warning

    bands = jobs.config.bands
    first = bands[jobs.config.detection.bands[0]]
    if first.mosaic is not None:
        return [], []
    own = {name: band for name, band in bands.items() if band.mosaic is None}
    images = {
        name: summary_of(jobs.inputs.image(band), jobs.inputs.image(first), jobs.inputs.weight(band), band.saturation)
        for name, band in own.items()
    }
    zero_points = {name: _zero_point(band, jobs.inputs.image(band)) for name, band in own.items()}
    warnings = [width_warning(name, image, psf_fwhm_arcsec[name]) for name, image in images.items()]
    without_map = {name: image for name, image in images.items() if own[name].weight is None}
    warnings += [rms_warning(name, image, own[name].rms) for name, image in without_map.items()]
    return table_lines(images, zero_points, psf_fwhm_arcsec), [warning for warning in warnings if warning]


def _zero_point(band: Band, image: str) -> str:
    """Return the zero point of a band as text; of one that is `auto`, that of the header, which has been checked."""
    if band.zero_point == "auto":
        return f"{read_zero_point(image, wavelength_um=band.wavelength).value_ab:.2f}"
    return "-" if band.zero_point is None else str(band.zero_point)
