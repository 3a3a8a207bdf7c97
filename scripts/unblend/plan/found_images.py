"""What the files of an astronomer hold: images with their bands, grids and zero points, weight maps and PSFs."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from ..core.coordinates import pixel_scale, pixel_to_sky
from ..core.errors import InputError, UnblendError
from ..core.shown import shortened
from ..field.weight_maps import checked_weight
from ..io.header_zero_point import HeaderZeroPoint, read_zero_point, zero_points_of
from ..io.images import extension_shapes, read_array, read_header, read_shape, read_wcs
from ..io.selections import split_extension
from .band_names import band_name, filter_name, instrument_of, pivot_um, without_duplicates
from .file_roles import ENDINGS, KIND_OF_EXTENSION, belongs_to, role_of, stem_of
from .found_psfs import FoundPsf, found_psf, psf_advice, psf_candidates
from .found_weights import FoundWeight, counts_by_header, found_weight

SCIENCE_EXTENSIONS = ("SCI", "IMAGE", "DATA", "PRIMARY")
LARGEST_CHECKED = 30_000_000
"""Pixels of the largest image whose weight map is compared with its pixels here; a run compares all."""
MAX_FOLDERS = 4
"""Folders that are named where more were not looked at."""


@dataclass(frozen=True)
class FoundImage:
    """An image that can be a band.

    Parameters
    ----------
    file : str
        Name with the extension, where the file has several images.
    band : str
    instrument : str
        Telescope and instrument as the header names them.
    shape : (ny, nx)
    scale_arcsec : float
    centre : (ra, dec)
        Sky position of the middle of the image in degrees, ICRS.
    unit : str
        BUNIT.
    zero_points : tuple of HeaderZeroPoint
        Those that the header states, the likeliest first; empty without one.
    zero_point_problem : str
        Why the zero point cannot be read at run time; empty where it can.
    wavelength_um : float or None
        Pivot wavelength, where the header tells it.
    weight : FoundWeight or None
    psf : FoundPsf or None
    notes : tuple of str
        What is missing or uncertain.
    """

    file: str
    band: str
    instrument: str
    shape: tuple[int, int]
    scale_arcsec: float
    centre: tuple[float, float]
    unit: str
    zero_points: tuple[HeaderZeroPoint, ...] = ()
    zero_point_problem: str = ""
    wavelength_um: float | None = None
    weight: FoundWeight | None = None
    psf: FoundPsf | None = None
    notes: tuple[str, ...] = ()

    @property
    def fwhm_arcsec(self) -> float:
        """FWHM of the PSF; without one two pixels, the least that an image can resolve."""
        return self.psf.fwhm_arcsec if self.psf else 2.0 * self.scale_arcsec


def find_images(names: Sequence[str]) -> tuple[list[FoundImage], list[str]]:
    """Return the images among files and folders, with what belongs to them, and a sentence for each unused file.

    Weight maps and PSFs are looked for among the files, and beside the images under the usual names.

    Parameters
    ----------
    names : sequence of str
        Files, `file.fits[EXT]`, and folders whose FITS files are taken.

    Raises
    ------
    InputError
        A file does not exist, or none is an image.
    """
    given = list(dict.fromkeys(_files(names)))
    beside = [str(path) for folder in sorted({Path(name).parent for name in given}) for path in _fits_in(folder)]
    known = list(dict.fromkeys([*given, *beside]))
    found, problems = [], []
    for file in [name for name in given if role_of(name) == "image"]:
        try:
            found.append(_image(file))
        except UnblendError as error:
            problems.append(f"{file} is not used: {str(error).removeprefix(file).lstrip(': ')}")
    if not found:
        problems += _folders_below(names)
        raise InputError(
            "no image found: expected FITS images with world coordinates. " + " ".join(problems or ["Name some."])
        )
    bands = without_duplicates([each.band for each in found], [each.instrument for each in found])
    images = [replace(image, band=band) for image, band in zip(found, bands, strict=True)]
    complete = [_with_psf(_with_weight(image, known), known) for image in images]
    used = {each.weight.file for each in complete if each.weight} | {each.psf.file for each in complete if each.psf}
    problems += _folders_below(names)
    problems += [
        f"{file} is not used: by its name it is a {'PSF' if role_of(file) == 'psf' else 'map'}, of none of the images."
        for file in given
        if role_of(file) in ("psf", "weight")
        and not any(name.startswith(file) for name in used)
        and not any(belongs_to(file, split_extension(image.file)[0]) for image in images)
    ]
    return complete, problems


def _files(names: Sequence[str]) -> Iterator[str]:
    for name in names:
        path = Path(name)
        if path.is_dir():
            yield from (str(each) for each in _fits_in(path))
        elif path.is_file() or Path(split_extension(name)[0]).is_file():
            yield name
        else:
            raise InputError(f"{name} does not exist; expected a FITS image or a folder of such. Correct the name.")


def _fits_in(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.name.lower().endswith(ENDINGS) and path.is_file())


def _folders_below(names: Sequence[str]) -> list[str]:
    """Return a sentence about the folders within the named ones that hold FITS files, which are not looked at."""
    given = {Path(name).resolve() for name in names}
    found = [str(path) for name in names if Path(name).is_dir() for path in _with_fits(Path(name))]
    missed = [name for name in dict.fromkeys(found) if Path(name).resolve() not in given]
    if not missed:
        return []
    more = f" and {len(missed) - MAX_FOLDERS} more" if len(missed) > MAX_FOLDERS else ""
    return [
        f"folders with FITS files that were not looked at (name them, too): {', '.join(missed[:MAX_FOLDERS])}{more}."
    ]


def _with_fits(folder: Path) -> Iterator[Path]:
    """Yield the folders below `folder` that hold FITS files, but hidden ones and results of this program."""
    for path, folders, files in os.walk(folder):
        folders[:] = sorted(each for each in folders if not each.startswith(".") and not _is_results(Path(path, each)))
        if Path(path) != folder and any(name.lower().endswith(ENDINGS) for name in files):
            yield Path(path)


def _is_results(folder: Path) -> bool:
    return (folder / "det_stack.fits").exists()


def _image(file: str) -> FoundImage:
    """Return an image without what belongs to it.

    Raises
    ------
    InputError
        The file has no image with world coordinates, or is a map of exposure times or coverages.
    """
    name = _science(file)
    counts = counts_by_header(name)
    if counts:
        raise InputError(
            f"{file}: by its header it is no image, but a map of {counts}. To use it as a weight map, write "
            "weight: {file: …, kind: weight} for the band of its image."
        )
    header, shape, wcs = read_header(name), read_shape(name), read_wcs(name)
    (ra,), (dec,) = pixel_to_sky(wcs, *(np.array([(side - 1) / 2]) for side in shape))
    band = band_name(header, stem_of(file))
    wavelength = pivot_um(header, band)
    zero_points, problem, notes = _zero_points(name, wavelength)
    return FoundImage(
        file=name, band=band, instrument=instrument_of(header), shape=shape, scale_arcsec=pixel_scale(wcs, shape),
        centre=(float(ra), float(dec)), unit=shortened(str(header.get("BUNIT") or "").strip()), zero_points=zero_points,
        zero_point_problem=problem, wavelength_um=wavelength, notes=notes,
    )  # fmt: skip


def _science(file: str) -> str:
    """Return a file with the extension of its image, where it has several images and none is named."""
    if split_extension(file)[1] is not None:
        return file
    flat = [name for name, shape in extension_shapes(file).items() if math.prod(shape[:-2]) == 1 and len(shape) > 1]
    if len(flat) < 2:
        return file
    return f"{file}[{next((name for name in SCIENCE_EXTENSIONS if name in flat), flat[0])}]"


def _zero_points(name: str, wavelength: float | None) -> tuple[tuple[HeaderZeroPoint, ...], str, tuple[str, ...]]:
    """Return the zero points of an image, why they cannot be used as they are, and a note about that."""
    try:
        found = read_zero_point(name, wavelength_um=wavelength)
    except InputError as error:
        problem = str(error).removeprefix(f"{name}: ").removesuffix(" Give zero_point as a number.").rstrip(".")
        stated, _ = zero_points_of(name, wavelength_um=wavelength)
        return tuple(stated), problem, (f"zero point: {problem}",)
    return (found,), "", (f"zero point: {found}",) if found.doubt else ()


def _with_weight(image: FoundImage, files: Sequence[str]) -> FoundImage:
    """Return an image with the first of its weight maps that agrees with its pixels."""
    path = split_extension(image.file)[0]
    inside = [
        found_weight(f"{path}[{name}]", KIND_OF_EXTENSION[name])
        for name, shape in extension_shapes(path).items()
        if name in KIND_OF_EXTENSION and shape[-2:] == image.shape
    ]
    maps = _nearest([f for f in files if role_of(f) == "weight" and belongs_to(f, path)], path)
    candidates = sorted([*inside, *map(found_weight, maps)], key=lambda each: each.rank)
    notes = list(image.notes)
    pixels = read_array(image.file) if candidates and math.prod(image.shape) <= LARGEST_CHECKED else None
    for candidate in candidates:
        try:
            weight = replace(candidate, file=_map_of(candidate.file, image.shape))
            if pixels is not None:
                given = {"file": weight.file, "kind": weight.kind}
                checked_weight(given, pixels, image.band, warn=_refuse)
        except UnblendError as error:
            notes.append(f"weight map not used: {str(error).removeprefix(f'bands.{image.band}.weight: ')}")
            continue
        return replace(image, weight=weight, notes=tuple(notes))
    if not candidates:
        notes.append("no weight map found: the noise is taken as the same everywhere")
    return replace(image, notes=tuple(notes))


def _refuse(doubt: str) -> None:
    raise InputError(doubt)


def _nearest(files: Sequence[str], image: str) -> list[str]:
    """Return the files in the folder of the image, where there are any: MOPEX calls every mosaic by the same name."""
    return [file for file in files if Path(file).parent == Path(image).parent] or list(files)


def _map_of(file: str, shape: tuple[int, int]) -> str:
    found = read_shape(file)
    if found != shape:
        raise InputError(f"{file} has {found[1]} x {found[0]} pixels, the image {shape[1]} x {shape[0]}")
    return file


def _with_psf(image: FoundImage, files: Sequence[str]) -> FoundImage:
    """Return an image with the likeliest of its PSFs, or a note where one gets a PSF."""
    path = split_extension(image.file)[0]
    psfs = [file for file in files if role_of(file) == "psf"]
    psfs = [*_nearest([file for file in psfs if belongs_to(file, path)], path), *psfs]
    psfs = list(dict.fromkeys(psfs))
    candidates = psf_candidates(psfs, path, image.band) or [file for file in psfs if _header_names_band(file, image)]
    inside = extension_shapes(path).get("PSF")
    if inside is not None:
        plane = f"[*,*,{(inside[0] + 1) // 2}]" if len(inside) == 3 else ""
        candidates.insert(0, f"{path}[PSF]{plane}")
    notes = list(image.notes)
    for candidate in candidates:
        try:
            psf = found_psf(candidate, image.scale_arcsec, image.band, image.instrument)
        except UnblendError as error:
            notes.append(f"PSF not used: {error}")
            continue
        if not psf.certain:
            notes.append(f"psf_oversampling {psf.oversampling:g} of the PSF: {psf.reason}; check it")
        if not psf.kind_certain:
            notes.append(f"psf_kind {psf.kind} of the PSF: taken as measured on the image; optical if it was computed")
        if inside is not None and len(inside) == 3:
            notes.append(f"{psf.file} is the middle one of {inside[0]} PSFs; choose that of your target")
        return replace(image, psf=psf, notes=tuple(notes))
    notes.append(f"no PSF found; you get one from {psf_advice(image.band, image.instrument)}")
    return replace(image, notes=tuple(notes))


def _header_names_band(file: str, image: FoundImage) -> bool:
    """Return whether the header of a PSF names the filter of an image; its name does not."""
    try:
        header = read_header(file)
    except UnblendError:
        return False
    name, instrument = filter_name(header), instrument_of(header).split()
    return bool(name) and image.band in (name, f"{instrument[-1] if instrument else ''}-{name}")
