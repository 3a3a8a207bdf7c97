"""The table of the images of a field, for `./unblend check`: it reads all of them."""

from __future__ import annotations

from collections.abc import Mapping

from .jobs import Jobs


def describe_images(jobs: Jobs, psf_fwhm_arcsec: Mapping[str, float]) -> tuple[list[str], list[str]]:
    """Return the lines of the table, and a sentence for each PSF that is much wider than the sources of its image.

    Bands with a mosaic, whose images are cut in a job, and what needs a detection image of one, are left out.

    Parameters
    ----------
    jobs : Jobs
        Of a field whose input files have been checked.
    psf_fwhm_arcsec : mapping
        FWHM of the PSF of each band, in arcsec.
    """
    from ..field.input_table import summary_of, table_lines, width_warning

    bands = jobs.config.bands
    first = bands[jobs.config.detection.bands[0]]
    if first.mosaic is not None:
        return [], []
    own = {name: band for name, band in bands.items() if band.mosaic is None}
    images = {
        name: summary_of(jobs.inputs.image(band), jobs.inputs.image(first), jobs.inputs.weight(band), band.saturation)
        for name, band in own.items()
    }
    zero_points = {n: "-" if band.zero_point is None else str(band.zero_point) for n, band in own.items()}
    warnings = [width_warning(name, image, psf_fwhm_arcsec[name]) for name, image in images.items()]
    return table_lines(images, zero_points, psf_fwhm_arcsec), [warning for warning in warnings if warning]
