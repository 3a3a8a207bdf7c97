"""Polygons with the PSF that holds in each: GeoJSON or DS9 regions."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..core.errors import InputError
from ..core.shown import shortened
from ..core.types import Region
from .files import read_text
from .regions import read_regions

INDEX = "psf_key"
"""Property of a GeoJSON polygon with the index of its PSF in the file of PSFs, from 0."""
JSON_ENDINGS = (".geojson", ".json")
MIN_CORNERS = 3


@dataclass(frozen=True)
class PsfPolygon:
    """One closed line around places that have the same PSF.

    Parameters
    ----------
    number : int
        Number of the polygon to which the line belongs: with others of the same number, inner lines are holes.
    psf : int
        Index of the PSF, from 0.
    line : Region
        A polygon.
    """

    number: int
    psf: int
    line: Region


def read_psf_polygons(path: str, labels: Sequence[str]) -> list[PsfPolygon]:
    """Return the polygons of a file.

    Parameters
    ----------
    path : str
        GeoJSON (`.geojson` or `.json`): Polygon and MultiPolygon features with positions (RA, Dec) in degrees, ICRS,
        and the property `psf_key`, the index of the PSF from 0, or its label as text. Anything else is a DS9 file:
        polygons in any coordinate system with the label of the PSF as their text.
    labels : sequence of str
        Label of each PSF: the number of its plane in a cube, from 1 as in cube.fits[*,*,1], or its extension.

    Raises
    ------
    InputError
        The file is missing or unreadable, has no polygon, or a polygon has no PSF.
    """
    if not Path(path).is_file():
        raise InputError(f"{path} does not exist; expected the polygons of the PSFs. Correct its name.")
    is_json = path.lower().endswith(JSON_ENDINGS)
    found = list(_geojson(path, labels) if is_json else _ds9(path, labels))
    if not found:
        raise InputError(f"{path} has no polygon; expected one or more for each PSF. Give another file.")
    return found


def _geojson(path: str, labels: Sequence[str]) -> Iterator[PsfPolygon]:
    try:
        features = json.loads(read_text(Path(path)))["features"]
        parts = [(k, f["properties"] or {}, _rings(f["geometry"])) for k, f in enumerate(features, 1)]
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{path} is not a GeoJSON file with polygons: expected a FeatureCollection of Polygon or MultiPolygon "
            "features. Write it again."
        ) from error
    number = 0
    for feature, properties, polygons in parts:
        key = properties.get(INDEX)
        index = labels.index(key) if key in labels else key
        if isinstance(index, bool) or not isinstance(index, int) or not 0 <= index < len(labels):
            raise InputError(
                f"{path}: feature {feature} has {INDEX} = {key!r}; expected the index of one of the {len(labels)} "
                f"PSFs, from 0 to {len(labels) - 1}, or one of the texts {shortened(', '.join(labels))}. Correct it."
            )
        for rings in polygons:
            for ring in rings:
                yield PsfPolygon(number, index, _polygon(ring, f"{path}: feature {feature}"))
            number += 1


def _rings(geometry: dict[str, Any]) -> list[Any]:
    """Return the rings of each polygon of a geometry."""
    if geometry["type"] not in ("Polygon", "MultiPolygon"):
        raise ValueError(geometry["type"])
    return [geometry["coordinates"]] if geometry["type"] == "Polygon" else list(geometry["coordinates"])


def _polygon(ring: Sequence[Sequence[float]], where: str) -> Region:
    """Return a ring of positions as a polygon, without the repetition of its first position."""
    try:
        points = [(float(position[0]) % 360.0, float(position[1])) for position in ring]
    except (TypeError, ValueError, IndexError) as error:
        raise InputError(f"{where}: expected positions [RA, Dec] in degrees. Correct the coordinates.") from error
    points = points[:-1] if len(points) > 1 and points[0] == points[-1] else points
    if len(points) < MIN_CORNERS or any(abs(dec) > 90.0 for _, dec in points):
        raise InputError(f"{where}: expected at least {MIN_CORNERS} positions on the sky. Correct the coordinates.")
    return Region("polygon", "icrs", tuple(points))


def _ds9(path: str, labels: Sequence[str]) -> Iterator[PsfPolygon]:
    for number, region in enumerate(read_regions(path)):
        if region.kind != "polygon" or not region.include:
            raise InputError(
                f"{path}, line {region.line}: expected polygons, found {'' if region.include else '-'}{region.kind}. "
                "Draw a polygon with the number of its PSF as text."
            )
        text = region.text.strip()
        if text not in labels:
            raise InputError(
                f"{path}, line {region.line}: the text of the polygon is {text!r}; expected its PSF, one of "
                f"{shortened(', '.join(labels))}. Correct the text."
            )
        yield PsfPolygon(number, labels.index(text), region)
