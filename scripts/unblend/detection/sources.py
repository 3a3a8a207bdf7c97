"""Find sources: weighted stack, S/N image, segmentation, catalogue.

Incremental re-runs compare pixels bit for bit, so a mask drawn around one source must not change the rest of the field.
Everything that is one number for a whole image (median, rms, threshold) is therefore rounded far below its own error:
the same numbers come out unless the change is large.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from ..core import coordinates
from ..core.errors import UnblendError
from ..core.nouns import Region
from ..core.statistics import clipped_level
from ..core.units import FWHM_PER_SIGMA, round_significant

if TYPE_CHECKING:
    from astropy.wcs import WCS

MIN_USABLE = 0.6
"""Images with a smaller fraction of usable pixels take no part in the detection."""

_REALS = ("y", "x", "ra", "dec", "flux", "flux_err", "snr", "a", "b", "theta")
CATALOGUE_DTYPE = np.dtype([("id", "i4"), ("area", "i4"), ("flag", "i4"), *((name, "f8") for name in _REALS)])
"""One row per source: y, x 0-based; ra, dec in degrees; area in pixels; flux in units of the image it was measured on;
a, b rms lengths in pixels; theta in degrees from x counter-clockwise; flag as in `unblend.flags`."""

# Fewer pixels than this give no level of their own to a pattern of usable images: sources would set it.
_MIN_PATTERN_PIXELS = 1000
# Below this S/N in the stack the light of a segment says nothing about its position: the middle of the segment does.
_MIN_SNR_CENTROID = 3.0
# sep counts sub-objects in 16 bits in places.
_MAX_SUB_OBJECTS = 32000


@dataclass(frozen=True)
class Stack:
    """The weighted stack of the detection images.

    Parameters
    ----------
    data : array (ny, nx)
        Background-free weighted mean; NaN where no image is usable.
    error : array (ny, nx)
        Rms of the noise in each pixel of `data`; infinite where no image is usable.
    snr : dict of arrays
        S/N image of each image that was used; NaN where it is not usable.
    background, rms : dict of floats
        Of each image that was used.
    warnings : list of str
        A sentence for each image that was skipped.
    """

    data: np.ndarray
    error: np.ndarray
    snr: dict[str, np.ndarray]
    background: dict[str, float]
    rms: dict[str, float]
    warnings: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class DetectedSources:
    """Result of the automatic pass.

    `segments` (int32, 0 = sky) has the IDs 1…N by decreasing flux; `snr` is the smoothed S/N image in its own sigma;
    `dropped` counts the sources dropped for each reason.
    """

    segments: np.ndarray
    catalogue: np.ndarray
    snr: np.ndarray
    dropped: dict[str, int]


def noise_level(values: np.ndarray) -> tuple[float, float]:
    """Return the background and the rms of an image's usable pixels (any shape), sources ignored, both rounded.

    Median and 1.4826 MAD of the values within 3 sigma, repeated until they stay. Rounded to a thousandth of the rms and
    to three digits, about their own errors (the median of 1e6 pixels is known to 1.3e-3 rms), and stable (see above).

    Raises
    ------
    UnblendError
        There is no finite value, or all are equal.
    """
    centre, sigma = clipped_level(values, 3.0)
    if not sigma > 0:
        raise UnblendError(
            "The noise of an image is zero or unknown: expected finite pixels with noise, found none or mostly equal "
            "ones; check the image, and mask what was not observed."
        )
    rms = round_significant(sigma, 3)
    step = 1e-3 * rms
    return round(centre / step) * step, rms


def stack_images(images: Mapping[str, np.ndarray], masks: Mapping[str, np.ndarray]) -> Stack:
    """Return the inverse-variance weighted stack of images on one grid, each less its median.

    Parameters
    ----------
    images : mapping of name to array (ny, nx)
        In one unit; non-finite pixels are not usable.
    masks : mapping of name to bool array
        True = ignored; names may be missing.

    Raises
    ------
    UnblendError
        The shapes differ, or no image has enough usable pixels.
    """
    shapes = {name: image.shape for name, image in images.items()}
    if len(set(shapes.values())) > 1:
        listed = ", ".join(f"{name} {shape}" for name, shape in shapes.items())
        raise UnblendError(f"Detection images have different shapes ({listed}): expected one pixel grid; re-grid them.")
    snr: dict[str, np.ndarray] = {}
    background: dict[str, float] = {}
    rms: dict[str, float] = {}
    warnings = []
    for name, image in images.items():
        usable = np.isfinite(image)
        if name in masks:
            usable &= ~masks[name]
        fraction = usable.mean()
        if fraction < MIN_USABLE:
            usable_part = f"{fraction:.0%} of its pixels are usable, {MIN_USABLE:.0%} are needed"
            warnings.append(f"Detection image {name} is skipped: {usable_part}.")
            continue
        background[name], rms[name] = noise_level(image[usable])
        snr[name] = np.where(usable, (image - background[name]) / rms[name], np.nan)
    if not snr:
        raise UnblendError(
            f"No detection image is usable ({', '.join(images)}): at least {MIN_USABLE:.0%} of the pixels must be "
            "finite and outside the bad regions; check the images and models.bad_regions."
        )
    data, error = _weighted_mean(snr, rms)
    return Stack(data, error, snr, background, rms, warnings)


def detection_image(stack: Stack, fwhm_pixels: float) -> np.ndarray:
    """Return the image that is searched for sources, in its own sigma; 0 where no image is usable.

    The pixel-wise maximum of the S/N images and of the stack's, less its median, smoothed by a Gaussian of
    `fwhm_pixels` and divided by its rms, measured on it with the sources clipped. Unusable pixels count as sky.
    """
    from scipy.ndimage import gaussian_filter

    layers = list(stack.snr.values())
    if len(layers) > 1:
        with np.errstate(invalid="ignore"):
            layers.append(stack.data / stack.error)
    highest = np.full(stack.data.shape, -np.inf)
    for layer in layers:
        highest = np.fmax(highest, layer)
    usable = np.isfinite(stack.data)
    level = _maximum_level(highest, list(stack.snr.values()))
    flat = np.where(usable, highest - level, 0.0)
    smoothed = gaussian_filter(flat, fwhm_pixels / FWHM_PER_SIGMA, mode="constant") if fwhm_pixels > 0 else flat
    centre, sigma = noise_level(smoothed[usable])
    return np.where(usable, (smoothed - centre) / sigma, 0.0)


def find_segments(
    snr: np.ndarray, mask: np.ndarray, *, threshold: float, min_area: int, deblend_levels: int, deblend_contrast: float
) -> np.ndarray:
    """Return the de-blended segmentation (int32, 0 = sky) of a S/N image above `threshold`, in no particular order.

    Raises
    ------
    UnblendError
        Nothing is found.
    """
    snr, mask = np.ascontiguousarray(snr, dtype=np.float64), np.ascontiguousarray(mask, dtype=bool)
    blobs = _extract(snr, mask, threshold, min_area)
    if not blobs.any():
        raise _nothing_found(f"nothing of {min_area} pixels lies above {threshold:g} sigma")
    if deblend_levels < 2 or deblend_contrast >= 1.0:
        return blobs
    return _deblend(snr, blobs, threshold, min_area, deblend_levels, deblend_contrast)


def _extract(snr: np.ndarray, mask: np.ndarray, threshold: float, min_area: int, **deblending: float) -> np.ndarray:
    import sep

    # sep stops with "internal pixel buffer full" on crowded fields unless its limits follow the image.
    sep.set_extract_pixstack(max(snr.size, 10_000))
    sep.set_sub_object_limit(int(np.clip(snr.size // 16, 1024, _MAX_SUB_OBJECTS)))
    deblending = deblending or {"deblend_cont": 1.0}
    _, segments = sep.extract(
        snr, threshold, mask=mask, minarea=min_area, filter_kernel=None, segmentation_map=True, **deblending
    )
    return segments.astype(np.int32)


def _deblend(
    snr: np.ndarray, blobs: np.ndarray, threshold: float, min_area: int, levels: int, contrast: float
) -> np.ndarray:
    """Return the segments of each connected blob, de-blended on its own.

    sep draws random numbers to share the pixels between blended sources, one sequence for the whole image: in one pass,
    a change at the top of the image moves pixels between sources at its bottom. A pass per blob starts it anew.
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
            cutout = np.ascontiguousarray(snr[window])
            parts = _extract(cutout, ~blob, threshold, min_area, deblend_nthresh=levels, deblend_cont=contrast)
        found = parts > 0
        result[window][found] = parts[found] + count
        count += int(parts.max())
    return result


