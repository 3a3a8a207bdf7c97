"""Weight maps of any kind, read as inverse variance, and checked against the pixels of their image."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Mapping

import numpy as np

from ..core.errors import InputError
from ..core.statistics import clipped_level
from ..core.strips import ALL, Derived, Strip, Window, Workspace
from ..core.types import WindowedImage
from ..images.flag_values import flag_values
from ..images.noise_slope import NoiseSlope, noise_slope
from ..images.unobserved import unobserved
from ..io.images import image_extensions, read_array
from ..io.selections import split_extension

log = logging.getLogger(__name__)

_POWERS = {"weight": 1.0, "variance": -1.0, "rms": -2.0}
"""Power of the values of a map that is the inverse variance."""
_MEANINGS = {"weight": "inverse variance", "variance": "variance", "rms": "noise"}
NEGATIVE_FRACTION = 0.02
"""Largest fraction of negative pixels of a map. Resampling makes some negative at edges; an image has half of them."""
CONTRADICTION, AGREEMENT = 4.0, 1.6
"""A map is of another kind than the one given if the scatter of the pixels is beyond this factor of its noise, either
way, and within the second factor of the noise that another kind would give. Correlated noise lowers the scatter by up
to a factor 3, crowded sources raise it. The factor of a map of weights has no meaning: only its shape refuses it."""
HALF_CONTRADICTION = 8.0
"""The same factor for the deep or the shallow half of an image alone, where crowded sources matter more."""
UNIT_FACTOR = 30.0
"""Factor beyond which a map of the noise or its variance is refused in any case. Weights may have any unit: those that
count exposures or seconds are inverse variances up to a factor."""
LEAST_WEIGHT, DEEP_PERCENTILE = 1e-4, 90.0
"""Weights below this fraction of that percentile mean no data: maps of the noise mark such pixels by 1e9 or 1e30, and
resampling leaves a little weight at edges. Their noise is at least a hundred times that of the deep part."""
CONSTANT = 1.05
"""Factor between the 2nd and the 98th percentile of a map that is as good as constant: its kind does not matter."""
_OPPOSITE = {
    "weight": "If its values are the noise or the variance, set kind: rms or kind: variance. If the image holds counts "
    "that were not divided by the exposure time, divide it by the map. Crowded sources in the deep part do that, too.",
    "variance": "If its values are inverse variances, exposure times or coverages, set kind: weight.",
    "rms": "If its values are inverse variances, exposure times or coverages, set kind: weight.",
}
"""What to do about a map whose noise is smaller where the image is noisier."""
_FEWEST = 100
"""Fewest pixels whose scatter is compared with a map."""
_SAMPLE = 500_000
"""Number of pixels on which a map is compared with its image."""
_NAMES = {
    "rms": re.compile(r"ERR(OR)?|RMS|SIGMA|NOISE|UNC(ERT)?", re.I),
    "variance": re.compile(r"VAR(IANCE)?|STAT", re.I),
    "weight": re.compile(r"WHT|WGT|WEIGHT|IVAR|INVVAR|COV(ERAGE)?|EXP(TIME|MAP|OSURE)?", re.I),
}
"""Usual names of the extensions with a map of each kind."""


def read_weight(weight: Mapping[str, str], shape: tuple[int, ...]) -> np.ndarray:
    """Return a weight map as inverse variance; 0 where it is not finite, not positive, or as good as 0.

    Parameters
    ----------
    weight : mapping
        `file` and `kind` (rms, variance or weight) of the map.
    shape : (ny, nx)
        Shape of the image.

    Raises
    ------
    InputError
        The map and the image have different shapes.
    """
    return weight_of(read_array(weight["file"]), weight, shape, Workspace())[ALL]


def weight_of(
    values: WindowedImage, weight: Mapping[str, str], shape: tuple[int, ...], work: Workspace
) -> WindowedImage:
    """Return what `read_weight` does for the pixels `values` of a map of any size."""
    _check_shape(values, weight["file"], shape)
    return _inverse_variance(values, weight["kind"], work)


def checked_weight(
    weight: Mapping[str, str], image: np.ndarray, band: str, *, warn: Callable[[str], None] = log.warning
) -> np.ndarray:
    """Return what `read_weight` does, after checking that the map is one of its kind.

    Parameters
    ----------
    weight : mapping
        `file` and `kind` (rms, variance or weight) of the map; for a tile, which may have no weight anywhere, also
        `whole`, the map of which it is a part.
    image : array (ny, nx)
        The image of the map; NaN where not observed.
    band : str
        Name of the band for error messages.
    warn : callable
        Is called with a sentence if the image is noisier where the map says that it is quieter.

    Raises
    ------
    InputError
        The shapes differ, many pixels are negative, none is positive, the map has flags, or its noise contradicts the
        scatter of the pixels so much that it must be of another kind.
    """
    values = read_array(weight["file"])
    _check_shape(values, weight["file"], image.shape)
    return checked_weight_of(values, weight, image, unobserved(image), band, Workspace(), warn=warn)[ALL]


def checked_weight_of(
    values: WindowedImage,
    weight: Mapping[str, str],
    image: WindowedImage,
    missing: WindowedImage,
    band: str,
    work: Workspace,
    *,
    warn: Callable[[str], None] = log.warning,
) -> WindowedImage:
    """Return what `checked_weight` does for a map of any size.

    Parameters
    ----------
    values : image (ny, nx)
        Pixels of the map as its file has them.
    weight, image, band, warn
        As in `checked_weight`.
    missing : bool image (ny, nx)
        True where the image was not observed, see `images.unobserved`.
    work : Workspace
    """
    _check_shape(values, weight["file"], image.shape)
    kind, name = weight["kind"], weight.get("whole", weight["file"])
    start = f"bands.{band}.weight: {_described(name)}"
    finite = negative = positive = 0
    lowest, highest = np.inf, -np.inf
    for strip in work.strips(image.shape):
        part = values[strip.slices]
        below = part[np.isfinite(part) & (part < 0)]
        finite += int(np.count_nonzero(np.isfinite(part)))
        positive += int(np.count_nonzero(np.isfinite(part) & (part > 0)))
        negative += below.size
        lowest, highest = min(lowest, below.min(initial=np.inf)), max(highest, below.max(initial=-np.inf))
    # Some maps mark pixels without data by one negative number.
    if negative > NEGATIVE_FRACTION * finite and highest > lowest:
        raise InputError(
            f"{start} is negative in {negative / finite:.0%} of its pixels; expected a map of the "
            f"{_MEANINGS[kind]}. {_other_extensions(name, 'Name another file or extension.')}"
        )
    if not positive and "whole" in weight:
        return np.zeros(image.shape)  # a tile beyond the edge of what was observed
    if not positive:
        raise InputError(
            f"{start} has no positive pixel; expected a map of the {_MEANINGS[kind]}. "
            f"{_other_extensions(name, 'Name another file or extension.')}"
        )
    light, noise, unseen = (_some_rows(each, work) for each in (image, values, missing))
    observed = np.isfinite(light) & ~unseen
    _check_flags(noise, observed, kind, start, name)
    slope = _check_scale(light, noise, observed, kind, start, name)
    if slope is not None and slope.falls:
        warn(f"{start} gives a smaller noise to the parts of the image that are noisier. {_OPPOSITE[kind]}")
    return _inverse_variance(values, kind, work)


def _some_rows(image: WindowedImage, work: Workspace) -> np.ndarray:
    """Return the rows on which a map is compared with its image: all, or some from all over a large image."""
    step, (ny, nx) = work.step(image.shape), image.shape
    if step == 1:
        return image[ALL]
    return np.concatenate([image[slice(y, y + 1), slice(0, nx)] for y in range(0, ny, step)])


def _check_shape(values: WindowedImage, name: str, shape: tuple[int, ...]) -> None:
    if values.shape != shape:
        raise InputError(
            f"{name} has {values.shape[1]} x {values.shape[0]} pixels and its image {shape[1]} x {shape[0]}: "
            "the weight map must lie on the image's grid."
        )


def _inverse_variance(values: WindowedImage, kind: str, work: Workspace) -> WindowedImage:
    def read(window: Window) -> np.ndarray:
        part = values[window]
        good = np.isfinite(part) & (part > 0)
        result = np.zeros(part.shape)
        result[good] = part[good] ** _POWERS[kind]
        return result

    def covered(strip: Strip) -> list[np.ndarray]:
        part = values[strip.slices]
        return [np.isfinite(part) & (part > 0), read(strip.slices)]

    (deep,) = work.gather(values.shape, covered)
    if not deep.size:
        return Derived(values.shape, read)
    least = LEAST_WEIGHT * np.percentile(deep, DEEP_PERCENTILE, overwrite_input=True)

    def without_little(window: Window) -> np.ndarray:
        result = read(window)
        result[result < least] = 0.0
        return result

    return Derived(values.shape, without_little)


def _check_flags(values: np.ndarray, observed: np.ndarray, kind: str, start: str, name: str) -> None:
    number, names = image_extensions(name)
    flags = flag_values(values, observed, names[number])
    if flags is not None:
        advice = _other_extensions(name, "Name another file or extension; pixels to ignore belong into bad_regions.")
        raise InputError(
            f"{start} has {flags.distinct} distinct integer values, 0 in {flags.zero_fraction:.0%} of the observed "
            f"pixels: it looks like a map of flags (data quality), in which 0 marks the good pixels; expected a map of "
            f"the {_MEANINGS[kind]}. {advice}"
        )


def _check_scale(
    image: np.ndarray, values: np.ndarray, observed: np.ndarray, kind: str, start: str, name: str
) -> NoiseSlope | None:
    """Compare the noise that a map gives as one of its kind, and as one of the other kinds, with the pixels.

    Returns
    -------
    NoiseSlope or None
        How the scatter of the pixels follows the noise of the map.

    Raises
    ------
    InputError
        It must be of another kind, or is in other units than the image.
    """
    usable = observed & np.isfinite(values) & (values > 0)
    positive = usable
    if usable.any():  # without the numbers that mark pixels without data, such as a noise of 1e9
        middle = float(np.median(values[usable]))
        factor = LEAST_WEIGHT ** (1.0 / abs(_POWERS[kind]))
        usable = usable & (values >= factor * middle) & (values <= middle / factor)
    noises = {each: np.where(usable, values, 1.0) ** (-0.5 * power) for each, power in _POWERS.items()}
    slope = noise_slope(image, noises[kind], usable)
    if kind == "weight" and _any_unit_will_do(values, usable, positive, slope):
        return slope
    # A map of another kind may fit the deep or the shallow half of an image alone.
    halves = [half for half in _halves(values, usable) if np.count_nonzero(half) >= _FEWEST]
    parts = [usable, *halves]
    ratios = {each: [_scatter_in_noise(image, part, noise) for part in parts] for each, noise in noises.items()}
    limits = [CONTRADICTION, *(HALF_CONTRADICTION for _ in halves)]
    beyond = [p for p, limit in zip(ratios[kind], limits, strict=True) if p[0] > 0 and not _within(p, limit)]
    if not beyond:
        return slope
    low, high = beyond[0]
    noise = float(np.median(noises[kind][usable]))
    factor = high if high < 1.0 else low
    found = (
        f"{start}, taken as a map of the {_MEANINGS[kind]} (kind: {kind}), gives a typical noise of {noise:.3g}, which "
        f"is {_times(1.0 / factor)} the scatter of the pixels, {factor * noise:.3g}"
    )
    agreeing = {
        each: sum(abs(np.log(one * other)) for one, other in pairs)
        for each, pairs in ratios.items()
        if all(pair[0] > 0 and _within(pair, AGREEMENT) for pair in pairs)
    }
    if agreeing:
        best = min(agreeing, key=lambda each: agreeing[each])
        raise InputError(f"{found}; as a map of the {_MEANINGS[best]} it agrees with them. Set kind: {best}.")
    if kind != "weight" and not 1.0 / UNIT_FACTOR <= factor <= UNIT_FACTOR:
        advice = _other_extensions(name, "Check its unit, or name another file or extension.")
        raise InputError(f"{found}; expected the {_MEANINGS[kind]} of a pixel in the unit of the image. {advice}")
    return slope


def _any_unit_will_do(values: np.ndarray, usable: np.ndarray, positive: np.ndarray, slope: NoiseSlope | None) -> bool:
    """Return whether a map can be one of weights, in any unit, by its shape alone.

    The noise of the image rises with that of the map (where it should fall, the slope is -1 or -2), or the map is
    constant and has no larger numbers that mark pixels without data. Exposure times and coverages may agree by chance
    with the values that a map of another kind would have.
    """
    if slope is not None:
        return slope.value > 0.0
    used = values[usable]
    if not used.size or np.any(values[positive & ~usable] > used.max()):
        return False
    low, high = np.percentile(used, [2.0, 98.0])
    return bool(high <= CONSTANT * low)


def _halves(values: np.ndarray, usable: np.ndarray) -> list[np.ndarray]:
    """Return the usable pixels with the lower and with the higher values of a map; all of them for a constant map."""
    used = values[usable]
    if not used.size or np.ptp(used) == 0:
        return [usable]
    middle = 0.5 * (used.min() + used.max()) if np.median(used) in (used.min(), used.max()) else np.median(used)
    return [usable & (values <= middle), usable & (values > middle)]


def _within(pair: tuple[float, float], factor: float) -> bool:
    """Return whether the range of a scatter in units of its noise comes within a factor of 1."""
    return pair[1] >= 1.0 / factor and pair[0] <= factor


def _scatter_in_noise(image: np.ndarray, usable: np.ndarray, noise: np.ndarray) -> tuple[float, float]:
    """Return the least and the largest scatter of the pixels, in units of their noise; 0 if there is none.

    The scatter of all pixels contains faint sources. That of the differences of neighbours contains neither these nor
    a gradient, but also less of the noise where it is correlated.
    """
    pairs = usable[:, 1:] & usable[:, :-1]
    differences = (image[:, 1:] - image[:, :-1])[pairs]
    of_pairs = np.hypot(noise[:, 1:], noise[:, :-1])[pairs]
    found = [_clipped(values, sigma) for values, sigma in ((image[usable], noise[usable]), (differences, of_pairs))]
    return min(found), max(found)


def _clipped(values: np.ndarray, noise: np.ndarray) -> float:
    if values.size > 2 * _SAMPLE:
        chosen = np.random.default_rng(0).integers(values.size, size=_SAMPLE)
        values, noise = values[chosen], noise[chosen]
    return clipped_level(values, 4.0, noise)[1] if values.size else 0.0


def _times(factor: float) -> str:
    return f"{factor:.3g} times" if factor >= 1.0 else f"1/{1.0 / factor:.3g} of"


def _described(name: str) -> str:
    """Return a file with the extension that is read."""
    path, _ = split_extension(name)
    number, names = image_extensions(name)
    return f"{path} (extension {number}{f', {names[number]}' if names[number] else ''})"


def _other_extensions(name: str, otherwise: str) -> str:
    """Return a question that names the extensions of a file that are maps by their names, or other advice."""
    path, _ = split_extension(name)
    number, names = image_extensions(name)
    likely = {
        each: kind
        for index, each in names.items()
        for kind, pattern in _NAMES.items()
        if index != number and pattern.fullmatch(each)
    }
    if not likely:
        return otherwise
    return "Did you mean " + " or ".join(f"{path}[{each}] (kind: {kind})" for each, kind in likely.items()) + "?"
