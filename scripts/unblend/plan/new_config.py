"""The text of a new config.yaml for images that were found: every value with the reason for it."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..core.coordinates import DETECTION_GRID_TOLERANCE_PIXELS, largest_offset
from ..core.filters import wavelength_um
from ..io.images import read_wcs
from ..io.selections import split_extension
from .found_images import FoundImage

COMMENT_AT = 44
"""Column of the comments."""
LARGEST_IMAGE = 60_000_000
"""Pixels of an image above which a cutout around the target is used."""
CUTOUT_ARCSEC = 120.0
SAME_SHARPNESS = 1.15
"""Bands whose FWHM is within this factor of the smallest are as sharp."""


@dataclass(frozen=True)
class Choices:
    """What the user chose, or was chosen as likely.

    Parameters
    ----------
    detection : str
        Band of the detection.
    target : (ra, dec)
        Degrees, ICRS.
    target_reason : str
        What the target is.
    zero_points : dict of str to float
        Of bands whose header states several.
    samplings : dict of str to float
        PSF pixels per image pixel of bands whose PSF does not tell it.
    """

    detection: str
    target: tuple[float, float]
    target_reason: str
    zero_points: dict[str, float]
    samplings: dict[str, float]


def sharpest(images: Sequence[FoundImage]) -> FoundImage:
    """Return the image for the detection: of those with the narrowest PSF the one of the longest wavelength.

    Images with a PSF come first: the fits need it.
    """
    with_psf = [image for image in images if image.psf] or list(images)
    least = min(image.fwhm_arcsec for image in with_psf)
    sharp = [image for image in with_psf if image.fwhm_arcsec <= SAME_SHARPNESS * least]
    return max(sharp, key=lambda image: image.wavelength_um or wavelength_um(image.band) or 0.0)


def bands_on_grid(images: Sequence[FoundImage], chosen: FoundImage) -> list[str]:
    """Return the other bands on the pixel grid of the chosen image: they may be stacked for the detection."""
    wcs = read_wcs(chosen.file)
    return [
        image.band
        for image in images
        if image is not chosen
        and image.shape == chosen.shape
        and largest_offset(read_wcs(image.file), wcs, image.shape) <= DETECTION_GRID_TOLERANCE_PIXELS
    ]


def config_text(images: Sequence[FoundImage], choices: Choices, folder: Path) -> str:
    """Return the text of config.yaml in `folder`.

    Parameters
    ----------
    images : sequence of FoundImage
    choices : Choices
    folder : Path
        Names of files are relative to it, or absolute where they lie elsewhere.
    """
    detection = next(image for image in images if image.band == choices.detection)
    ra, dec = choices.target
    others = bands_on_grid(images, detection)
    stack = f"; on the same pixels: {', '.join(others)}" if others else ""
    kind = "FWHM" if detection.psf else "pixels of"
    size = detection.fwhm_arcsec if detection.psf else detection.scale_arcsec
    lines = [
        "# Written by ./unblend new from the headers of the images. Every key: docs/config.md; the usual files of",
        "# instruments: docs/recipes.md.",
        "",
        _line('data_dir: "."', "folder of the inputs, relative to where Snakemake runs"),
        _line("results_dir: results", "folder of all products; nothing is written elsewhere"),
        _line(f"target: {{ra: {ra:.6f}, dec: {dec:.6f}}}", f"deg, ICRS: {choices.target_reason}"),
        "",
        "detection:",
        _line(f"  bands: [{_name(detection.band)}]", f'the sharpest: {kind} {size:.2f}"{stack}'),
        _line(f"  conv_fwhm: {detection.fwhm_arcsec:.2g}", "arcsec, FWHM of the smoothing before the detection"),
        _line("  min_area: 10", "pixels, smallest area of a source"),
        _line("  min_snr: 10", "smallest signal-to-noise ratio"),
        "",
        "models:",
        _line(f"  psf: {_name(detection.band)}", "PSF of the detection image: that of a band"),
        "",
        "bands:",
    ]
    for image in sorted(images, key=lambda image: image is not detection):
        lines += _band(image, choices, folder)
        if image is not detection and image.band not in others:
            lines.append(_line("    # shift: auto", "searches for an astrometric offset from the detection image"))
    return "\n".join(lines) + "\n"


def _band(image: FoundImage, choices: Choices, folder: Path) -> Iterator[str]:
    ny, nx = image.shape
    grid = f'{nx} x {ny} pixels of {image.scale_arcsec:.3g}"{f", {image.instrument}" if image.instrument else ""}'
    large = nx * ny > LARGEST_IMAGE
    yield f"  {_name(image.band)}:"
    yield _line(f"    {'mosaic' if large else 'image'}: {path_in(folder, image.file)}", grid)
    if large:
        yield _line(f"    cutout_size: {CUTOUT_ARCSEC:g}", "arcsec, side of the part around target that is used")
    if image.weight:
        file, kind = path_in(folder, image.weight.file), image.weight.kind
        yield _line(f"    weight: {{file: {file}, kind: {kind}}}", image.weight.meaning)
    yield from _psf(image, choices, folder)
    yield from _zero_point(image, choices)
    if image.wavelength_um and _wavelength_is_new(image):
        yield _line(f"    wavelength: {image.wavelength_um:g}", "micrometre")


def _psf(image: FoundImage, choices: Choices, folder: Path) -> Iterator[str]:
    psf = image.psf
    if psf is None:
        yield _line(f'    psf: "{image.band}-psf.fits"', "MISSING: put a FITS image of the PSF there")
        yield _line("    psf_oversampling: 1", "PSF pixels per image pixel")
        return
    yield _line(f"    psf: {path_in(folder, psf.file)}", f'FWHM {psf.fwhm_arcsec:.2f}"')
    sampling = choices.samplings.get(image.band, psf.oversampling)
    reason = psf.reason if sampling == psf.oversampling else "as you said"
    yield _line(f"    psf_oversampling: {sampling:g}", f"{'' if psf.certain else 'CHECK: '}{reason}")
    pixel = "includes" if psf.kind == "effective" else "does not include"
    check = "" if psf.kind_certain else "CHECK, optical if it was computed: "
    yield _line(f"    psf_kind: {psf.kind}", f"{check}the PSF {pixel} the response of the image pixel")


def _zero_point(image: FoundImage, choices: Choices) -> Iterator[str]:
    if image.band in choices.zero_points:
        value = choices.zero_points[image.band]
        chosen = next((z.source for z in image.zero_points if z.value_ab == value), "given")
        yield _line(f"    zero_point: {value:.4f}", f"CHECK: {chosen}; {image.zero_point_problem}")
    elif image.zero_point_problem:
        yield _line("    zero_point: null", f"no magnitudes: {image.zero_point_problem}")
    else:
        yield _line("    zero_point: auto", str(image.zero_points[0]))


def _wavelength_is_new(image: FoundImage) -> bool:
    known = wavelength_um(image.band)
    assert image.wavelength_um is not None
    return known is None or abs(image.wavelength_um / known - 1.0) > 0.02 or "wavelength" in str(image.zero_points)


def path_in(folder: Path, name: str) -> str:
    """Return the name of a file as YAML text: relative to `folder` where it is near, absolute elsewhere."""
    path, selection = split_extension(name)
    relative = os.path.relpath(Path(path).resolve(), folder.resolve())
    short = relative if not relative.startswith("../../..") else str(Path(path).resolve())
    return json.dumps(short + (f"[{selection}]" if selection else ""), ensure_ascii=False)


_YAML_WORDS = frozenset({"on", "off", "yes", "no", "y", "n", "true", "false", "null"})


def _name(band: str) -> str:
    """Return the name of a band as YAML text: in quotes where it would be read as something else."""
    return band if band[0].isalpha() and band not in _YAML_WORDS else f'"{band}"'


def _line(content: str, comment: str) -> str:
    """Return a line with a comment, which has no line breaks."""
    text = " ".join("".join(c if c.isprintable() else " " for c in comment).split())
    return f"{content:{COMMENT_AT}s} # {text}"
