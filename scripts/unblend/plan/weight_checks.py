"""What is wrong with the pixels of weight maps, and what the maps are, for `./unblend check`: it reads every map."""

from __future__ import annotations

import numpy as np

from ..core.errors import InputError, UnblendError
from ..io.images import read_array
from .jobs import Jobs


def describe_weights(jobs: Jobs) -> list[str]:
    """Return one line on the weight map of each band whose image is there: its kind, and the part without data.

    Raises
    ------
    InputError
        With every map that cannot be used on a line of its own, as the jobs of the bands would refuse it.
    """
    from ..field.weight_maps import checked_weight

    lines, mistakes = [], []
    for name, band in jobs.config.bands.items():
        weight = jobs.inputs.weight(band)
        if weight is None or band.mosaic is not None:
            continue
        try:
            found = checked_weight(weight, read_array(jobs.inputs.image(band)), name)
        except UnblendError as error:
            mistakes.append(str(error))
            continue
        lines.append(
            f"bands.{name}.weight: {weight['file']}, read as {weight['kind']}; {np.mean(found == 0):.0%} without data"
        )
    if mistakes:
        raise InputError("the weight maps have mistakes:\n  " + "\n  ".join(mistakes))
    return lines
