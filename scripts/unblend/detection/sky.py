"""The large-scale background of a detection image, subtracted before the images are stacked.

A gradient of one noise across the image hides the faint sources of one half and makes one source of the other half: the
threshold is that of the smoothed image, whose noise is several times smaller than that of a pixel.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from ..core.statistics import clipped_level, robust_sigma
from ..core.strips import BitMask, Derived, Strip, Window, Workspace
from ..core.types import Box, WindowedImage
from ..images.background import background_of
from ..images.masks import grow_mask

AUTO_BOX_ARCSEC = 15.0
"""Side of the moving box of `detection.background: auto`, larger than all but the nearest galaxies."""
SMOOTHING_PIXELS = 2.0
"""Sigma of the Gaussian with which sources are found that the background ignores."""
TRUNCATION = 4.0
"""Radius of this Gaussian in units of its sigma, beyond which it is 0."""
SOURCE_SIGMA = 3.5
"""Smoothed pixels above this, in units of their noise, are sources that the background ignores. Peaks of the noise are
not: with the border around them they would mask half of the image."""
CLIP_SIGMA = 3.0
"""Single pixels farther than this from the background, on either side, are ignored, too."""
GROWTH_PIXELS = 6.0
"""Width of the border around these sources that is ignored, too."""
BLOCKS_PER_BOX = 4
"""Blocks along a side of the box, whose medians give the error of the background."""
SIGNIFICANT_ERRORS = 6.0
"""A background varies if the range of its values is larger than this many of its errors, ..."""
SIGNIFICANT_NOISE = 0.6
"""... and than this fraction of the noise of a pixel. The halos of galaxies in small fields are below it."""
_PASSES = 4


@dataclass(frozen=True)
class DetectionSky:
    """The background of a detection image.

    Parameters
    ----------
    background : image (ny, nx)
        Minus its median; finite everywhere.
    variation : float
        Range of its values, from the second to the 98th percentile of the usable pixels, image units.
    error : float
        Error of its values, image units.
    noise : float
        Noise of a typical pixel, image units.
    """

    background: WindowedImage
    variation: float
    error: float
    noise: float

    @property
    def varies(self) -> bool:
        """Whether the background varies by more than its error and the noise explain."""
        return self.variation > max(SIGNIFICANT_ERRORS * self.error, SIGNIFICANT_NOISE * self.noise)


@dataclass(frozen=True)
class SubtractedImages:
    """Detection images without their background.

    Parameters
    ----------
    images : dict of images (ny, nx)
    backgrounds : dict of images (ny, nx)
        What was subtracted; images from which nothing was subtracted are missing.
    messages, warnings : list of str
        One for each image whose background varies; warnings for those where it varies by more than the noise.
    """

    images: dict[str, WindowedImage]
    backgrounds: dict[str, WindowedImage] = field(default_factory=dict)
    messages: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


def subtract_sky(
    images: Mapping[str, WindowedImage],
    masks: Mapping[str, WindowedImage],
    setting: Mapping[str, object] | str | None,
    *,
    arcsec_per_pixel: float,
    work: Workspace | None = None,
) -> SubtractedImages:
    """Subtract the background of each detection image, where `setting` says so.

    Parameters
    ----------
    images : mapping of name to image (ny, nx)
    masks : mapping of name to bool image
        True = no data. The user's bad regions are not needed: a region drawn around one source would change the
        background, and the fits, of all others.
    setting : {"auto"}, mapping or None
        "auto": where the background varies (see `DetectionSky.varies`), in a box of `AUTO_BOX_ARCSEC`. A mapping with
        `box` in arcsec and `statistic`: always. None: never, but a warning tells of a background that varies by more
        than the noise.
    arcsec_per_pixel : float
    work : Workspace, optional
    """
    chosen = setting if isinstance(setting, Mapping) else {"box": AUTO_BOX_ARCSEC, "statistic": "mean"}
    result = SubtractedImages(dict(images))
    for name, image in images.items():
        box_pixels = max(float(chosen["box"]) / arcsec_per_pixel, 1.0)  # type: ignore[arg-type]
        sky = detection_sky(image, masks[name], box_pixels=box_pixels, statistic=str(chosen["statistic"]), work=work)
        if isinstance(setting, Mapping) or (setting == "auto" and sky.varies):
            result.backgrounds[name] = sky.background
            result.images[name] = _difference(image, sky.background)
        if sky.varies:
            strong = sky.variation > sky.noise
            (result.warnings if strong else result.messages).append(_message(name, sky, name in result.backgrounds))
    return result


def _message(name: str, sky: DetectionSky, subtracted: bool) -> str:
    times = sky.variation / sky.noise
    found = f"The background of detection image {name} varies by {times:.2g} times the noise of a pixel"
    if subtracted:
        return (
            f"{found}; it is subtracted for the detection and the fits (detection.background). For the fluxes in this "
            f"band set bands.{name}.background."
        )
    return f"{found} and is not subtracted: set detection.background to auto, or subtract it from the image."


def _difference(image: WindowedImage, background: WindowedImage) -> WindowedImage:
    return Derived(image.shape, lambda window: image[window] - background[window])


def detection_sky(
    image: WindowedImage,
    mask: WindowedImage,
    *,
    box_pixels: float,
    statistic: str = "mean",
    work: Workspace | None = None,
) -> DetectionSky:
    """Measure the background of a detection image in a moving box, with sources masked.

    The sources are found on the image itself, smoothed and minus the background of the pass before.

    Parameters
    ----------
    image : image (ny, nx)
    mask : bool image (ny, nx)
        True = ignored.
    box_pixels : float
        Side of the box; at most that of the image.
    statistic : {"mean", "median"}
        Statistic of the pixels in the box, without sources and outliers.
    work : Workspace, optional
    """
    work, shape = work or Workspace(), image.shape
    good = work.mask(shape, lambda strip: np.isfinite(image[strip.slices]) & ~mask[strip.slices])
    box_pixels = min(box_pixels, *shape)
    if not good.any():
        return DetectionSky(work.new(shape, np.float64), 0.0, 0.0, 0.0)
    # the median is robust before sources are known; planes of means are exact beside pixels without data
    background = background_of(image, good, box_pixels=box_pixels, statistic="median", needed=good, work=work)
    rest = _without_background(image, good, background)
    for _ in range(1, _PASSES):
        empty = _empty_sky(rest, good, work)
        background = background_of(image, empty, box_pixels=box_pixels, statistic=statistic, needed=good, work=work)
        rest = _without_background(image, good, background)
    noise = clipped_level(work.gather(shape, lambda strip: [empty[strip.slices], rest[strip.slices]])[0], 3.0)[1]
    values = work.gather(shape, lambda strip: [good[strip.slices], background[strip.slices]])[0]
    low, middle, high = np.percentile(values, [2, 50, 98], overwrite_input=True)
    error = _error(rest, empty, box_pixels)
    for strip in work.strips(shape):
        # As precise as on disk, where the stage that edits the segments finds it.
        found = (background[strip.slices] - middle).astype(np.float32).astype(np.float64)
        background[strip.slices] = np.where(good[strip.slices], found, 0.0)
    return DetectionSky(background, float(high - low), error, float(noise))


def _without_background(image: WindowedImage, good: WindowedImage, background: WindowedImage) -> WindowedImage:
    return Derived(image.shape, lambda window: np.where(good[window], image[window] - background[window], 0.0))


def _empty_sky(rest: WindowedImage, good: BitMask, work: Workspace) -> BitMask:
    """Return the good pixels of an image minus its background that are neither in sources nor outliers."""
    from scipy.ndimage import gaussian_filter

    shape, reach = rest.shape, math.ceil(TRUNCATION * SMOOTHING_PIXELS) + 1

    def smooth(strip: Strip) -> np.ndarray:
        wide = gaussian_filter(rest[strip.wide.slices], SMOOTHING_PIXELS, mode="constant", truncate=TRUNCATION)
        return np.asarray(wide[strip.inside])

    level, sigma = clipped_level(work.gather(shape, lambda at: [good[at.slices], smooth(at)], reach)[0], 3.0)
    peaks = work.mask(shape, lambda at: good[at.slices] & (smooth(at) - level > SOURCE_SIGMA * sigma), reach)
    margin = math.ceil(GROWTH_PIXELS) + 1
    sources = work.mask(shape, lambda at: grow_mask(peaks[at.wide.slices], GROWTH_PIXELS)[at.inside], margin)

    def outside(window: Window) -> np.ndarray:
        return good[window] & ~sources[window]

    values = work.gather(shape, lambda at: [outside(at.slices), rest[at.slices]])[0]
    centre, noise = clipped_level(values, 3.0)
    del values
    return work.mask(shape, lambda at: outside(at.slices) & ~(np.abs(rest[at.slices] - centre) > CLIP_SIGMA * noise))


def _error(rest: WindowedImage, empty: WindowedImage, box_pixels: float) -> float:
    """Return the error of the background from the scatter of the medians of blocks, which have correlated noise."""
    side = max(2, round(box_pixels / BLOCKS_PER_BOX))
    ny, nx = rest.shape
    medians = []
    for y in range(0, ny - side + 1, side):
        window = Box(y, 0, y + side, nx).slices
        values = np.where(empty[window], rest[window], np.nan)
        for x in range(0, nx - side + 1, side):
            block = values[:, x : x + side]
            known = np.isfinite(block)
            if np.count_nonzero(known) > 0.25 * block.size:
                medians.append(float(np.median(block[known])))
    if len(medians) < 4:
        return np.inf
    # The plane through the box, evaluated at the edge, has twice the error of a mean over the box.
    return 2.0 * robust_sigma(np.array(medians)) / BLOCKS_PER_BOX