def flux_level(image: np.ndarray, mask: np.ndarray, segments: np.ndarray) -> tuple[float, float]:
    """Return the background and the rms of the usable pixels outside all segments, rounded as in `noise_level`."""
    sky = (segments == 0) & ~mask & np.isfinite(image)
    if not sky.any():
        raise UnblendError(
            "No usable pixel of flux_band lies outside the segments: expected some sky; raise detection.threshold."
        )
    return noise_level(image[sky])


def measure(
    segments: np.ndarray,
    stack: Stack,
    image: np.ndarray,
    mask: np.ndarray,
    wcs: WCS,
    *,
    background: float,
    rms: float,
    flags: Mapping[int, int] | None = None,
) -> np.ndarray:
    """Return the catalogue of a segmentation, in order of ID, as an array of `CATALOGUE_DTYPE`.

    Parameters
    ----------
    segments : int array (ny, nx)
        0 = sky; IDs need not be consecutive.
    stack : Stack
        Gives positions and moments. A segment without light (S/N below 3, as manual ones may be) has those of its area.
    image, mask : arrays (ny, nx)
        Of flux_band: the flux is the sum over the usable pixels of the segment, NaN where there are none.
    background, rms : float
        Of `image`: those of the *automatic* pass (`flux_level`): an edit must not change the flux of other sources.
    flags : mapping of id to bits, optional
        Copied to the column `flag`.
    """
    y, x = np.nonzero(segments)
    label = segments[y, x]
    ids, index, area = np.unique(label, return_inverse=True, return_counts=True)
    catalogue = np.zeros(ids.size, dtype=CATALOGUE_DTYPE)
    catalogue["id"], catalogue["area"] = ids, area
    values = image[y, x] - background
    usable = np.isfinite(values) & ~mask[y, x]
    count = np.bincount(index[usable], minlength=ids.size)
    flux = np.bincount(index[usable], values[usable], minlength=ids.size)
    catalogue["flux"] = np.where(count > 0, flux, np.nan)
    catalogue["flux_err"] = np.where(count > 0, rms * np.sqrt(count), np.nan)
    catalogue["snr"] = catalogue["flux"] / catalogue["flux_err"]
    _add_moments(catalogue, index, y, x, stack)
    catalogue["ra"], catalogue["dec"] = coordinates.pixel_to_sky(wcs, catalogue["y"], catalogue["x"])
    if flags:
        catalogue["flag"] = [flags.get(int(i), 0) for i in ids]
    return catalogue


