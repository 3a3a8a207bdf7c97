"""What is wrong with the pixels of weight maps, and what the maps are, for `./unblend check`: it reads every map."""

from __future__ import annotations

import numpy as np

from ..io.images import read_array
from .band_descriptions import describe_bands
from .jobs import Jobs


def describe_weights(jobs: Jobs) -> tuple[list[str], list[str]]:
    """Return one line on the weight map of each band whose image is there, and what the maps warn of.

    The line says the kind of the map and the part without data; a warning says that the image contradicts it.

    Raises
    ------
    InputError
        With every map that cannot be used on a line of its own, as the jobs of the bands would refuse it.
    """
    from ..field.weight_maps import checked_weight

    warnings: list[str] = []

    def line(name: str) -> str | None:
        band = jobs.config.bands[name]
        weight = jobs.inputs.weight(band)
        if weight is None:
            return None
        found = checked_weight(weight, read_array(jobs.inputs.image(band)), name, warn=warnings.append)
        scaled = ", scaled to the scatter of the pixels" if weight["kind"] == "weight" else ""
        no_data = np.mean(found == 0)
        return f"bands.{name}.weight: {weight['file']}, read as {weight['kind']}{scaled}; {no_data:.0%} without data"

    return describe_bands(jobs, line, "the weight maps"), warnings
