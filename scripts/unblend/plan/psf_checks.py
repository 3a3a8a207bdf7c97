"""What can be wrong with the PSFs of a field, found before any job starts; and what they are, for the user."""

from __future__ import annotations

from collections.abc import Iterator

from ..core.errors import InputError, UnblendError
from ..io.psf_files import read_placed_psfs, read_psf_images
from ..io.psf_polygons import read_psf_polygons
from ..io.star_places import read_star_places
from .band_descriptions import describe_bands
from .jobs import Jobs, prepare_psf


def psf_files(jobs: Jobs) -> dict[str, tuple[str, str | None]]:
    """Return the paths of every PSF and of its polygons, if it has any, by their key in the configuration."""
    path = jobs.inputs.path
    found: dict[str, tuple[str, str | None]] = {}
    for name, band in jobs.config.bands.items():
        if band.psf is not None and band.psf.file is not None:
            found[f"bands.{name}.psf"] = path(band.psf.file), band.psf.polygons and path(band.psf.polygons)
    if jobs.config.models.psf not in jobs.config.bands:
        found["models.psf"] = path(jobs.config.models.psf), None
    return found


def star_files(jobs: Jobs) -> dict[str, str]:
    """Return the paths of the files of stars from which PSFs are built, by their key in the configuration."""
    named = {name: band.psf.stars for name, band in jobs.config.bands.items() if band.psf and band.psf.stars}
    return {f"bands.{n}.psf.stars": jobs.inputs.path(file) for n, file in named.items() if file != "auto"}


def bad_psfs(jobs: Jobs) -> Iterator[str]:
    """Yield what is wrong with the files of PSFs and of stars: unreadable, or PSFs without a place for each."""
    for key, file in star_files(jobs).items():
        try:
            read_star_places(file)
        except UnblendError as error:
            yield f"{key}: {error}"
    for key, (file, polygons) in psf_files(jobs).items():
        try:
            if polygons is None:
                read_placed_psfs(file)
            else:
                read_psf_polygons(polygons, read_psf_images(file).labels)
        except UnblendError as error:
            yield f"{key}: {error}"


def described_psfs(jobs: Jobs) -> dict[str, tuple[str, float]]:
    """Return one line on the PSF of each band whose image is there, and its FWHM in arcsec (the median of several).

    The line has the number of PSFs, the range of the FWHM, and the sampling.

    Raises
    ------
    InputError
        With every PSF that cannot be used on a line of its own.
    """
    from ..field.prepared_psf import describe_psf, fwhm_arcsec, measured_psf

    found: dict[str, tuple[str, float]] = {}

    def line(name: str) -> str:
        spec = prepare_psf(jobs, name)
        try:
            psf, widths = measured_psf(spec)
        except UnblendError as error:
            # a PSF from stars names the key itself, because its job says the same sentence
            key = f"bands.{name}.psf: "
            raise InputError(key + str(error).removeprefix(key)) from None
        found[name] = f"bands.{name}.psf: {describe_psf(spec, psf, widths)}", fwhm_arcsec(spec, psf, widths)
        return found[name][0]

    describe_bands(jobs, line, "the PSFs")
    return found