def catalogue_regions(catalogue: np.ndarray, wcs: WCS) -> list[Region]:
    """Return an ellipse of 3 rms lengths for each source, on the sky, its ID as text: for a DS9 file.

    The system is that of the image.
    """
    regions = []
    for row in catalogue:
        theta = np.deg2rad(row["theta"])
        along = np.array([[np.sin(theta), np.cos(theta)], [np.cos(theta), -np.sin(theta)]])
        (east, north), across = along @ coordinates.sky_jacobian(wcs, row["y"], row["x"]).T
        sizes = 3.0 * row["a"] * math.hypot(east, north), 3.0 * row["b"] * math.hypot(*across)
        regions.append(
            Region(
                "ellipse",
                coordinates.sky_system(wcs),
                ((float(row["ra"]), float(row["dec"])),),
                tuple((float(size), "arcsec") for size in sizes),
                angle=math.degrees(math.atan2(north, -east)),
                text=str(row["id"]),
            )
        )
    return regions


def detect(
    stack: Stack,
    image: np.ndarray,
    mask: np.ndarray,
    wcs: WCS,
    *,
    fwhm_pixels: float,
    threshold: float = 1.5,
    min_area: int = 10,
    min_snr: float = 10.0,
    deblend_levels: int = 32,
    deblend_contrast: float = 0.005,
) -> DetectedSources:
    """Run the automatic pass on a stack; `image` and `mask` are those of flux_band.

    Raises
    ------
    UnblendError
        No source is left.
    """
    snr = detection_image(stack, fwhm_pixels)
    segments = find_segments(
        snr,
        ~np.isfinite(stack.data),
        threshold=threshold,
        min_area=min_area,
        deblend_levels=deblend_levels,
        deblend_contrast=deblend_contrast,
    )
    candidates = _measure_with_level(segments, stack, image, mask, wcs)
    small = candidates["area"] < min_area
    faint = ~small & ~(candidates["snr"] >= min_snr)
    dropped = {"min_area": int(small.sum()), "min_snr": int(faint.sum())}
    if (small | faint).all():
        raise _nothing_found(f"all {int(faint.sum())} candidates lie below S/N {min_snr:g} on flux_band")
    segments = _renumber(segments, candidates[~small & ~faint])
    # Again, now with the dropped candidates as part of the sky: noise peaks taken out of it would bias it low.
    catalogue = _measure_with_level(segments, stack, image, mask, wcs)
    segments = _renumber(segments, catalogue)
    return DetectedSources(segments, _measure_with_level(segments, stack, image, mask, wcs), snr, dropped)


