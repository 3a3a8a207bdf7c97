"""The results of a shift search and the offsets of bright sources as the numbers of astrometry.json, in arcsec."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..core.errors import ShiftError
from .band_shift import Registration
from .offsets import MIN_SHIFT_PIXELS, Offsets, common_shift, recommend
from .shift_field_fit import FittedField, fit_shift_field, with_field
from .shift_search import GridSearchResult


def describe_search(band: Registration, found: GridSearchResult, references: list[int]) -> dict[str, Any]:
    """Return the result of the grid search in arcsec.

    Parameters
    ----------
    band : Registration
    found : GridSearchResult
        In pixels of the band.
    references : list of int
        IDs of the references that were used.

    Returns
    -------
    dict
        Shifts and errors are along X, Y; chi2 has rows along Y and columns along X.
    """
    return {
        "references": references,
        "best_shift_arcsec": list(band.to_arcsec(found.shift)),
        "error_arcsec": [abs(e) for e in band.to_arcsec(found.error)],
        "offsets_arcsec": [float(o * band.scale_x) for o in found.offsets],
        "chi2": np.round(found.chi2, 3).tolist(),
        "pixels": found.pixels,
    }


def describe_offsets(
    band: Registration, offsets: Offsets | None, present: tuple[float, float], points: Offsets | None = None
) -> dict[str, Any]:
    """Return the offsets of the bright sources from their models in arcsec, their common shift, and a recommendation.

    Parameters
    ----------
    band : Registration
    offsets : Offsets or None
        None if there is no bright source.
    present : (x, y)
        Arcsec: shift at which the offsets were measured.
    points : Offsets, optional
        Those of point sources, which are listed after the others and count for no shift.

    Returns
    -------
    dict
        With None for everything that could not be measured. Where the band has a field of shifts, the offsets are those
        that are left with it, and its shift at every source is beside them.
    """
    if offsets is None:
        return {"offsets": None, "common": None, "recommendation": None}
    listed = _listed(band, offsets)
    if points is not None:
        more = _listed(band, points)
        listed = {name: values + more[name] for name, values in listed.items()}
    try:
        common = common_shift(offsets)
    except ShiftError:
        return {"offsets": listed, "common": None, "recommendation": None}
    return {
        "offsets": listed,
        "common": {
            "offset_arcsec": list(band.to_arcsec(common.shift)),
            "error_arcsec": list(band.to_arcsec(common.error)),
            "used": common.used,
        },
        "recommendation": _recommend_field(band, offsets) or recommend(common, (band.scale_y, band.scale_x), present),
    }


def _listed(band: Registration, offsets: Offsets) -> dict[str, list[float]]:
    """Return offsets in arcsec, and the shift of the band's field at every source."""
    listed = {"id": offsets.ids.tolist(), "snr": offsets.snr.tolist()}
    for name, scale in (("dy", band.scale_y), ("dx", band.scale_x)):
        listed[f"{name}_arcsec"] = (getattr(offsets, name) * scale).tolist()
        listed[f"err_{name}_arcsec"] = (getattr(offsets, f"err_{name}") * scale).tolist()
    if band.shift_field is not None:
        whole = with_field(band, offsets)[0]
        listed["field_dy_arcsec"] = ((whole.dy - offsets.dy) * band.scale_y).tolist()
        listed["field_dx_arcsec"] = ((whole.dx - offsets.dx) * band.scale_x).tolist()
    return listed


