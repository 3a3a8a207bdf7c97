"""Zero points that contradict the headers of the images: only a warning, since headers may be out of date."""

from __future__ import annotations

from ..core.errors import UnblendError
from ..core.header_units import contradiction
from .config import Band
from .inputs import FieldInputs


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
        other = contradiction(inputs.provenance.zero_points(image), band.zero_point)
    except UnblendError:
        return None  # whoever reads the image says so
    if other is None:
        return None
    factor = 10.0 ** (0.4 * (other.zero_point_ab - band.zero_point))
    return (
        f"bands.{band.name}: the header of {image} has {other.cards}, an AB zero point of {other.zero_point_ab:.2f}; "
        f"zero_point is {band.zero_point:g}, so that fluxes in microjansky are {factor:.3g} times those of the header. "
        "Correct zero_point, unless the header is wrong."
    )
