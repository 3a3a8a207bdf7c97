"""The weighted stack of the detection images, and the noise of their pixels.

The noise of an image without a weight map is the scatter of its source-free pixels. A weight map tells how the noise
varies from pixel to pixel, and the scatter tells how large it is: the map is scaled by one factor.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

import numpy as np

from ..core.errors import UnblendError
from ..core.statistics import clipped_level, noise_map_agrees
from ..core.strips import BitMask, Derived, Strip, Window, Workspace
from ..core.types import WindowedImage
from ..core.units import round_significant

MIN_USABLE_FRACTION = 0.6
"""Images with a smaller fraction of usable pixels are not used for the detection."""


@dataclass(frozen=True)
class Stack:
    """The weighted stack of the detection images.

    Parameters
    ----------
    data : image (ny, nx)
        Weighted mean of the images minus their background levels; NaN where no image is usable.
    error : image (ny, nx)
        Rms noise of each pixel of `data`; infinite where no image is usable.
    snr : dict of images
        S/N of each pixel in each image that was used; NaN where it is not usable.
    background, rms : dict of floats
        Background level and rms noise of each image that was used; with a weight map the noise of a typical pixel.
    noise : dict of images
        Rms noise of each pixel of the images with a weight map; infinite where the weight is zero.
    noise_scale : dict of floats
        Measured scatter divided by the noise of the weight map, for each image with one.
    warnings : list of str
        One message for each image that was not used, and for each map of the noise that contradicts its image.
    """

    data: WindowedImage
    error: WindowedImage
    snr: dict[str, WindowedImage]
    background: dict[str, float]
    rms: dict[str, float]
    noise: dict[str, WindowedImage] = field(default_factory=dict)
    noise_scale: dict[str, float] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)


def relative_noise_map(weight: WindowedImage, work: Workspace | None = None) -> tuple[WindowedImage, float]:
    """Return the noise of each pixel relative to that of a typical one, and the noise of a typical pixel.

    The typical noise is the median over all pixels that have a weight. It does not depend on the mask of an image, so
    that a region drawn around one source does not change the noise of the others.

    Parameters
    ----------
    weight : image (ny, nx)
        Inverse variance up to a factor; 0, negative or not finite = no data.
    work : Workspace, optional

    Returns
    -------
    relative : image (ny, nx)
        Infinite where there are no data.
    typical : float

    Raises
    ------
    UnblendError
        No weight is positive.
    """
    work = work or Workspace()

    def noise_in(window: Window) -> np.ndarray:
        part = weight[window]
        covered = np.isfinite(part) & (part > 0)
        noise = np.full(part.shape, np.inf)
        noise[covered] = part[covered] ** -0.5
        return noise

    def covered_noise(strip: Strip) -> tuple[np.ndarray, np.ndarray]:
        noise = noise_in(strip.slices)
        return np.isfinite(noise), noise

    (covered,) = work.gather(weight.shape, covered_noise)
    if not covered.size:
        raise UnblendError("A weight map of a detection band has no positive pixel. Check the file and its kind.")
    typical = float(np.median(covered, overwrite_input=True))
    return Derived(weight.shape, lambda window: noise_in(window) / typical), typical


def noise_level(values: np.ndarray, relative_noise: np.ndarray | None = None) -> tuple[float, float]:
    """Return the background level and the rms of the usable pixels of an image, ignoring sources.

    They are the median and 1.4826 MAD after clipping at 3 sigma until convergence. The level is rounded to a thousandth
    of the rms, and the rms to three digits, which is about their errors (1.3e-3 rms for the median of 1e6 pixels).

    Parameters
    ----------
    values : array
    relative_noise : array, optional
        Noise of each pixel relative to that of a typical one. Every pixel then counts for the level in proportion to
        1/noise, so that shallow parts do not dominate it, and the rms is that of a typical pixel.

    Raises
    ------
    UnblendError
        No value is finite, or most are equal.
    """
    centre, sigma = clipped_level(values, 3.0, relative_noise)
    if not sigma > 0:
        raise UnblendError(
            "The noise of an image cannot be measured: it has no finite pixels, or most of them are equal. Check the "
            "image, and mask its unobserved parts."
        )
    rms = round_significant(sigma, 3)
    step = 1e-3 * rms
    return round(centre / step) * step, rms


def stack_images(
    images: Mapping[str, WindowedImage],
    masks: Mapping[str, WindowedImage],
    weights: Mapping[str, WindowedImage] | None = None,
    work: Workspace | None = None,
    *,
    in_image_units: Collection[str] = (),
) -> Stack:
    """Return the inverse-variance weighted mean of images on one pixel grid, each minus its background level.

    Parameters
    ----------
    images : mapping of name to image (ny, nx)
        Images in the same unit; non-finite pixels are ignored.
    masks : mapping of name to bool image
        True = ignored; images may have no mask.
    weights : mapping of name to image (ny, nx), optional
        Inverse variance up to a factor, 0 = no data; images may have none. The noise of such an image is
        weight**-0.5, scaled so that the robust scatter of its source-free pixels is one noise.
    work : Workspace, optional
    in_image_units : collection of names
        Images whose map was one of the noise or the variance: a factor far from 1 contradicts it. A map of weights,
        such as exposure times, may have any factor.

    Raises
    ------
    UnblendError
        The shapes differ, or no image has enough usable pixels.
    """
    _check_shapes(images)
    work = work or Workspace()
    relative = {name: relative_noise_map(weight, work) for name, weight in (weights or {}).items()}
    snr: dict[str, WindowedImage] = {}
    background: dict[str, float] = {}
    rms: dict[str, float] = {}
    noise: dict[str, WindowedImage] = {}
    scale: dict[str, float] = {}
    warnings = []
    for name, image in images.items():
        relative_noise, typical = relative.get(name, (None, 1.0))
        usable = _usable(image, masks.get(name), relative_noise, work)
        fraction = usable.count() / (image.shape[0] * image.shape[1])
        if fraction < MIN_USABLE_FRACTION:
            usable_part = f"{fraction:.0%} of its pixels are usable, {MIN_USABLE_FRACTION:.0%} are required"
            warnings.append(f"Detection image {name} is not used: {usable_part}.")
            continue
        values = _sampled(image, usable, relative_noise, work)
        most = float(np.median(values[0])) if values[0].size else np.nan
        try:
            level = noise_level(*values)
        except UnblendError:
            warnings.append(f"Detection image {name} is not used: most of its usable pixels have the value {most:g}.")
            continue
        background[name], rms[name] = level
        if relative_noise is not None:
            noise[name], scale[name] = _scaled(relative_noise, rms[name]), rms[name] / typical
            warnings += _contradiction(name, scale[name], rms[name]) if name in in_image_units else []
        snr[name] = _snr(image, usable, background[name], noise.get(name, rms[name]))
    if not snr:
        raise UnblendError(
            f"No detection image is usable ({', '.join(images)}): at least {MIN_USABLE_FRACTION:.0%} of the pixels "
            "must be finite, outside the bad regions and of positive weight, and not all equal. Check the images, "
            f"their bad_regions and weight maps. {' '.join(warnings)}"
        )
    data, error = _weighted_mean(snr, {**rms, **noise}, work)
    return Stack(data, error, snr, background, rms, noise, scale, warnings)


def _usable(
    image: WindowedImage, mask: WindowedImage | None, relative_noise: WindowedImage | None, work: Workspace
) -> BitMask:
    """Return the usable pixels of an image."""

    def read(strip: Strip) -> np.ndarray:
        usable = np.isfinite(image[strip.slices])
        if mask is not None:
            usable &= ~mask[strip.slices]
        if relative_noise is not None:
            usable &= np.isfinite(relative_noise[strip.slices])
        return np.asarray(usable)

    return work.mask(image.shape, read)


def _sampled(
    image: WindowedImage, usable: WindowedImage, relative_noise: WindowedImage | None, work: Workspace
) -> list[np.ndarray]:
    """Return the usable pixels of which the noise is measured, and their relative noise if there is one."""
    layers = [image] if relative_noise is None else [image, relative_noise]
    return work.gather(image.shape, lambda strip: [each[strip.slices] for each in (usable, *layers)])


def _scaled(relative_noise: WindowedImage, rms: float) -> WindowedImage:
    return Derived(relative_noise.shape, lambda window: rms * relative_noise[window])


def _snr(image: WindowedImage, usable: WindowedImage, background: float, noise: WindowedImage | float) -> WindowedImage:
    """Return the S/N of each pixel of an image, NaN where it is not usable."""

    def read(window: Window) -> np.ndarray:
        own = noise if isinstance(noise, float) else noise[window]
        with np.errstate(invalid="ignore"):
            return np.where(usable[window], (image[window] - background) / own, np.nan)

    return Derived(image.shape, read)


def _check_shapes(images: Mapping[str, WindowedImage]) -> None:
    shapes = {name: image.shape for name, image in images.items()}
    if len(set(shapes.values())) > 1:
        listed = ", ".join(f"{name} {shape}" for name, shape in shapes.items())
        raise UnblendError(f"The detection images have different shapes ({listed}). Resample them to one pixel grid.")


def _contradiction(name: str, scale: float, rms: float) -> list[str]:
    """Return a warning if the scatter of an image differs much from its map of the noise or variance."""
    if noise_map_agrees(scale):
        return []
    return [
        f"The pixels of detection image {name} scatter by {rms:.3g}, {scale:.3g} times the noise of its map, which is "
        f"rescaled. The kind or the unit of the map may be wrong: check bands.{name}.weight."
    ]


def _weighted_mean(
    snr: Mapping[str, WindowedImage], noise: Mapping[str, float | WindowedImage], work: Workspace
) -> tuple[WindowedImage, WindowedImage]:
    """Return the inverse-variance weighted mean of the images and its noise."""
    shape = next(iter(snr.values())).shape
    data, error = work.new(shape, np.float64), work.new(shape, np.float64)
    for strip in work.strips(shape):
        images = {name: image[strip.slices] for name, image in snr.items()}
        own = {name: each if isinstance(each, float) else each[strip.slices] for name, each in noise.items()}
        weight = sum(np.where(np.isfinite(image), own[name] ** -2.0, 0.0) for name, image in images.items())
        total = sum(np.nan_to_num(image) / own[name] for name, image in images.items())
        with np.errstate(divide="ignore", invalid="ignore"):
            data[strip.slices] = np.where(weight > 0, total / weight, np.nan)
            error[strip.slices] = np.where(weight > 0, 1.0 / np.sqrt(weight), np.inf)
    return data, error
