"""Names of images in files: `image.fits[SCI,2]`, `cube.fits[DATA][*,*,3]`."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from ..core.errors import InputError

_WITH_EXTENSION = re.compile(r"^(?P<path>.*?)(?P<selection>(?:\[[^\[\]]+\]){0,2})$")
_PLANE = re.compile(r"\*\s*,\s*\*\s*,\s*(\d+)")


def split_extension(name: str) -> tuple[str, str | None]:
    """Split `image.fits[SCI]` into the path and what selects the image, which is None if it is not given.

    That is the name or number of an extension, with its version as in `[SCI,2]`, and the plane of a cube as in
    `[SCI][*,*,3]` or `[*,*,3]`. Brackets before the end belong to the path.
    """
    match = _WITH_EXTENSION.match(str(name))
    assert match is not None
    return match["path"], match["selection"][1:-1] if match["selection"] else None


@dataclass(frozen=True)
class Selection:
    """What selects an image in a file.

    Parameters
    ----------
    key : int, str, (str, int) or None
        Number, name, or name and version of the extension; None for the first image.
    plane : int or None
        Number of the plane of a cube, from 1.
    """

    key: int | str | tuple[str, int] | None = None
    plane: int | None = None

    @classmethod
    def parse(cls, text: str | None) -> Selection:
        """Return the selection of a text as from `split_extension`."""
        key: int | str | tuple[str, int] | None = None
        plane = None
        for part in text.split("][") if text else []:
            section = _PLANE.fullmatch(part)
            if section:
                plane = int(section[1])
                continue
            word, comma, version = (piece.strip() for piece in part.partition(","))
            numbered = comma and version.isdigit()
            key = int(part) if part.isdigit() else (word, int(version)) if numbered else part
            if word.upper() == "PRIMARY":  # as Astropy and CFITSIO call it, though its header has no EXTNAME
                key = 0
        return cls(key, plane)

    def plane_index(self, shape: tuple[int, ...], name: str) -> tuple[int, ...]:
        """Return the index of the plane in an array of `shape`, empty for an image of two dimensions.

        Parameters
        ----------
        shape : tuple of int
            Axes of length 1 before the last two do not count.
        name : str
            Name of the file for error messages.

        Raises
        ------
        InputError
            The shape is that of a cube and no plane is selected, or there is no such plane.
        """
        if len(shape) < 2:
            found = "no pixels" if not shape else "one dimension"
            raise InputError(f"{name} has {found}; expected a two-dimensional image. Give another extension.")
        planes, (ny, nx) = math.prod(shape[:-2]), shape[-2:]
        if self.plane is None and planes == 1:
            return (0,) * (len(shape) - 2)
        if self.plane is None or len(shape) != 3 or not 1 <= self.plane <= planes:
            raise InputError(
                f"{name} has {planes} planes of {nx} x {ny} pixels; expected an image. Name a plane from 1 to "
                f"{planes}: {split_extension(name)[0]}[EXT][*,*,1], or without [EXT] in the first cube of the file."
            )
        return (self.plane - 1,)


def known_extensions(names: Iterable[tuple[str, int]]) -> str:
    """Return the extensions of a file as a user names them, `[0], [SCI,1], [SCI,2]`: by name, or else by number.

    Parameters
    ----------
    names : iterable of (str, int)
        Name, empty without one, and version of each extension.
    """
    names = list(names)
    often = {name for name, number in Counter(name for name, _ in names).items() if number > 1}
    return ", ".join(
        f"[{name},{version}]" if name and name in often else f"[{name or number}]"
        for number, (name, version) in enumerate(names)
    )
