"""The large-scale background of a detection image, subtracted before the images are stacked.

A gradient of one noise across the image hides the faint sources of one half and makes one source of the other half: the
threshold is that of the smoothed image, whose noise is several times smaller than that of a pixel.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from ..core.statistics import clipped_level, robust_sigma
from ..images.background import moving_background
from ..images.masks import grow_mask

AUTO_BOX_ARCSEC = 15.0
"""Side of the moving box of `detection.background: auto`, larger than all but the nearest galaxies."""
SMOOTHING_PIXELS = 2.0
"""Sigma of the Gaussian with which sources are found that the background ignores."""
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
    background : array (ny, nx)
        Minus its median; finite everywhere.
    variation : float
        Range of its values, from the second to the 98th percentile of the usable pixels, image units.
    error : float
        Error of its values, image units.
    noise : float
        Noise of a typical pixel, image units.
    """

    background: np.ndarray
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
    images : dict of arrays (ny, nx)
    backgrounds : dict of arrays (ny, nx)
        What was subtracted; images from which nothing was subtracted are missing.
    messages, warnings : list of str
        One for each image whose background varies; warnings for those where it varies by more than the noise.
    """

    images: dict[str, np.ndarray]
    backgrounds: dict[str, np.ndarray] = field(default_factory=dict)
    messages: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


def subtract_sky(
    images: Mapping[str, np.ndarray],
    masks: Mapping[str, np.ndarray],
    setting: Mapping[str, object] | str | None,
    *,
    arcsec_per_pixel: float,
) -> SubtractedImages:
    """Subtract the background of each detection image, where `setting` says so.

    Parameters
    ----------
    images : mapping of name to array (ny, nx)
    masks : mapping of name to bool array
        True = no data. The user's bad regions are not needed: a region drawn around one source would change the
        background, and the fits, of all others.
    setting : {"auto"}, mapping or None
        "auto": where the background varies (see `DetectionSky.varies`), in a box of `AUTO_BOX_ARCSEC`. A mapping with
        `box` in arcsec and `statistic`: always. None: never, but a warning tells of a background that varies by more
        than the noise.
    arcsec_per_pixel : float
    """
    chosen = setting if isinstance(setting, Mapping) else {"box": AUTO_BOX_ARCSEC, "statistic": "mean"}
    result = SubtractedImages(dict(images))
    for name, image in images.items():
        box_pixels = max(float(chosen["box"]) / arcsec_per_pixel, 1.0)  # type: ignore[arg-type]
        sky = detection_sky(image, masks[name], box_pixels=box_pixels, statistic=str(chosen["statistic"]))
        if isinstance(setting, Mapping) or (setting == "auto" and sky.varies):
            result.backgrounds[name] = sky.background
            result.images[name] = image - sky.background
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


def detection_sky(image: np.ndarray, mask: np.ndarray, *, box_pixels: float, statistic: str = "mean") -> DetectionSky:
    """Measure the background of a detection image in a moving box, with sources masked.

    The sources are found on the image itself, smoothed and minus the background of the pass before.

    Parameters
    ----------
    image : array (ny, nx)
    mask : bool array (ny, nx)
        True = ignored.
    box_pixels : float
        Side of the box; at most that of the image.
    statistic : {"mean", "median"}
        Statistic of the pixels in the box, without sources and outliers.
    """
    good = np.isfinite(image) & ~mask
    box_pixels = min(box_pixels, *image.shape)
    if not good.any():
        return DetectionSky(np.zeros(image.shape), 0.0, 0.0, 0.0)
    # the median is robust before sources are known; planes of means are exact beside pixels without data
    background = moving_background(image, ~good, box_pixels=box_pixels, statistic="median")[0]
    for _ in range(1, _PASSES):
        sources = _sources(np.where(good, image - background, 0.0), good)
        background = moving_background(image, ~good | sources, box_pixels=box_pixels, statistic=statistic)[0]
    rest = np.where(good, image - background, 0.0)
    noise = clipped_level(rest[good & ~sources], 3.0)[1]
    low, middle, high = np.percentile(background[good], [2, 50, 98])
    error = _error(np.where(good & ~sources, rest, np.nan), box_pixels)
    # As precise as on disk, where the stage that edits the segments finds it.
    background = (background - middle).astype(np.float32).astype(np.float64)
    return DetectionSky(background, float(high - low), error, float(noise))


def _sources(rest: np.ndarray, good: np.ndarray) -> np.ndarray:
    """Return the pixels of sources and outliers of an image minus its background, bool array (ny, nx)."""
    from scipy.ndimage import gaussian_filter

    smooth = gaussian_filter(rest, SMOOTHING_PIXELS, mode="constant")
    level, sigma = clipped_level(smooth[good], 3.0)
    sources = grow_mask(good & (smooth - level > SOURCE_SIGMA * sigma), GROWTH_PIXELS)
    centre, noise = clipped_level(rest[good & ~sources], 3.0)
    return np.asarray(sources | (np.abs(rest - centre) > CLIP_SIGMA * noise))


def _error(rest: np.ndarray, box_pixels: float) -> float:
    """Return the error of the background from the scatter of the medians of blocks, which have correlated noise."""
    side = max(2, round(box_pixels / BLOCKS_PER_BOX))
    medians = []
    for y in range(0, rest.shape[0] - side + 1, side):
        for x in range(0, rest.shape[1] - side + 1, side):
            block = rest[y : y + side, x : x + side]
            known = np.isfinite(block)
            if np.count_nonzero(known) > 0.25 * block.size:
                medians.append(float(np.median(block[known])))
    if len(medians) < 4:
        return np.inf
    # The plane through the box, evaluated at the edge, has twice the error of a mean over the box.
    return 2.0 * robust_sigma(np.array(medians)) / BLOCKS_PER_BOX
