"""Zero points that contradict the headers of the images: only a warning, since headers may be out of date."""

from __future__ import annotations

from ..core.errors import UnblendError
from ..io.header_zero_point import HeaderZeroPoint
from .config import Band
from .inputs import FieldInputs

AGREEMENT_MAG = 0.1
"""Zero points that differ by less agree: calibrations are updated by a few per cent."""


def unit_warnings(bands: list[Band], inputs: FieldInputs) -> dict[str, str]:
    """Return a sentence for every band whose zero point contradicts the header of its image.

    Parameters
    ----------
    bands : list of Band
        Bands without a zero point, and those whose image is not there yet or has no such header, are left out.
    inputs : FieldInputs
    """
    found = {band.name: _unit_warning(band, inputs) for band in bands}
    return {name: sentence for name, sentence in found.items() if sentence is not None}


def _unit_warning(band: Band, inputs: FieldInputs) -> str | None:
    if band.zero_point is None or band.zero_point == "auto":
        return None
    image = inputs.image(band)
    try:
        other = _contradiction(inputs.provenance.zero_points(image), band.zero_point)
    except UnblendError:
        return None  # whoever reads the image says so
    if other is None:
        return None
    factor = 10.0 ** (0.4 * (other.value_ab - band.zero_point))
    return (
        f"bands.{band.name}: the header of {image} has {other.source}, an AB zero point of {other.value_ab:.2f}; "
        f"zero_point is {band.zero_point:g}, so that fluxes in microjansky are {factor:.3g} times those of the header. "
        "Correct zero_point, unless the header is wrong."
    )


def _contradiction(found: list[HeaderZeroPoint], zero_point_ab: float) -> HeaderZeroPoint | None:
    """Return the first zero point of a header, if none of them agrees with another one; None if one does.

    The unit of the pixels is decisive: a magnitude beside it may have been left by an earlier step.
    """
    decisive = found[:1] if found and found[0].source.startswith("BUNIT") else found
    if any(abs(each.value_ab - zero_point_ab) < AGREEMENT_MAG for each in decisive):
        return None
    return found[0] if found else None