def joined_offsets(
    listed: Sequence[tuple[int, Mapping[str, list[float]]]], owner: Mapping[int, int], scales: tuple[float, float],
    present: tuple[float, float],
) -> dict[str, Any]:  # fmt: skip
    """Return the offsets of the bright sources of all tiles of a band as `describe_offsets` returns those of one.

    Parameters
    ----------
    listed : sequence of (tile, offsets)
        Index of a tile and its offsets as in astrometry.json.
    owner : mapping of ID to int
        Index of the tile that owns a source.
    scales : (y, x)
        Pixels of the band in arcsec.
    present : (x, y)
        Arcsec: shift at which the offsets were measured.
    """
    rows = [
        row
        for k, offsets in listed
        for row in (dict(zip(offsets, values, strict=True)) for values in zip(*offsets.values(), strict=True))
        if owner.get(int(row["id"])) == k
    ]
    if not rows:
        return {"offsets": None, "common": None, "recommendation": None}
    rows.sort(key=lambda row: -row["snr"])
    column = {name: np.array([row[name] for row in rows]) for name in rows[0]}
    dy, dx = column["dy_arcsec"] / scales[0], column["dx_arcsec"] / scales[1]
    err_dy, err_dx = column["err_dy_arcsec"] / scales[0], column["err_dx_arcsec"] / scales[1]
    offsets = {name: values.tolist() for name, values in column.items()}
    try:
        common = common_shift(Offsets(column["id"].astype(int), dy, dx, err_dy, err_dx, column["snr"]))
    except ShiftError:
        return {"offsets": offsets, "common": None, "recommendation": None}
    in_arcsec = {"offset_arcsec": common.shift, "error_arcsec": common.error}
    described = {name: [pair[1] * scales[1], pair[0] * scales[0]] for name, pair in in_arcsec.items()}
    return {
        "offsets": offsets,
        "common": {**described, "used": common.used},
        "recommendation": recommend(common, scales, present),
    }


def shift_error(described: Mapping[str, Any]) -> list[float] | None:
    """Return the error of a measured shift along X, Y in arcsec; None where it is not known.

    It is that of the mean offset of the bright sources, which includes their scatter, and the offset itself: it is
    zero unless the shift of the grid search was kept in place of that of the sources. Without bright sources it is the
    error of the grid search.

    Parameters
    ----------
    described : mapping
        `common` and `grid`, as in astrometry.json.
    """
    common, grid = described["common"], described["grid"]
    if common is not None:
        return [float(value) for value in np.hypot(common["error_arcsec"], common["offset_arcsec"])]
    return None if grid is None else list(grid["error_arcsec"])


def describe_shift_field(band: Registration, found: FittedField | None) -> dict[str, Any] | None:
    """Return a field of shifts: its polynomial in pixels (see `ShiftField`), and how well it fits the sources.

    Parameters
    ----------
    band : Registration
    found : FittedField or None
        None where the shift is the same everywhere.
    """
    if found is None:
        return None
    return {
        **found.field.as_json(),
        "scatter_arcsec": list(band.to_arcsec(found.scatter)),
        "used": found.used,
        "outliers": sorted(found.outliers),
        "prediction_sigma": {str(order): round(value, 3) for order, value in found.prediction.items()},
    }


def _recommend_field(band: Registration, offsets: Offsets) -> str | None:
    """Return a sentence that recommends a field of shifts; None where the band has one, or needs none."""
    found = varying_offsets(band, offsets)
    if found is None or np.hypot(*found.spans) <= MIN_SHIFT_PIXELS:
        return None
    return f"The {found.describe(band)}: set shift: {{field: auto}}."


@dataclass(frozen=True)
class VaryingOffsets:
    """Offsets of bright sources that change over the image.

    Parameters
    ----------
    spans : (dy, dx)
        Largest less smallest offset by the fitted field, pixels.
    used : int
        Number of sources.
    """

    spans: tuple[float, float]
    used: int

    def describe(self, band: Registration) -> str:
        """Return in words by how much the offsets change."""
        x, y = (abs(span) for span in band.to_arcsec(self.spans))
        return (
            f"offsets of {self.used} bright sources from their models change over the image, by {x:.3f} arcsec along "
            f"image X and {y:.3f} arcsec along image Y"
        )


def varying_offsets(band: Registration, offsets: Offsets) -> VaryingOffsets | None:
    """Return how the offsets of bright sources change over the image; None where the band has a field, or needs none.

    Raises
    ------
    ShiftError
        If no source is bright enough.
    """
    if band.shift_field is not None:
        return None
    offsets, y, x = with_field(band, offsets)
    found = fit_shift_field(offsets, y, x)
    if not found.field.order:
        return None
    shifts = np.array([found.field.at(*place) for place in zip(y, x, strict=True) if np.isfinite(place).all()])
    dy, dx = np.ptp(shifts, axis=0)
    return VaryingOffsets((float(dy), float(dx)), found.used)
