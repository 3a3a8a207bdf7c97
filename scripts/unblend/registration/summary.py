"""The results of a shift search and the offsets of bright sources as the numbers of astrometry.json, in arcsec."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..core.errors import ShiftError
from .band_shift import Registration
from .offsets import Offsets, common_shift, recommend
from .shift_search import ShiftSearch


def describe_search(band: Registration, found: ShiftSearch, references: list[int]) -> dict[str, Any]:
    """Return the result of the grid search in arcsec.

    Parameters
    ----------
    band : Registration
    found : ShiftSearch
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


def describe_offsets(band: Registration, offsets: Offsets | None, present: tuple[float, float]) -> dict[str, Any]:
    """Return the offsets of the bright sources from their models in arcsec, their common shift, and a recommendation.

    Parameters
    ----------
    band : Registration
    offsets : Offsets or None
        None if there is no bright source.
    present : (x, y)
        Arcsec: shift at which the offsets were measured.

    Returns
    -------
    dict
        With None for everything that could not be measured.
    """
    if offsets is None:
        return {"offsets": None, "common": None, "recommendation": None}
    listed = {"id": offsets.ids.tolist(), "snr": offsets.snr.tolist()}
    for name, scale in (("dy", band.scale_y), ("dx", band.scale_x)):
        listed[f"{name}_arcsec"] = (getattr(offsets, name) * scale).tolist()
        listed[f"err_{name}_arcsec"] = (getattr(offsets, f"err_{name}") * scale).tolist()
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
        "recommendation": recommend(common, (band.scale_y, band.scale_x), present),
    }
