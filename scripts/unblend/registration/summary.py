"""What astrometry.json says of a search and of the offsets of bright sources: plain numbers, in arcsec."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..core.errors import ShiftError
from .band_shift import Registration
from .shift_search import Offsets, ShiftSearch, common_shift, recommend


def describe_search(band: Registration, found: ShiftSearch, references: list[int]) -> dict[str, Any]:
    """Return the grid search in arcsec; chi2 has rows along Y, columns along X."""
    return {
        "references": references,
        "best_shift_arcsec": list(band.to_arcsec(found.shift)),
        "error_arcsec": [abs(e) for e in band.to_arcsec(found.error)],
        "offsets_arcsec": [float(o * band.scale_x) for o in found.offsets],
        "chi2": np.round(found.chi2, 3).tolist(),
        "pixels": found.pixels,
    }


def describe_offsets(band: Registration, offsets: Offsets | None, present: tuple[float, float]) -> dict[str, Any]:
    """Return the offsets of the bright sources from their models, in arcsec, and what they recommend."""
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
