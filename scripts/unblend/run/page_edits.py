"""Edits drawn on the page of a field: the files they belong into, and what these files say then.

Regions are appended as lines of their own, on the sky; nothing else in a file changes, and a file is first copied to
the same name with a `~`. DS9 and a text editor see the same files.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..core.coordinates import pixel_to_sky, sky_to_pixel
from ..core.errors import InputError
from ..core.types import Region
from ..fits.overrides import parse_override
from ..images.masks import circles
from ..images.sky_regions import sky_circle
from ..io.files import read_text, write_text
from ..io.images import read_wcs
from ..io.regions import parse_regions, region_text

if TYPE_CHECKING:
    from astropy.wcs import WCS

    from ..plan.jobs import Jobs

STACK = "stack"
"""Name of the detection image on the page; the others are those of the bands."""
AREAS = ("circle", "polygon")
"""Shapes that can be drawn."""
MIN_VERTICES = 3
"""Fewest vertices of a polygon."""
START = "n 1 fixed\n"
"""What an override begins with on the page."""
_SKY_FRAMES = ("icrs", "fk5")


@dataclass(frozen=True)
class EditableFile:
    """A region file that can be edited on the page.

    Parameters
    ----------
    key : str
        Its name in requests.
    title : str
        What its regions do.
    path : Path
    panel : str
        The image on which its regions are drawn: `STACK` or a band.
    kinds : tuple of str
        Shapes that it may have, of `AREAS`.
    """

    key: str
    title: str
    path: Path
    panel: str
    kinds: tuple[str, ...] = AREAS


def editable_files(jobs: Jobs) -> dict[str, EditableFile]:
    """Return the region files of a field that can be edited on the page, by key."""
    inputs, config = jobs.inputs, jobs.config
    named: list[tuple[str, str, str, str, tuple[str, ...]]] = [
        ("merge", "merge segments", config.detection.merge_regions, STACK, AREAS),
        ("manual", "new source", config.detection.manual_regions, STACK, AREAS),
        ("fits-bad", "bad pixels of the fits", config.models.bad_regions, STACK, AREAS),
    ]
    for name, band in config.bands.items():
        named.append((f"bad:{name}", f"bad pixels of {name}", inputs.bad_regions(band), name, AREAS))
        empty = inputs.sim_regions(band) or f"{name}-sim.reg"
        named.append((f"sim:{name}", f"empty sky of {name} for the Monte Carlo", empty, name, AREAS[:1]))
    return {
        key: EditableFile(key, title, Path(inputs.path(file)), panel, kinds) for key, title, file, panel, kinds in named
    }


def wcs_of_panel(jobs: Jobs, panel: str) -> WCS:
    """Return the world coordinates of the detection image or of a band."""
    if panel == STACK:
        return read_wcs(str(jobs.results / "det_stack.fits"))
    return read_wcs(jobs.inputs.image(jobs.config.bands[panel]))


def region_line(wcs: WCS, shape: Mapping[str, Any], kinds: Sequence[str]) -> str:
    """Return the line of a region file for a shape drawn on an image.

    Parameters
    ----------
    wcs : WCS
        Of the image.
    shape : mapping
        `kind`: circle, with `centre` (y, x) and `radius`, or polygon, with `points` (list of (y, x)); 0-based pixels.
    kinds : sequence of str
        Shapes that the file may have.

    Raises
    ------
    InputError
        The shape is none of these, or has no area.
    """
    kind = shape.get("kind")
    if kind not in kinds:
        raise InputError(f"expected one of {', '.join(kinds)}, found {kind!r}.")
    if kind == "circle":
        (y, x), radius = shape["centre"], float(shape["radius"])
        if not (radius > 0 and np.isfinite([y, x, radius]).all()):
            raise InputError(f"expected a circle with a radius above 0, found {radius:g}.")
        return region_text(sky_circle(wcs, float(y), float(x), radius))
    points = np.asarray(shape["points"], dtype=float).reshape(-1, 2)
    if len(points) < MIN_VERTICES or not np.isfinite(points).all():
        raise InputError(f"expected a polygon of {MIN_VERTICES} vertices or more, found {len(points)}.")
    ra, dec = pixel_to_sky(wcs, points[:, 0], points[:, 1])
    corners = tuple((float(a), float(d)) for a, d in zip(ra, dec, strict=True))
    return region_text(Region("polygon", "icrs", corners))


def describe_file(file: EditableFile, wcs: WCS) -> dict[str, Any]:
    """Return a file for the page: its lines with regions (number, text), and its circles and polygons in pixels."""
    text = read_text(file.path) if file.path.exists() else ""
    regions, _ = parse_regions(text, str(file.path))
    outlines: list[dict[str, Any]] = [
        {"kind": "circle", "centre": [y, x], "radius": r}
        for y, x, r in circles([r for r in regions if r.kind == "circle"], wcs)
    ]
    for region in regions:
        if region.kind == "polygon" and region.frame in (*_SKY_FRAMES, "image"):
            points = np.array(region.points)
            if region.frame in _SKY_FRAMES:
                points = np.column_stack(sky_to_pixel(wcs, points[:, 0], points[:, 1]))
            outlines.append({"kind": "polygon", "points": points.tolist()})
    lines = [[number, line] for number, line in enumerate(text.splitlines()) if "(" in line and line.lstrip()[0] != "#"]
    return {
        "key": file.key, "title": file.title, "path": str(file.path), "panel": file.panel, "kinds": file.kinds,
        "lines": lines, "outlines": outlines,
    }  # fmt: skip


def add_line(file: EditableFile, line: str) -> None:
    """Append a line to a region file, which is made if there is none."""
    old = read_text(file.path) if file.path.exists() else ""
    _write(file.path, old + ("" if not old or old.endswith("\n") else "\n") + line + "\n")


def remove_line(file: EditableFile, number: int, line: str) -> None:
    """Remove a line from a region file.

    Parameters
    ----------
    file : EditableFile
    number : int
        Of the line, from 0.
    line : str
        Its text, as the page has read it.

    Raises
    ------
    InputError
        The file does not have this line there (any more).
    """
    lines = read_text(file.path).splitlines() if file.path.exists() else []
    if not 0 <= number < len(lines) or lines[number] != line:
        raise InputError(f"{file.path} has changed: its line {number + 1} is no longer {line!r}. Load the page again.")
    del lines[number]
    _write(file.path, "".join(f"{kept}\n" for kept in lines))


def override_of(jobs: Jobs, source: int) -> tuple[Path, str]:
    """Return the override file of a source, and its text; the text to begin with where there is none."""
    path = Path(jobs.inputs.path(f"{jobs.config.models.overrides_dir}/{source}.dat"))
    return path, read_text(path) if path.exists() else START


def write_override(jobs: Jobs, source: int, text: str, before: str) -> None:
    """Write the override of a source; without text it is removed.

    Parameters
    ----------
    jobs : Jobs
    source : int
    text : str
    before : str
        Text of the file as the page has read it.

    Raises
    ------
    InputError
        The text cannot be understood, or the file has changed since the page has read it.
    """
    path, now = override_of(jobs, source)
    if path.exists() and now != before:
        raise InputError(f"{path} has changed since the page has read it. Load the page again.")
    if text.strip():
        parse_override(text, str(path))
        _write(path, text if text.endswith("\n") else text + "\n")
    elif path.exists():
        _keep(path)
        path.unlink()


def _write(path: Path, text: str) -> None:
    _keep(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, text)


def _keep(path: Path) -> None:
    """Copy a file to the same name with a ~, unless there is such a copy."""
    copy = path.with_name(path.name + "~")
    if path.exists() and not copy.exists():
        shutil.copy2(path, copy)
