"""The images of a field in a table, with what they show themselves: noise, gaps, overlap, and the width of stars."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..core.coordinates import pixel_scale, pixel_to_sky, sky_to_pixel
from ..core.statistics import noise_rms
from ..images.star_selection import find_sources, stellar_radius
from ..io.images import read_array, read_header, read_wcs
from .detection_mask import no_data
from .weight_maps import read_weight

TOO_WIDE = 1.5
"""FWHM of a PSF over that of the most compact sources beyond which it is too wide for them. Many fields have no stars,
and their most compact sources are wider than the PSF: a PSF that is narrower says nothing."""
OTHER_NOISE = 2.0
"""Factor between the noise that is given and the scatter of the pixels; correlated noise and faint sources are less."""
_SAMPLES = 41
"""Positions along each axis on which the overlap of two images is measured."""
HEADS = ("band", "image", "pixels", 'pixel ["]', "unit", "zero point", "noise", "no data", "overlap",
         'FWHM of PSF ["]', 'of sources ["]')  # fmt: skip


@dataclass(frozen=True)
class ImageSummary:
    """What the image of a band shows.

    Parameters
    ----------
    file : str
    shape : (ny, nx)
    scale_arcsec : float
        Pixel scale.
    unit : str
        BUNIT of the header; empty without one.
    noise : float
        Robust scatter of the pixels away from bright sources, in image units; NaN without pixels.
    without_data : float
        Fraction of the pixels that are not finite, not observed, saturated or without weight.
    overlap : float
        Fraction of the detection image on which this one has pixels.
    stars_fwhm_arcsec : float
        Twice the half-light radius of the most compact bright sources; NaN where fewer than a handful agree.
    """

    file: str
    shape: tuple[int, int]
    scale_arcsec: float
    unit: str
    noise: float
    without_data: float
    overlap: float
    stars_fwhm_arcsec: float


def summary_of(
    file: str, detection_file: str, weight: Mapping[str, str] | None = None, saturation: float | None = None
) -> ImageSummary:
    """Return what the image of a band shows.

    Parameters
    ----------
    file : str
        The image.
    detection_file : str
        The first detection image.
    weight : mapping, optional
        `file` and `kind` of its weight map.
    saturation : float, optional
        Level of saturation, in image units.

    Raises
    ------
    InputError
        One of the files cannot be read.
    """
    image, wcs = read_array(file), read_wcs(file)
    mask = no_data(image, None if weight is None else read_weight(weight, image.shape), saturation)
    scale = pixel_scale(wcs, image.shape)
    radius = None if mask.all() else stellar_radius(find_sources(image, mask))
    return ImageSummary(
        file=file,
        shape=(image.shape[0], image.shape[1]),
        scale_arcsec=scale,
        unit=str(read_header(file).get("BUNIT") or "").strip(),
        noise=noise_rms(image, mask),
        without_data=float(mask.mean()),
        overlap=_overlap(mask, file, detection_file),
        stars_fwhm_arcsec=math.nan if radius is None else 2.0 * radius * scale,
    )


def _overlap(mask: np.ndarray, file: str, detection_file: str) -> float:
    """Return the fraction of the detection image on which another one has pixels."""
    ny, nx = read_array(detection_file).shape
    places = np.meshgrid(np.linspace(0, ny - 1, _SAMPLES), np.linspace(0, nx - 1, _SAMPLES), indexing="ij")
    sky = pixel_to_sky(read_wcs(detection_file), places[0].ravel(), places[1].ravel())
    y, x = sky_to_pixel(read_wcs(file), *sky)
    inside = (y > -0.5) & (y < mask.shape[0] - 0.5) & (x > -0.5) & (x < mask.shape[1] - 0.5)
    rows, columns = (np.rint(np.where(inside, at, 0.0)).astype(int) for at in (y, x))
    return float(np.mean(inside & ~mask[rows, columns]))


def width_warning(band: str, image: ImageSummary, psf_fwhm_arcsec: float) -> str | None:
    """Return a sentence where the PSF of a band is much wider than the most compact sources of its image."""
    if not psf_fwhm_arcsec > TOO_WIDE * image.stars_fwhm_arcsec:
        return None
    return (
        f"bands.{band}: the PSF (FWHM {psf_fwhm_arcsec:.3g} arcsec) is {psf_fwhm_arcsec / image.stars_fwhm_arcsec:.2g} "
        f"times as wide as the most compact sources of the image ({image.stars_fwhm_arcsec:.3g} arcsec); check psf and "
        "psf_oversampling."
    )


def rms_warning(band: str, image: ImageSummary, rms: object) -> str | None:
    """Return a sentence where the noise that the user gives for a band is not the scatter of its pixels.

    Parameters
    ----------
    band : str
    image : ImageSummary
    rms : float or "auto"
        As given, in image units.
    """
    if not isinstance(rms, int | float) or not image.noise > 0 or 1.0 / OTHER_NOISE <= rms / image.noise <= OTHER_NOISE:
        return None
    return (
        f"bands.{band}.rms is {rms:g}, and the pixels of {image.file} scatter by {image.noise:.3g}: the errors follow "
        "the value that is given; expected the noise of a pixel in image units. Correct it, or set rms: auto."
    )


def table_lines(
    images: Mapping[str, ImageSummary], zero_points: Mapping[str, str], psf_fwhm_arcsec: Mapping[str, float]
) -> list[str]:
    """Return the lines of the table, a row for each band.

    Parameters
    ----------
    images, zero_points, psf_fwhm_arcsec : mapping
        By band: its image; its zero point in AB magnitudes as text; the FWHM of its PSF in arcsec.
    """
    rows: list[Sequence[str]] = [HEADS]
    for band, image in images.items():
        rows.append((
            band, Path(image.file).name, f"{image.shape[1]} x {image.shape[0]}", f"{image.scale_arcsec:.4g}",
            image.unit or "-", zero_points[band], f"{image.noise:.3g}", f"{image.without_data:.1%}",
            f"{image.overlap:.0%}", f"{psf_fwhm_arcsec[band]:.3g}",
            "-" if math.isnan(image.stars_fwhm_arcsec) else f"{image.stars_fwhm_arcsec:.3g}",
        ))  # fmt: skip
    widths = [max(len(row[k]) for row in rows) for k in range(len(HEADS))]
    return ["  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip() for row in rows]
