"""The dialog of `./unblend new`: the table of what was found, and the questions that no file answers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from ..core.angles import degrees_from_text, position_from_text
from ..core.errors import InputError
from ..io.selections import split_extension
from ..plan.found_images import FoundImage
from ..plan.found_psfs import FoundPsf
from ..plan.new_config import Choices, sharpest

Ask = Callable[[str], str]
"""Asks a question and returns the answer; empty for the likely one."""

LONGEST_NAME = 32
"""Characters of a file's name in the table; the end of a name says more than its middle."""


def table(images: Sequence[FoundImage]) -> list[str]:
    """Return a table of the images as lines of text."""
    head = ["band", "image", "pixels", "scale", "unit", "zero point", "weight", "PSF"]
    rows = [head, *(_row(image) for image in images)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(head))]
    return ["  ".join(f"{text:{width}s}" for text, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def _row(image: FoundImage) -> list[str]:
    zero_point = "?" if image.zero_point_problem or not image.zero_points else f"{image.zero_points[0].value_ab:.3f}"
    weight = f"{_short(image.weight.file, image.file)} ({image.weight.kind})" if image.weight else "none"
    psf = image.psf
    shown = f'{_short(psf.file, image.file)} x{psf.oversampling:g} {psf.fwhm_arcsec:.2f}"' if psf else "MISSING"
    ny, nx = image.shape
    scale = f'{image.scale_arcsec:.3g}"'
    return [image.band, _short(image.file), f"{nx} x {ny}", scale, image.unit or "none", zero_point, weight, shown]


def _short(name: str, image: str = "") -> str:
    """Return the name of a file, a long one without its middle; of an extension in the file `image` that alone."""
    path, selection = split_extension(name)
    extension = f"[{selection}]" if selection else ""
    if extension and path == split_extension(image)[0]:
        return extension
    short = path.rsplit("/", 1)[-1]
    return (short if len(short) <= LONGEST_NAME else f"{short[:10]}…{short[11 - LONGEST_NAME :]}") + extension


def notes(images: Sequence[FoundImage], problems: Sequence[str]) -> Iterator[str]:
    """Yield what is missing or uncertain, a line each; what several bands have in common is one line."""
    bands: dict[str, list[str]] = {}
    for image in images:
        for note in image.notes:
            bands.setdefault(note, []).append(image.band)
    yield from (f"{', '.join(names)}: {note}" for note, names in bands.items())
    yield from problems


def choose(images: Sequence[FoundImage], ask: Ask, tell: Callable[[str], None]) -> Choices:
    """Return what no header says: the target, and the zero point where a header states several.

    Parameters
    ----------
    images : sequence of FoundImage
    ask : callable
        Returns the answer to a question; an empty one means the likely answer.
    tell : callable
        Receives each likely answer that was taken.

    Raises
    ------
    InputError
        An answer cannot be understood.
    """
    detection = sharpest(images)
    among = "" if all(image.psf for image in images) or not detection.psf else " with a PSF"
    tell(f"detection on {detection.band}, the sharpest image{among}")
    answer = ask(f"position of your source of interest (RA, Dec) [the middle of {detection.band}]: ").strip()
    target, reason = detection.centre, f"the middle of {detection.band}; put your source of interest here"
    if answer:
        target, reason = _position(answer), "your source of interest"
    else:
        tell(f"target: the middle of {detection.band}, {target[0]:.6f} {target[1]:.6f}")
    zero_points = {}
    for image in images:
        if image.zero_point_problem and image.zero_points:
            zero_points[image.band] = _chosen_zero_point(image, ask, tell)
    samplings = {image.band: _chosen_sampling(image.psf, ask, tell) for image in images if _asks_sampling(image)}
    return Choices(detection.band, target, reason, zero_points, samplings)


def _asks_sampling(image: FoundImage) -> bool:
    """Return whether a PSF has finer pixels than its image, and nothing says how fine they are."""
    return image.psf is not None and not image.psf.certain and image.psf.oversampling > 1


def _chosen_sampling(psf: FoundPsf | None, ask: Ask, tell: Callable[[str], None]) -> float:
    assert psf is not None
    likely = psf.oversampling
    answer = ask(f"PSF pixels per image pixel of {psf.file} ({psf.reason}) [{likely:g}]: ").strip()
    if not answer:
        tell(f"psf_oversampling of {psf.file}: {likely:g}; {psf.reason}")
        return likely
    try:
        return float(answer)
    except ValueError:
        raise InputError(f"{answer!r} is not a sampling; expected a number of PSF pixels per image pixel.") from None


def _position(text: str) -> tuple[float, float]:
    """Return a position in degrees."""
    words = position_from_text(text.replace(",", " ")) or tuple(text.replace(",", " ").split())
    try:
        ra, dec = (float(degrees_from_text(word, hours=at == 0)) for at, word in enumerate(words))
    except (ValueError, TypeError):
        raise InputError(f"{text!r} is not a position; expected two angles such as 53.16 -27.79 (degrees).") from None
    if not (0 <= ra < 360 and -90 <= dec <= 90):
        raise InputError(f"{text!r} is not a position; expected a right ascension below 360 and a declination to 90.")
    return ra, dec


def _chosen_zero_point(image: FoundImage, ask: Ask, tell: Callable[[str], None]) -> float:
    likely = image.zero_points[0]
    choices = "; ".join(f"{z.value_ab:.3f} from {z.source}" for z in image.zero_points)
    answer = ask(f"AB zero point of {image.band} ({choices}) [{likely.value_ab:.3f}]: ").strip()
    if not answer:
        tell(f"zero point of {image.band}: {likely.value_ab:.3f} from {likely.source}")
        return likely.value_ab
    try:
        return float(answer)
    except ValueError:
        raise InputError(f"{answer!r} is not a zero point; expected a number of magnitudes.") from None
