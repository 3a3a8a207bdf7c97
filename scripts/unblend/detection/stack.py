"""The weighted stack of the detection images, and the noise of their pixels.

The noise of an image without a weight map is the scatter of its source-free pixels. A weight map tells how the noise
varies from pixel to pixel, and the scatter tells how large it is: the map is scaled by one factor.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

import numpy as np

from ..core.errors import UnblendError
from ..core.statistics import clipped_level
from ..core.units import round_significant

MIN_USABLE_FRACTION = 0.6
"""Images with a smaller fraction of usable pixels are not used for the detection."""
NOISE_SCALE_WARNING = 1.5
"""Factor, either way, between the scatter of an image and a map of the noise or variance above which a warning is
given. Resampling that correlates the noise of neighbouring pixels lowers their scatter by 10 to 40 %."""


@dataclass(frozen=True)
class Stack:
    """The weighted stack of the detection images.

    Parameters
    ----------
    data : array (ny, nx)
        Weighted mean of the images minus their background levels; NaN where no image is usable.
    error : array (ny, nx)
        Rms noise of each pixel of `data`; infinite where no image is usable.
    snr : dict of arrays
        S/N of each pixel in each image that was used; NaN where it is not usable.
    background, rms : dict of floats
        Background level and rms noise of each image that was used; with a weight map the noise of a typical pixel.
    noise : dict of arrays
        Rms noise of each pixel of the images with a weight map; infinite where the weight is zero.
    noise_scale : dict of floats
        Measured scatter divided by the noise of the weight map, for each image with one.
    warnings : list of str
        One message for each image that was not used, and for each map of the noise that contradicts its image.
    """

    data: np.ndarray
    error: np.ndarray
    snr: dict[str, np.ndarray]
    background: dict[str, float]
    rms: dict[str, float]
    noise: dict[str, np.ndarray] = field(default_factory=dict)
    noise_scale: dict[str, float] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)


def relative_noise_map(weight: np.ndarray) -> tuple[np.ndarray, float]:
    """Return the noise of each pixel relative to that of a typical one, and the noise of a typical pixel.

    The typical noise is the median over all pixels that have a weight. It does not depend on the mask of an image, so
    that a region drawn around one source does not change the noise of the others.

    Parameters
    ----------
    weight : array (ny, nx)
        Inverse variance up to a factor; 0, negative or not finite = no data.

    Returns
    -------
    relative : array (ny, nx)
        Infinite where there are no data.
    typical : float

    Raises
    ------
    UnblendError
        No weight is positive.
    """
    covered = np.isfinite(weight) & (weight > 0)
    if not covered.any():
        raise UnblendError("A weight map of a detection band has no positive pixel. Check the file and its kind.")
    noise = np.full(weight.shape, np.inf)
    noise[covered] = weight[covered] ** -0.5
    typical = float(np.median(noise[covered]))
    return noise / typical, typical


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
    images: Mapping[str, np.ndarray],
    masks: Mapping[str, np.ndarray],
    weights: Mapping[str, np.ndarray] | None = None,
    *,
    in_image_units: Collection[str] = (),
) -> Stack:
    """Return the inverse-variance weighted mean of images on one pixel grid, each minus its background level.

    Parameters
    ----------
    images : mapping of name to array (ny, nx)
        Images in the same unit; non-finite pixels are ignored.
    masks : mapping of name to bool array
        True = ignored; images may have no mask.
    weights : mapping of name to array (ny, nx), optional
        Inverse variance up to a factor, 0 = no data; images may have none. The noise of such an image is
        weight**-0.5, scaled so that the robust scatter of its source-free pixels is one noise.
    in_image_units : collection of names
        Images whose map was one of the noise or the variance: a factor far from 1 contradicts it. A map of weights,
        such as exposure times, may have any factor.

    Raises
    ------
    UnblendError
        The shapes differ, or no image has enough usable pixels.
    """
    _check_shapes(images)
    relative = {name: relative_noise_map(weight) for name, weight in (weights or {}).items()}
    snr: dict[str, np.ndarray] = {}
    background: dict[str, float] = {}
    rms: dict[str, float] = {}
    noise: dict[str, np.ndarray] = {}
    scale: dict[str, float] = {}
    warnings = []
    for name, image in images.items():
        usable = np.isfinite(image)
        if name in masks:
            usable &= ~masks[name]
        if name in relative:
            usable &= np.isfinite(relative[name][0])
        fraction = usable.mean()
        if fraction < MIN_USABLE_FRACTION:
            usable_part = f"{fraction:.0%} of its pixels are usable, {MIN_USABLE_FRACTION:.0%} are required"
            warnings.append(f"Detection image {name} is not used: {usable_part}.")
            continue
        relative_noise, typical = relative.get(name, (None, 1.0))
        try:
            level = noise_level(image[usable], None if relative_noise is None else relative_noise[usable])
        except UnblendError:
            most = float(np.median(image[usable]))
            warnings.append(f"Detection image {name} is not used: most of its usable pixels have the value {most:g}.")
            continue
        background[name], rms[name] = level
        if relative_noise is not None:
            noise[name], scale[name] = rms[name] * relative_noise, rms[name] / typical
            warnings += _contradiction(name, scale[name], rms[name]) if name in in_image_units else []
        with np.errstate(invalid="ignore"):
            snr[name] = np.where(usable, (image - background[name]) / noise.get(name, rms[name]), np.nan)
    if not snr:
        raise UnblendError(
            f"No detection image is usable ({', '.join(images)}): at least {MIN_USABLE_FRACTION:.0%} of the pixels "
            "must be finite, outside the bad regions and of positive weight, and not all equal. Check the images, "
            f"their bad_regions and weight maps. {' '.join(warnings)}"
        )
    data, error = _weighted_mean(snr, {**rms, **noise})
    return Stack(data, error, snr, background, rms, noise, scale, warnings)


def _check_shapes(images: Mapping[str, np.ndarray]) -> None:
    shapes = {name: image.shape for name, image in images.items()}
    if len(set(shapes.values())) > 1:
        listed = ", ".join(f"{name} {shape}" for name, shape in shapes.items())
        raise UnblendError(f"The detection images have different shapes ({listed}). Resample them to one pixel grid.")


def _contradiction(name: str, scale: float, rms: float) -> list[str]:
    """Return a warning if the scatter of an image differs much from its map of the noise or variance."""
    if 1.0 / NOISE_SCALE_WARNING <= scale <= NOISE_SCALE_WARNING:
        return []
    return [
        f"The pixels of detection image {name} scatter by {rms:.3g}, {scale:.3g} times the noise of its map, which is "
        f"rescaled. The kind or the unit of the map may be wrong: check bands.{name}.weight."
    ]


def _weighted_mean(
    snr: Mapping[str, np.ndarray], noise: Mapping[str, float | np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """Return the inverse-variance weighted mean of the images and its noise."""
    weight = sum(np.where(np.isfinite(image), noise[name] ** -2.0, 0.0) for name, image in snr.items())
    total = sum(np.nan_to_num(image) / noise[name] for name, image in snr.items())
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(weight > 0, total / weight, np.nan), np.where(weight > 0, 1.0 / np.sqrt(weight), np.inf)
