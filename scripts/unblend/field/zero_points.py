"""The zero point of each band: the number that the user gave, or what the header of the image states."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from ..core.errors import InputError
from ..io.header_zero_point import read_zero_point

log = logging.getLogger(__name__)


def adopted_zero_point(band: str, record: Mapping[str, Any]) -> tuple[float | None, str]:
    """Return the AB magnitude of one image unit of a band, and what it is from; None for a band without magnitudes.

    Where the header of an image states none, which for an image from the network is found out only now, the band has
    no magnitudes, and a warning says why.

    Parameters
    ----------
    band : str
    record : mapping
        `zero_point_ab`: a number, None or "auto"; with "auto" also `image` (`file`) and `wavelength_um`.
    """
    given = record["zero_point_ab"]
    if given != "auto":
        return given, "" if given is None else "config.yaml"
    try:
        found = read_zero_point(record["image"]["file"], wavelength_um=record["wavelength_um"])
    except InputError as error:
        log.warning("%s: no magnitudes and no fluxes in microjansky: %s", band, error)
        return None, ""
    log.log(logging.WARNING if found.doubt else logging.INFO, "%s: zero point %s", band, found)
    return found.value_ab, found.source