def _measure_with_level(
    segments: np.ndarray, stack: Stack, image: np.ndarray, mask: np.ndarray, wcs: WCS
) -> np.ndarray:
    background, rms = flux_level(image, mask, segments)
    return measure(segments, stack, image, mask, wcs, background=background, rms=rms)


def _renumber(segments: np.ndarray, catalogue: np.ndarray) -> np.ndarray:
    """Return the segments of the catalogue only, numbered by decreasing flux; equal fluxes by position."""
    order = np.lexsort((catalogue["x"], catalogue["y"], -catalogue["flux"]))
    number = np.zeros(int(segments.max()) + 1, dtype=np.int32)
    number[catalogue["id"][order]] = np.arange(1, catalogue.size + 1)
    return number[segments]


def _nothing_found(reason: str) -> UnblendError:
    return UnblendError(
        f"No source is detected: {reason}; check the detection images, or lower detection.threshold, min_area or "
        "min_snr."
    )


def _weighted_mean(snr: Mapping[str, np.ndarray], rms: Mapping[str, float]) -> tuple[np.ndarray, np.ndarray]:
    weight = sum(np.where(np.isfinite(image), rms[name] ** -2, 0.0) for name, image in snr.items())
    total = sum(np.nan_to_num(image) / rms[name] for name, image in snr.items())
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(weight > 0, total / weight, np.nan), np.where(weight > 0, 1.0 / np.sqrt(weight), np.inf)


def _maximum_level(highest: np.ndarray, layers: list[np.ndarray]) -> np.ndarray:
    """Return the median of the maximum of several noisy images, for each pattern of usable images.

    The maximum of several noisy images has a positive median: without this, sky seen by fewer images would lie several
    sigma of the smoothed image lower. A pattern of few pixels has the level 0 of a single image, or the field's.
    """
    pattern = sum(np.isfinite(layer).astype(int) << i for i, layer in enumerate(layers))
    common, _ = noise_level(highest[pattern > 0])
    level = np.zeros(highest.shape)
    for value in np.unique(pattern[pattern > 0]):
        members = pattern == value
        if np.count_nonzero(members) >= _MIN_PATTERN_PIXELS:
            level[members], _ = noise_level(highest[members])
        elif int(value).bit_count() > 1:
            level[members] = common
    return level


def _add_moments(catalogue: np.ndarray, index: np.ndarray, y: np.ndarray, x: np.ndarray, stack: Stack) -> None:
    """Fill position, axes and angle: first and second moments of the positive light of the stack in each segment."""
    size = catalogue.size
    light, error = np.nan_to_num(stack.data[y, x]), stack.error[y, x]
    noise = np.sqrt(np.bincount(index, np.where(np.isfinite(error), error, 0.0) ** 2, minlength=size))
    dark = np.bincount(index, light, minlength=size) <= _MIN_SNR_CENTROID * noise
    weight = np.where(dark[index], 1.0, np.clip(light, 0.0, None))
    total = np.bincount(index, weight, minlength=size)

    def mean(values: np.ndarray) -> np.ndarray:
        return np.bincount(index, weight * values, minlength=size) / total

    catalogue["y"], catalogue["x"] = mean(y), mean(x)
    dy, dx = y - catalogue["y"][index], x - catalogue["x"][index]
    # 1/12: the variance of a pixel, so that a segment of one row has a width.
    yy, xx, xy = mean(dy**2) + 1.0 / 12.0, mean(dx**2) + 1.0 / 12.0, mean(dy * dx)
    middle, half = (xx + yy) / 2.0, np.hypot((xx - yy) / 2.0, xy)
    catalogue["a"], catalogue["b"] = np.sqrt(middle + half), np.sqrt(np.maximum(middle - half, 1.0 / 12.0))
    catalogue["theta"] = np.rad2deg(0.5 * np.arctan2(2.0 * xy, xx - yy))
