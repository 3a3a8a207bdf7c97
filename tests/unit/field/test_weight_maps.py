"""Weight maps of every kind as inverse variance."""

from __future__ import annotations

import numpy as np
import pytest
from unblend.core.errors import InputError
from unblend.field.weight_maps import read_weight
from unblend.io.images import write_image


@pytest.mark.parametrize(("kind", "expected"), [("weight", 4.0), ("variance", 0.25), ("rms", 0.0625)])
def test_every_kind_becomes_inverse_variance_and_pixels_without_data_zero(tmp_path, kind, expected):
    values = np.full((3, 4), 4.0)
    values[0] = [0.0, -1.0, np.nan, np.inf]
    write_image(tmp_path / "map.fits", values)
    found = read_weight({"file": str(tmp_path / "map.fits"), "kind": kind}, (3, 4))
    np.testing.assert_array_equal(found[0], 0.0)
    np.testing.assert_array_equal(found[1:], expected)


def test_a_map_of_another_shape_is_refused(tmp_path):
    write_image(tmp_path / "map.fits", np.ones((3, 4)))
    with pytest.raises(InputError, match=r"map.fits has 4 x 3 pixels and its image 5 x 3: the weight map must lie"):
        read_weight({"file": str(tmp_path / "map.fits"), "kind": "rms"}, (3, 5))
