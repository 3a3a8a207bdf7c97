"""PSFs as other programs write them: one image, or several PSFs and where in the image each of them holds.

Formats are recognised by what the file says. Positions in pixels are 1-based, as in FITS, and those of the whole image
if the band's image is a cutout.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import fitsio
import numpy as np

from ..core.errors import InputError
from .fits_files import open_fits
from .header_numbers import needed_number
from .headers import read_cards
from .images import flat_images, read_cube
from .selections import split_extension

log = logging.getLogger(__name__)

STDPSF_SAMPLING = 4.0
"""PSF pixels per image pixel of the STDPSF files of STScI, whose headers do not say it."""
SEVERAL_DETECTORS = (36, 56, 90, 200)
"""Numbers of PSFs in STDPSF files with the detectors of WFPC2, WFC3/UVIS, ACS/WFC and NIRCam side by side."""
SPHEREX_MENDED = (6, 5, 6)
"""First version of the SPHEREx pipeline whose headers give each PSF its own place. Earlier ones exchanged rows and
columns of the zones (IRSA, https://irsa.ipac.caltech.edu/data/SPHEREx/docs/psfhdrerr.html), except for files corrected
later, with `+psffix` in their version."""
TABLE_POSITIONS = (("ra", "dec"), ("x", "y"))


@dataclass(frozen=True)
class Points:
    """A position for each PSF, which holds around it.

    Parameters
    ----------
    frame : {"sky", "pixel", "detector"}
        Whether they are (ra, dec) in degrees, (x, y), 1-based, or the same on the detector: in cutouts of SPHEREx
        images the alternate WCS A tells where that is.
    values : array (n, 2)
    """

    frame: str
    values: np.ndarray


@dataclass(frozen=True)
class Grid:
    """Columns x and rows y of a grid of PSFs, 1-based and ascending; PSF i nx + j belongs to row i and column j."""

    x: np.ndarray
    y: np.ndarray


@dataclass(frozen=True)
class Polynomial:
    """The images of a file are the coefficients of a polynomial in ((x, y) − zero) / scale, in the order of PSFEx.

    That is 1, x, x², …, y, x y, …, y², …, up to `degree` in x and y together; (x, y) is 1-based.
    """

    degree: int
    zero: tuple[float, float]
    scale: tuple[float, float]

    def terms(self, x: float, y: float) -> np.ndarray:
        """Return the terms of the polynomial at a position."""
        u, v = ((at - zero) / scale for at, zero, scale in zip((x, y), self.zero, self.scale, strict=True))
        return np.array([u**i * v**j for j in range(self.degree + 1) for i in range(self.degree + 1 - j)])


@dataclass(frozen=True)
class PsfFile:
    """What a file of PSFs holds.

    Parameters
    ----------
    images : array (n, ny, nx)
        The PSFs, or the coefficients of a polynomial.
    names : tuple of str
        Name of each for messages.
    labels : tuple of str
        What a polygon calls each: its plane of the cube, from 1, or its extension.
    places : Points, Grid, Polynomial or None
        Where they hold; None if the file does not say it.
    header : mapping
        Of the images.
    sampling : float or None
        PSF pixels per image pixel, where the format says it.
    """

    images: np.ndarray
    names: tuple[str, ...]
    places: Points | Grid | Polynomial | None
    header: Mapping[str, object]
    sampling: float | None = None
    labels: tuple[str, ...] = ()


def read_psf_images(name: str) -> PsfFile:
    """Return the PSFs of a file whose places another file has: the planes of a cube, or all images of the file.

    Raises
    ------
    InputError
        The file is missing or damaged or has no image, or its images have different shapes.
    """
    numbers = {} if split_extension(name)[1] else flat_images(name)
    if len(numbers) < 2:
        images, header = read_cube(name)
        return PsfFile(images, _plane_names(name, len(images)), None, header, labels=_counted(len(images)))
    labels = tuple(extension or str(number) for number, extension in numbers.items())
    names = tuple(f"{name}[{number}]" for number in numbers)
    stacked = [read_cube(image)[0][0] for image in names]
    shapes = {image.shape for image in stacked}
    if len(shapes) > 1:
        raise InputError(f"{name}: its images have different shapes; expected PSFs of one shape. Name the extension.")
    return PsfFile(np.stack(stacked), names, None, read_cube(names[0])[1], labels=labels)


def _counted(count: int) -> tuple[str, ...]:
    return tuple(str(k) for k in range(1, count + 1))


def _plane_names(name: str, count: int) -> tuple[str, ...]:
    """Return the names of the planes of a cube as a user writes them."""
    path, extension = split_extension(name)
    selected = f"{path}[{extension}]" if extension else path
    return tuple(f"{selected}[*,*,{k}]" for k in range(1, count + 1)) if count > 1 else (name,)


def read_psf_file(name: str) -> PsfFile:
    """Return the PSFs of a file, in any of the known formats.

    These are one image; a cube whose header has the places of an STDPSF, STPSF or SPHEREx file; a cube and a table with
    a row for each PSF and the columns ra, dec (degrees) or x, y; and the table of PSFEx. A cube without places is
    returned without.

    Raises
    ------
    InputError
        The file is missing or damaged, has no image, or says about the places what cannot be.
    """
    polynomial = _psfex(name)
    if polynomial is not None:
        return polynomial
    images, header = read_cube(name)
    if len(images) == 1:
        return PsfFile(images, (name,), None, header)
    names = _plane_names(name, len(images))
    for read in (_stdpsf, _stpsf, _spherex, _positions):
        found = read(name, images, names, header)
        if found is not None:
            return found
    return PsfFile(images, names, None, header)


def read_placed_psfs(name: str) -> PsfFile:
    """Return the PSFs of a file that says where they hold, or its only one.

    Raises
    ------
    InputError
        The file holds several PSFs and no places, or it is not usable.
    """
    file = read_psf_file(name)
    if file.places is None and len(file.images) > 1:
        raise InputError(
            f"{name} has {len(file.images)} planes of {file.images.shape[2]} x {file.images.shape[1]} pixels, and "
            "nothing says where in the image each of them holds; expected the polygons of each, psf: {file:, "
            f"polygons:}}, a table of positions in the file, or one plane, {file.names[0]}."
        )
    return file


def _stdpsf(name: str, images: np.ndarray, names: tuple[str, ...], header: Mapping[str, object]) -> PsfFile | None:
    """Read an STDPSF file: NXPSFS × NYPSFS PSFs at IPSFX01 … and JPSFY01 …, the rows one after the other."""
    if not {"NXPSFS", "NYPSFS"} <= header.keys():
        return None
    nx, ny = (_whole_number(header, key, name) for key in ("NXPSFS", "NYPSFS"))
    if len(images) in SEVERAL_DETECTORS or "IPSFXA5" in header:
        raise InputError(
            f"{name} holds the PSFs of several detectors ({nx} x {ny}): expected those of the image's own detector. "
            "Write these into a file of their own, with positions in its pixels."
        )
    if nx * ny != len(images):
        raise InputError(f"{name} holds {len(images)} PSFs, and NXPSFS x NYPSFS are {nx} x {ny}. Correct the header.")
    x, y = (
        np.array([needed_number(header, f"{key}{k:02d}", name) for k in range(1, count + 1)])
        for key, count in (("IPSFX", nx), ("JPSFY", ny))
    )
    if (np.diff(x) <= 0).any() or (np.diff(y) <= 0).any():
        raise InputError(f"{name}: IPSFX01 … and JPSFY01 … do not ascend. Correct the header.")
    return PsfFile(images, names, Grid(x, y), header, STDPSF_SAMPLING)


def _stpsf(name: str, images: np.ndarray, names: tuple[str, ...], header: Mapping[str, object]) -> PsfFile | None:
    """Read a grid of STPSF (WebbPSF): DET_YX0 = '(y, x)' is the 0-based pixel of the first PSF, in any order."""
    if "DET_YX0" not in header:
        return None
    positions = np.array([_pair(header, f"DET_YX{k}", name) for k in range(len(images))])
    y, x = np.unique(positions[:, 0]), np.unique(positions[:, 1])
    order = np.lexsort((positions[:, 1], positions[:, 0]))
    if y.size * x.size != len(images) or len(np.unique(positions, axis=0)) != len(images):
        raise InputError(f"{name}: the positions DET_YX0 … do not form a rectangular grid. Correct the header.")
    sampling = needed_number(header, "OVERSAMP", name)
    return PsfFile(images[order], tuple(names[k] for k in order), Grid(x + 1.0, y + 1.0), header, sampling)


def _spherex(name: str, images: np.ndarray, names: tuple[str, ...], header: Mapping[str, object]) -> PsfFile | None:
    """Read the PSF extension of a SPHEREx image: the centres of the zones in XCTR_1, YCTR_1 …, 1-based."""
    if "XCTR_1" not in header:
        return None
    x, y = (
        np.array([needed_number(header, f"{key}_{k}", name) for k in range(1, len(images) + 1)])
        for key in ("XCTR", "YCTR")
    )
    if _has_exchanged_zones(name, header):
        log.warning("%s: this version of the SPHEREx pipeline exchanged rows and columns of the zones in the header of "
                    "its PSFs; they are corrected.", name)  # fmt: skip
        x, y = y, x
    return PsfFile(
        images, names, Points("detector", np.column_stack([x, y])), header, needed_number(header, "OVERSAMP", name)
    )


def _has_exchanged_zones(name: str, header: Mapping[str, object]) -> bool:
    """Return whether a SPHEREx file is older than the correction of its header.

    Raises
    ------
    InputError
        The file does not say which version made it.
    """
    version = str(header["VERSION"] if "VERSION" in header else _card_of_other_extension(name, "VERSION"))
    found = re.match(r"\D{0,3}(\d+)\.(\d+)(?:\.(\d+))?", version)
    if found is None:
        raise InputError(
            f"{name} does not say by which version of the SPHEREx pipeline it was made (VERSION); expected it in the "
            "header, because those before 6.5.6 exchange rows and columns of the PSFs. Give the original file."
        )
    number = tuple(int(part or 0) for part in found.groups())
    return number < SPHEREX_MENDED and "+psffix" not in version.lower()


def _card_of_other_extension(name: str, key: str) -> object:
    """Return a card that any extension of a file has, or an empty text."""
    with open_fits(split_extension(name)[0]) as fits:
        return next((header[key] for hdu in fits if key in (header := read_cards(hdu))), "")


def _positions(name: str, images: np.ndarray, names: tuple[str, ...], header: Mapping[str, object]) -> PsfFile | None:
    """Read a cube with a table of positions in the same file."""
    for frame, values in _position_tables(split_extension(name)[0]):
        if len(values) != len(images):
            raise InputError(
                f"{name} holds {len(images)} PSFs, and its table of positions {len(values)} rows; expected one for "
                "each. Correct the table."
            )
        if not np.isfinite(values).all():
            raise InputError(f"{name}: the table of positions has values that are not finite. Correct the table.")
        return PsfFile(images, names, Points(frame, values), header)
    return None


def _position_tables(path: str) -> Iterator[tuple[str, np.ndarray]]:
    """Yield frame and positions of every table that has the columns of positions."""
    for table in _tables(path):
        columns = {column.lower(): column for column in table.dtype.names or ()}
        for frame, pair in zip(("sky", "pixel"), TABLE_POSITIONS, strict=True):
            if set(pair) <= columns.keys():
                yield frame, np.column_stack([np.asarray(table[columns[key]], dtype=float) for key in pair])
                break


def _tables(path: str) -> Iterator[np.ndarray]:
    with open_fits(path) as fits:
        for hdu in fits:
            if hdu.get_exttype() == "BINARY_TBL" and hdu.get_nrows():
                yield hdu.read()


def _psfex(name: str) -> PsfFile | None:
    """Read the table of PSFEx: PSF_MASK holds the coefficients of a polynomial, POLNAME1 and others describe it."""
    path, _ = split_extension(name)
    try:
        with open_fits(path) as fits:
            hdus = [hdu for hdu in fits if isinstance(hdu, fitsio.hdu.TableHDU)]
            found = next((hdu for hdu in hdus if "PSF_MASK" in map(str.upper, hdu.get_colnames())), None)
            if found is None:
                return None
            header = read_cards(found)
            images = np.asarray(found.read()[0]["PSF_MASK"], dtype=np.float64)
    except (OSError, UnicodeDecodeError):
        return None  # the reader of images says what is wrong
    sides = [_whole_number(header, f"PSFAXIS{axis}", name) for axis in (1, 2)]
    images = images.reshape(-1, sides[1], sides[0])
    places = _psfex_polynomial(header, len(images), name)
    sampling = 1.0 / needed_number(header, "PSF_SAMP", name)
    return PsfFile(images, tuple(f"{path}, term {k}" for k in range(len(images))), places, header, sampling)


def _psfex_polynomial(header: Mapping[str, object], terms: int, name: str) -> Polynomial | None:
    """Return the polynomial of a PSFEx file; None for a PSF that is the same everywhere."""
    axes = _whole_number(header, "POLNAXIS", name) if "POLNAXIS" in header else 0
    if terms == 1:
        return None
    variables = [str(header.get(f"POLNAME{axis}", "")).strip() for axis in range(1, axes + 1)]
    positions = [f"{'XY'[k]}…IMAGE" for k, v in enumerate(variables[:2]) if v[:1] == "XY"[k] and v.endswith("IMAGE")]
    if axes != 2 or len(positions) != 2 or header.get("POLNGRP", 1) != 1:
        raise InputError(
            f"{name}: its PSF depends on {', '.join(variables) or 'nothing that is named'}; expected the position on "
            "the image, X_IMAGE and Y_IMAGE. Run PSFEx with these as PSFVAR_KEYS, in one group."
        )
    degree = _whole_number(header, "POLDEG1", name)
    if terms != (degree + 1) * (degree + 2) // 2:
        raise InputError(f"{name} has {terms} coefficients for a polynomial of degree {degree}: the file is damaged.")
    zero, scale = (
        (needed_number(header, f"{key}1", name), needed_number(header, f"{key}2", name))
        for key in ("POLZERO", "POLSCAL")
    )
    return Polynomial(degree, zero, scale)


def _whole_number(header: Mapping[str, object], key: str, name: str) -> int:
    return int(needed_number(header, key, name))


def _pair(header: Mapping[str, object], key: str, name: str) -> tuple[float, float]:
    """Return the two numbers of a card such as '(1023.0, 4.0)'."""
    words = str(header.get(key, "")).strip().removeprefix("(").removesuffix(")").split(",")
    try:
        first, second = map(float, words)
    except ValueError as error:
        raise InputError(
            f"{name}: its header has {key} = {header.get(key)!r}; expected (y, x). Correct the header."
        ) from error
    return first, second
