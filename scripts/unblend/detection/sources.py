"""Detection of sources on the stack and its S/N image: segmentation and catalogue.

A source is fitted again whenever one of its pixels changes, so a mask drawn around one source must not change the
pixels of others. Numbers that hold for a whole image (median, rms, threshold) are therefore rounded, by much less than
their errors: they change only if the image changes considerably.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..core import coordinates
from ..core.errors import UnblendError
from ..core.flags import Flag
from ..core.types import Region
from ..images.pixel_stack import set_pixel_stack
from ..images.sky_regions import sky_circle
from .detection_image import detection_image
from .hidden_sources import HiddenSource, add_hidden, find_hidden
from .holes import fill_holes
from .stack import Stack, noise_level

if TYPE_CHECKING:
    from astropy.wcs import WCS

_FLOAT_COLUMNS = ("y", "x", "ra", "dec", "flux", "flux_err", "snr", "a", "b", "theta")
CATALOGUE_DTYPE = np.dtype([("id", "i4"), ("area", "i4"), ("flag", "i4"), *((name, "f8") for name in _FLOAT_COLUMNS)])
"""One row per source: 0-based y, x; ra, dec in degrees; area in pixels; flux in units of the image of flux_band; a, b
are the rms lengths in pixels along the major and minor axis; theta in degrees counter-clockwise from x; flag as in
`Flag`."""

PairFinder = Callable[[Stack, np.ndarray, np.ndarray], list[HiddenSource]]
"""Search for unresolved pairs: stack, segments and catalogue in, the fainter galaxies out."""
_MIN_SNR_CENTROID = 3.0
"""S/N of a segment in the stack below which its geometric centre is used instead of the centroid of its light."""
_MAX_SUB_OBJECTS = 32000
"""Limit of sub-objects in sep, which counts them in 16 bits."""


@dataclass(frozen=True)
class DetectedSources:
    """Result of the automatic detection.

    Parameters
    ----------
    segments : int32 array (ny, nx)
        Segmentation map, 0 = sky, with IDs from 1 in order of decreasing flux.
    catalogue : array of CATALOGUE_DTYPE
    snr : array (ny, nx)
        Smoothed S/N image in units of its rms.
    dropped : dict
        Number of sources rejected for each reason.
    background, rms : float
        Level and rms of the image of flux_band outside the segments, see `flux_level`.
    hidden : tuple of HiddenSource
        Sources found in the segments of brighter ones.
    """

    segments: np.ndarray
    catalogue: np.ndarray
    snr: np.ndarray
    dropped: dict[str, int]
    background: float
    rms: float
    hidden: tuple[HiddenSource, ...] = ()


def find_segments(
    snr: np.ndarray,
    mask: np.ndarray,
    *,
    noise: np.ndarray | None = None,
    threshold: float,
    min_area: int,
    deblend_levels: int,
    deblend_contrast: float,
) -> np.ndarray:
    """Return the deblended segmentation of a S/N image (int32, 0 = sky), with IDs in no particular order.

    Parameters
    ----------
    snr : array (ny, nx)
    mask : bool array (ny, nx)
        True = ignored.
    noise : array (ny, nx), optional
        Local noise up to a factor. Blends are then separated in surface brightness, snr × noise: in S/N a galaxy on a
        step of the depth has two peaks. None: constant noise.
    threshold : float
        Detection threshold in units of the noise.
    min_area : int
        Smallest number of connected pixels above the threshold.
    deblend_levels : int
        Number of thresholds for deblending; below 2 there is none.
    deblend_contrast : float
        Smallest fraction of the flux of a blend that is separated as a source; 1 for none.

    Raises
    ------
    UnblendError
        No source is detected.
    """
    snr, mask = np.ascontiguousarray(snr, dtype=np.float64), np.ascontiguousarray(mask, dtype=bool)
    blobs = _extract(snr, mask, threshold, min_area)
    if not blobs.any():
        raise _no_source(f"no {min_area} connected pixels are above {threshold:g} sigma")
    if deblend_levels < 2 or deblend_contrast >= 1.0:
        return blobs
    return _deblend(snr, noise, blobs, threshold, min_area, deblend_levels, deblend_contrast)


def _extract(snr: np.ndarray, mask: np.ndarray, threshold: float, min_area: int, **deblending: float) -> np.ndarray:
    import sep

    set_pixel_stack(snr, threshold, deblends=bool(deblending))
    sep.set_sub_object_limit(int(np.clip(snr.size // 16, 1024, _MAX_SUB_OBJECTS)))
    deblending = deblending or {"deblend_cont": 1.0}
    _, segments = sep.extract(
        snr, threshold, mask=mask, minarea=min_area, filter_kernel=None, segmentation_map=True, **deblending
    )
    return segments.astype(np.int32)


def _deblend(
    snr: np.ndarray,
    noise: np.ndarray | None,
    blobs: np.ndarray,
    threshold: float,
    min_area: int,
    levels: int,
    contrast: float,
) -> np.ndarray:
    """Return the segments of all connected areas, each deblended separately.

    sep distributes pixels between blended sources with one sequence of random numbers for the whole image, so that a
    change at one end of the image would change segments at the other. Each call of sep starts a new sequence.
    """
    from scipy.ndimage import find_objects

    result = np.zeros_like(blobs)
    count = 0
    for number, window in enumerate(find_objects(blobs), start=1):
        if window is None:
            continue
        blob = blobs[window] == number
        parts = blob.astype(np.int32)
        if np.count_nonzero(blob) >= 2 * min_area:
            cutout = np.array(snr[window], order="C")
            if noise is not None:
                # Relative to the lowest noise, so that no pixel falls below the threshold.
                local = noise[window][blob]
                cutout[blob] *= local / local.min()
            parts = _extract(cutout, ~blob, threshold, min_area, deblend_nthresh=levels, deblend_cont=contrast)
        found = parts > 0
        result[window][found] = parts[found] + count
        count += int(parts.max())
    return result


def flux_level(
    image: np.ndarray, mask: np.ndarray, segments: np.ndarray, relative_noise: np.ndarray | None = None
) -> tuple[float, float]:
    """Return the background level and the rms of the usable pixels outside all segments, rounded as in `noise_level`.

    Parameters
    ----------
    image : array (ny, nx)
    mask : bool array (ny, nx)
        True = ignored.
    segments : int array (ny, nx)
        0 = sky.
    relative_noise : array (ny, nx), optional
        Noise of each pixel relative to that of a typical one, whose rms is then returned; infinite = no data.

    Raises
    ------
    UnblendError
        No usable pixel is outside the segments, or their noise cannot be measured.
    """
    sky = (segments == 0) & ~mask & np.isfinite(image)
    if relative_noise is not None:
        sky &= np.isfinite(relative_noise)
    if not sky.any():
        raise UnblendError(
            "No usable pixel of flux_band is outside the segments, where its noise is measured. Raise "
            "detection.threshold, or leave sky (0) in a segmentation map of your own."
        )
    return noise_level(image[sky], None if relative_noise is None else relative_noise[sky])


def measure(
    segments: np.ndarray,
    stack: Stack,
    image: np.ndarray,
    mask: np.ndarray,
    wcs: WCS,
    *,
    background: float,
    rms: float,
    relative_noise: np.ndarray | None = None,
    flags: Mapping[int, int] | None = None,
) -> np.ndarray:
    """Return the catalogue of a segmentation as an array of `CATALOGUE_DTYPE`, in order of ID.

    Parameters
    ----------
    segments : int array (ny, nx)
        0 = sky; the IDs need not be consecutive.
    stack : Stack
        Positions and moments are measured on it. Those of segments below S/N 3, as manual ones may be, are geometric.
    image, mask : arrays (ny, nx)
        Image and mask (True = ignored) of flux_band. The flux is the sum over the usable pixels, NaN if there are none.
    background, rms : float
        Level and rms of `image` from the *automatic* detection (`flux_level`), so that an edit of the segmentation does
        not change the fluxes of other sources.
    relative_noise : array (ny, nx), optional
        Noise of each pixel of `image` relative to `rms`; infinite = no data. None: `rms` holds for all pixels.
    flags : mapping of id to bits, optional
        Values of the column `flag`.
    """
    y, x = np.nonzero(segments)
    label = segments[y, x]
    ids, index, area = np.unique(label, return_inverse=True, return_counts=True)
    catalogue = np.zeros(ids.size, dtype=CATALOGUE_DTYPE)
    catalogue["id"], catalogue["area"] = ids, area
    values = image[y, x] - background
    usable = np.isfinite(values) & ~mask[y, x]
    if relative_noise is not None:
        usable &= np.isfinite(relative_noise[y, x])
    count = np.bincount(index[usable], minlength=ids.size)
    flux = np.bincount(index[usable], values[usable], minlength=ids.size)
    catalogue["flux"] = np.where(count > 0, flux, np.nan)
    variance = count
    if relative_noise is not None:
        variance = np.bincount(index[usable], relative_noise[y, x][usable] ** 2, minlength=ids.size)
    catalogue["flux_err"] = np.where(count > 0, rms * np.sqrt(variance), np.nan)
    catalogue["snr"] = catalogue["flux"] / catalogue["flux_err"]
    _add_moments(catalogue, index, y, x, stack)
    catalogue["ra"], catalogue["dec"] = coordinates.pixel_to_sky(wcs, catalogue["y"], catalogue["x"])
    if flags:
        catalogue["flag"] = [flags.get(int(i), 0) for i in ids]
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
    image: np.ndarray,
    mask: np.ndarray,
    wcs: WCS,
    *,
    fwhm_pixels: float,
    relative_noise: np.ndarray | None = None,
    threshold: float = 1.5,
    min_area: int = 10,
    min_snr: float = 10.0,
    deblend_levels: int = 32,
    deblend_contrast: float = 0.005,
    second_pass: str = "off",
    find_pairs: PairFinder | None = None,
    never_filled: np.ndarray | None = None,
) -> DetectedSources:
    """Run the automatic detection on a stack.

    Parameters
    ----------
    stack : Stack
    image : array (ny, nx)
        Image of flux_band.
    mask : bool array (ny, nx)
        True = ignored in `image`.
    wcs : WCS
    fwhm_pixels : float
        FWHM of the Gaussian that smooths the S/N image; 0 for no smoothing.
    relative_noise : array (ny, nx), optional
        Noise of each pixel of `image` relative to that of a typical one; infinite = no data. None: constant noise.
    threshold, min_area, deblend_levels, deblend_contrast
        As in `find_segments`.
    min_snr : float
        Sources with a lower S/N in flux_band are rejected; so are hidden ones with a lower peak.
    second_pass : {"auto", "propose", "off"}
        Sources hidden in the segments of brighter ones are added, or only returned, or not looked for.
    find_pairs : callable, optional
        Returns the fainter galaxies of unresolved pairs for (stack, segments with hidden sources, catalogue).
    never_filled : bool array (ny, nx), optional
        True where the user has masked the detection images. Other holes inside a source, which saturation leaves, are
        filled for the detection; the pixels stay unknown to all measurements.

    Raises
    ------
    UnblendError
        No source is detected.
    """
    snr, noise = detection_image(stack, fwhm_pixels)
    unknown = ~np.isfinite(stack.data)
    holes = unknown if never_filled is None else unknown & ~never_filled
    snr, noise, filled = fill_holes(snr, holes, threshold, noise)
    segments = find_segments(
        snr,
        unknown & ~filled,
        noise=noise,
        threshold=threshold,
        min_area=min_area,
        deblend_levels=deblend_levels,
        deblend_contrast=deblend_contrast,
    )
    in_flux_band = {"stack": stack, "image": image, "mask": mask, "wcs": wcs, "relative_noise": relative_noise}
    background, rms = flux_level(image, mask, segments, relative_noise)
    candidates = measure(segments, background=background, rms=rms, **in_flux_band)
    small = candidates["area"] < min_area
    faint = ~small & ~(candidates["snr"] >= min_snr)
    dropped = {"min_area": int(small.sum()), "min_snr": int(faint.sum())}
    if (small | faint).all():
        raise _no_source(f"all {int(faint.sum())} candidates are below S/N {min_snr:g} in flux_band")
    segments = _renumber(segments, candidates[~small & ~faint])
    # Measure again with the rejected candidates as part of the sky: without these noise peaks it would be biased low.
    background, rms = flux_level(image, mask, segments, relative_noise)
    segments = _renumber(segments, measure(segments, background=background, rms=rms, **in_flux_band))
    catalogue = measure(segments, background=background, rms=rms, **in_flux_band)
    hidden: list[HiddenSource] = []
    if second_pass != "off":
        hidden = find_hidden(stack, segments, catalogue, fwhm_pixels=fwhm_pixels, min_snr=min_snr, min_area=min_area)
        if find_pairs is not None:
            hidden += find_pairs(stack, add_hidden(segments, hidden), catalogue)
    if hidden:
        flags = dict.fromkeys((source.parent for source in hidden), int(Flag.HIDDEN_NEIGHBOUR))
        if second_pass == "auto":
            edited = add_hidden(segments, hidden)
            flags = dict.fromkeys(np.setdiff1d(edited, segments).tolist(), int(Flag.SECOND_DETECTION))
            segments = edited
        catalogue = measure(segments, background=background, rms=rms, flags=flags, **in_flux_band)
    return DetectedSources(segments, catalogue, snr, dropped, background, rms, tuple(hidden))


def _renumber(segments: np.ndarray, catalogue: np.ndarray) -> np.ndarray:
    """Return the segments of the sources in the catalogue, numbered by decreasing flux, at equal flux by position."""
    order = np.lexsort((catalogue["x"], catalogue["y"], -catalogue["flux"]))
    number = np.zeros(int(segments.max()) + 1, dtype=np.int32)
    number[catalogue["id"][order]] = np.arange(1, catalogue.size + 1)
    return number[segments]


def _no_source(reason: str) -> UnblendError:
    return UnblendError(
        f"No source is detected: {reason}. Check the detection images, or lower detection.threshold, min_area or "
        "min_snr."
    )


def _add_moments(catalogue: np.ndarray, index: np.ndarray, y: np.ndarray, x: np.ndarray, stack: Stack) -> None:
    """Fill in position, axes and angle from the moments of the positive flux of the stack in each segment."""
    size = catalogue.size
    light, error = np.nan_to_num(stack.data[y, x]), stack.error[y, x]
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
