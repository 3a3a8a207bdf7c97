"""Detection of sources on the stack and its S/N image: segmentation and catalogue.

A source is fitted again whenever one of its pixels changes, so a mask drawn around one source must not change the
pixels of others. Numbers that hold for a whole image (median, rms, threshold) are therefore rounded, by much less than
their errors: they change only if the image changes considerably.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..core import coordinates
from ..core.areas import extents, whole_segments
from ..core.errors import UnblendError
from ..core.flags import Flag
from ..core.strips import Canvas, Strip, Workspace
from ..core.types import Region, WindowedImage
from ..images.sky_regions import sky_circle
from .detection_image import detection_image
from .hidden_sources import HiddenSource, add_hidden, find_hidden
from .holes import fill_holes
from .segmentation import find_segments, no_source
from .stack import Stack, noise_level

if TYPE_CHECKING:
    from astropy.wcs import WCS

_FLOAT_COLUMNS = ("y", "x", "ra", "dec", "flux", "flux_err", "snr", "a", "b", "theta")
CATALOGUE_DTYPE = np.dtype([("id", "i4"), ("area", "i4"), ("flag", "i4"), *((name, "f8") for name in _FLOAT_COLUMNS)])
"""One row per source: 0-based y, x; ra, dec in degrees; area in pixels; flux in units of the image of flux_band; a, b
are the rms lengths in pixels along the major and minor axis; theta in degrees counter-clockwise from x; flag as in
`Flag`."""

PairFinder = Callable[[Stack, WindowedImage, np.ndarray, Workspace], list[HiddenSource]]
"""Search for unresolved pairs: stack, segments, catalogue and workspace in, the fainter galaxies out."""
_MIN_SNR_CENTROID = 3.0
"""S/N of a segment in the stack below which its geometric centre is used instead of the centroid of its light."""


@dataclass(frozen=True)
class DetectedSources:
    """Result of the automatic detection.

    Parameters
    ----------
    segments : int32 image (ny, nx)
        Segmentation map, 0 = sky, with IDs from 1 in order of decreasing flux.
    catalogue : array of CATALOGUE_DTYPE
    snr : image (ny, nx)
        Smoothed S/N image in units of its rms.
    dropped : dict
        Number of sources rejected for each reason.
    background, rms : float
        Level and rms of the image of flux_band outside the segments, see `flux_level`.
    hidden : tuple of HiddenSource
        Sources found in the segments of brighter ones.
    """

    segments: WindowedImage
    catalogue: np.ndarray
    snr: WindowedImage
    dropped: dict[str, int]
    background: float
    rms: float
    hidden: tuple[HiddenSource, ...] = ()


def flux_level(
    image: WindowedImage,
    mask: WindowedImage,
    segments: WindowedImage,
    relative_noise: WindowedImage | None = None,
    work: Workspace | None = None,
) -> tuple[float, float]:
    """Return the background level and the rms of the usable pixels outside all segments, rounded as in `noise_level`.

    Parameters
    ----------
    image : image (ny, nx)
    mask : bool image (ny, nx)
        True = ignored.
    segments : int image (ny, nx)
        0 = sky.
    relative_noise : image (ny, nx), optional
        Noise of each pixel relative to that of a typical one, whose rms is then returned; infinite = no data.
    work : Workspace, optional

    Raises
    ------
    UnblendError
        No usable pixel is outside the segments, or their noise cannot be measured.
    """

    def sky(strip: Strip) -> list[np.ndarray]:
        values = image[strip.slices]
        usable = (segments[strip.slices] == 0) & ~mask[strip.slices] & np.isfinite(values)
        if relative_noise is None:
            return [usable, values]
        noise = relative_noise[strip.slices]
        return [usable & np.isfinite(noise), values, noise]

    values = (work or Workspace()).gather(image.shape, sky)
    if not values[0].size:
        raise UnblendError(
            "No usable pixel of flux_band is outside the segments, where its noise is measured. Raise "
            "detection.threshold, or leave sky (0) in a segmentation map of your own."
        )
    return noise_level(*values)


def measure(
    segments: WindowedImage,
    stack: Stack,
    image: WindowedImage,
    mask: WindowedImage,
    wcs: WCS,
    *,
    background: float,
    rms: float,
    relative_noise: WindowedImage | None = None,
    flags: Mapping[int, int] | None = None,
    work: Workspace | None = None,
) -> np.ndarray:
    """Return the catalogue of a segmentation as an array of `CATALOGUE_DTYPE`, in order of ID.

    Parameters
    ----------
    segments : int image (ny, nx)
        0 = sky; the IDs need not be consecutive.
    stack : Stack
        Positions and moments are measured on it. Those of segments below S/N 3, as manual ones may be, are geometric.
    image, mask : images (ny, nx)
        Image and mask (True = ignored) of flux_band. The flux is the sum over the usable pixels, NaN if there are none.
    background, rms : float
        Level and rms of `image` from the *automatic* detection (`flux_level`), so that an edit of the segmentation does
        not change the fluxes of other sources.
    relative_noise : image (ny, nx), optional
        Noise of each pixel of `image` relative to `rms`; infinite = no data. None: `rms` holds for all pixels.
    flags : mapping of id to bits, optional
        Values of the column `flag`.
    work : Workspace, optional
    """
    layers = [stack.data, stack.error, image, mask, *([] if relative_noise is None else [relative_noise])]
    parts = [np.zeros(0, dtype=CATALOGUE_DTYPE)]
    for label, y, x, *values in whole_segments(segments, layers, work or Workspace()):
        parts.append(_measured(label, y, x, values, background, rms))
    catalogue = np.concatenate(parts)
    catalogue = catalogue[np.argsort(catalogue["id"], kind="stable")]
    catalogue["ra"], catalogue["dec"] = coordinates.pixel_to_sky(wcs, catalogue["y"], catalogue["x"])
    if flags:
        catalogue["flag"] = [flags.get(int(i), 0) for i in catalogue["id"]]
    return catalogue


def _measured(
    label: np.ndarray, y: np.ndarray, x: np.ndarray, values: list[np.ndarray], background: float, rms: float
) -> np.ndarray:
    """Return the rows of the catalogue of segments, without sky positions and flags, from all of their pixels.

    Parameters
    ----------
    label, y, x : int arrays (n,)
    values : list of arrays (n,)
        Stack and error, image and mask of flux_band, and the relative noise if there is one.
    background, rms : float
    """
    light, error, image, mask, *noise = values
    ids, index, area = np.unique(label, return_inverse=True, return_counts=True)
    catalogue = np.zeros(ids.size, dtype=CATALOGUE_DTYPE)
    catalogue["id"], catalogue["area"] = ids, area
    values_above = image - background
    usable = np.isfinite(values_above) & ~mask.astype(bool)
    if noise:
        usable &= np.isfinite(noise[0])
    count = np.bincount(index[usable], minlength=ids.size)
    flux = np.bincount(index[usable], values_above[usable], minlength=ids.size)
    catalogue["flux"] = np.where(count > 0, flux, np.nan)
    variance = np.bincount(index[usable], noise[0][usable] ** 2, minlength=ids.size) if noise else count
    catalogue["flux_err"] = np.where(count > 0, rms * np.sqrt(variance), np.nan)
    catalogue["snr"] = catalogue["flux"] / catalogue["flux_err"]
    _add_moments(catalogue, index, y, x, np.nan_to_num(light), error)
    return catalogue


def catalogue_regions(catalogue: np.ndarray, wcs: WCS) -> list[Region]:
    """Return an ellipse of 3 rms lengths for each source, labelled with its ID, in ICRS."""
    regions = []
    for row in catalogue:
        theta = np.deg2rad(row["theta"])
        along = np.array([[np.sin(theta), np.cos(theta)], [np.cos(theta), -np.sin(theta)]])
        (east, north), across = along @ coordinates.sky_jacobian(wcs, row["y"], row["x"]).T
        sizes = 3.0 * row["a"] * math.hypot(east, north), 3.0 * row["b"] * math.hypot(*across)
        regions.append(
            Region(
                "ellipse",
                "icrs",
                ((float(row["ra"]), float(row["dec"])),),
                tuple((float(size), "arcsec") for size in sizes),
                angle=math.degrees(math.atan2(north, -east)),
                text=str(row["id"]),
            )
        )
    return regions


def hidden_regions(hidden: Iterable[HiddenSource], wcs: WCS, *, radius_pixels: float) -> list[Region]:
    """Return a circle around the peak of each hidden source, labelled with the source in whose segment it lies.

    Sources in one segment have different labels, because regions with the same text are one manual source.
    """
    return [
        sky_circle(wcs, source.y, source.x, radius_pixels, f"hidden {number} in {source.parent}")
        for number, source in enumerate(hidden, start=1)
    ]


def detect(
    stack: Stack,
    image: WindowedImage,
    mask: WindowedImage,
    wcs: WCS,
    *,
    fwhm_pixels: float,
    relative_noise: WindowedImage | None = None,
    threshold: float = 1.5,
    min_area: int = 10,
    min_snr: float = 10.0,
    deblend_levels: int = 32,
    deblend_contrast: float = 0.005,
    second_pass: str = "off",
    find_pairs: PairFinder | None = None,
    never_filled: WindowedImage | None = None,
    work: Workspace | None = None,
) -> DetectedSources:
    """Run the automatic detection on a stack.

    Parameters
    ----------
    stack : Stack
    image : image (ny, nx)
        Image of flux_band.
    mask : bool image (ny, nx)
        True = ignored in `image`.
    wcs : WCS
    fwhm_pixels : float
        FWHM of the Gaussian that smooths the S/N image; 0 for no smoothing.
    relative_noise : image (ny, nx), optional
        Noise of each pixel of `image` relative to that of a typical one; infinite = no data. None: constant noise.
    threshold, min_area, deblend_levels, deblend_contrast
        As in `find_segments`.
    min_snr : float
        Sources with a lower S/N in flux_band are rejected; so are hidden ones with a lower peak.
    second_pass : {"auto", "propose", "off"}
        Sources hidden in the segments of brighter ones are added, or only returned, or not looked for.
    find_pairs : callable, optional
        Returns the fainter galaxies of unresolved pairs for (stack, segments with hidden sources, catalogue).
    never_filled : bool image (ny, nx), optional
        True where the user has masked the detection images. Other holes inside a source, which saturation leaves, are
        filled for the detection; the pixels stay unknown to all measurements.
    work : Workspace, optional

    Raises
    ------
    UnblendError
        No source is detected.
    """
    work = work or Workspace()
    smoothed, local = detection_image(stack, fwhm_pixels, work)
    snr, noise, filled = fill_holes(smoothed, fillable(stack, never_filled, work), threshold, local, work)
    segments = find_segments(
        snr,
        work.mask(snr.shape, lambda strip: ~np.isfinite(stack.data[strip.slices]) & ~filled[strip.slices]),
        noise=noise,
        threshold=threshold,
        min_area=min_area,
        deblend_levels=deblend_levels,
        deblend_contrast=deblend_contrast,
        work=work,
    )
    in_flux_band: dict[str, Any] = {
        "stack": stack,
        "image": image,
        "mask": mask,
        "wcs": wcs,
        "relative_noise": relative_noise,
        "work": work,
    }
    background, rms = flux_level(image, mask, segments, relative_noise, work)
    candidates = measure(segments, background=background, rms=rms, **in_flux_band)
    small = candidates["area"] < min_area
    faint = ~small & ~(candidates["snr"] >= min_snr)
    dropped = {"min_area": int(small.sum()), "min_snr": int(faint.sum())}
    if (small | faint).all():
        raise no_source(f"all {int(faint.sum())} candidates are below S/N {min_snr:g} in flux_band")
    _renumber(segments, candidates, ~small & ~faint, work)
    # Measure again with the rejected candidates as part of the sky: without these noise peaks it would be biased low.
    background, rms = flux_level(image, mask, segments, relative_noise, work)
    catalogue = measure(segments, background=background, rms=rms, **in_flux_band)
    _renumber(segments, catalogue, np.ones(catalogue.size, dtype=bool), work)
    catalogue = measure(segments, background=background, rms=rms, **in_flux_band)
    hidden: list[HiddenSource] = []
    if second_pass != "off":
        hidden = find_hidden(
            stack, segments, catalogue, fwhm_pixels=fwhm_pixels, min_snr=min_snr, min_area=min_area, work=work
        )
        if find_pairs is not None:
            hidden += find_pairs(stack, add_hidden(segments, hidden, work), catalogue, work)
    if hidden:
        flags = dict.fromkeys((source.parent for source in hidden), int(Flag.HIDDEN_NEIGHBOUR))
        if second_pass == "auto":
            segments = add_hidden(segments, hidden, work)
            added = np.setdiff1d(extents(segments, work).ids, catalogue["id"])
            flags = dict.fromkeys(added.tolist(), int(Flag.SECOND_DETECTION))
        catalogue = measure(segments, background=background, rms=rms, flags=flags, **in_flux_band)
    return DetectedSources(segments, catalogue, snr, dropped, background, rms, tuple(hidden))


def fillable(stack: Stack, never_filled: WindowedImage | None, work: Workspace) -> WindowedImage:
    """Return the pixels of which no image is usable, without those that the user has masked."""

    def read(strip: Strip) -> np.ndarray:
        unknown = ~np.isfinite(stack.data[strip.slices])
        return unknown if never_filled is None else unknown & ~never_filled[strip.slices]

    return work.mask(stack.data.shape, read)


def _renumber(segments: Canvas, catalogue: np.ndarray, kept: np.ndarray, work: Workspace) -> None:
    """Give the kept sources numbers by decreasing flux, at equal flux by position, and erase the others, in place."""
    number = np.zeros(int(catalogue["id"].max()) + 1, dtype=np.int32)
    catalogue = catalogue[kept]
    order = np.lexsort((catalogue["x"], catalogue["y"], -catalogue["flux"]))
    number[catalogue["id"][order]] = np.arange(1, catalogue.size + 1)
    for strip in work.strips(segments.shape):
        segments[strip.slices] = number[segments[strip.slices]]


def _add_moments(
    catalogue: np.ndarray, index: np.ndarray, y: np.ndarray, x: np.ndarray, light: np.ndarray, error: np.ndarray
) -> None:
    """Fill in position, axes and angle from the moments of the positive flux of the stack in each segment."""
    size = catalogue.size
    noise = np.sqrt(np.bincount(index, np.where(np.isfinite(error), error, 0.0) ** 2, minlength=size))
    no_flux = np.bincount(index, light, minlength=size) <= _MIN_SNR_CENTROID * noise
    weight = np.where(no_flux[index], 1.0, np.clip(light, 0.0, None))
    total = np.bincount(index, weight, minlength=size)

    def mean(values: np.ndarray) -> np.ndarray:
        return np.bincount(index, weight * values, minlength=size) / total

    catalogue["y"], catalogue["x"] = mean(y), mean(x)
    dy, dx = y - catalogue["y"][index], x - catalogue["x"][index]
    # 1/12 is the variance of a uniform distribution over one pixel, so that a segment of one row has a width.
    yy, xx, xy = mean(dy**2) + 1.0 / 12.0, mean(dx**2) + 1.0 / 12.0, mean(dy * dx)
    middle, half = (xx + yy) / 2.0, np.hypot((xx - yy) / 2.0, xy)
    catalogue["a"], catalogue["b"] = np.sqrt(middle + half), np.sqrt(np.maximum(middle - half, 1.0 / 12.0))
    catalogue["theta"] = np.rad2deg(0.5 * np.arctan2(2.0 * xy, xx - yy))
