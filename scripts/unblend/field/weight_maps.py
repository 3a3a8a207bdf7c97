"""Weight maps of any kind, read as inverse variance."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ..core.errors import InputError
from ..io.images import read_array


def read_weight(weight: Mapping[str, str], shape: tuple[int, ...]) -> np.ndarray:
    """Return a weight map as inverse variance; 0 where it is not finite or not positive.

    Parameters
    ----------
    weight : mapping
        `file` and `kind` (rms, variance or weight) of the map.
    shape : (ny, nx)
        Shape of the image.

    Raises
    ------
    InputError
        The map and the image have different shapes.
    """
    values = read_array(weight["file"])
    if values.shape != shape:
        raise InputError(
            f"{weight['file']} has {values.shape[1]} x {values.shape[0]} pixels and its image {shape[1]} x {shape[0]}: "
            "the weight map must lie on the image's grid."
        )
    good = np.isfinite(values) & (values > 0)
    power = {"weight": 1.0, "variance": -1.0, "rms": -2.0}[weight["kind"]]
    result = np.zeros(shape)
    result[good] = values[good] ** power
    return result
