"""Borders that repeat the field are found, and equal rows of other images are left alone."""

from __future__ import annotations

import numpy as np
import pytest
from unblend.images.repeated_lines import repeated_borders
from unblend.images.unobserved import unobserved

FIELD = np.random.default_rng(1).normal(5.0, 1.0, (80, 100))
WIDTHS = ((3, 8), (0, 5))


@pytest.mark.parametrize("mode", ["edge", "reflect", "symmetric"])
def test_repeated_borders_are_found(mode):
    image = np.pad(FIELD, WIDTHS, mode=mode)
    border = np.pad(np.zeros(FIELD.shape, dtype=bool), WIDTHS, constant_values=True)
    np.testing.assert_array_equal(repeated_borders(image), border)
    assert unobserved(image)[border].all()
    around = np.pad(image, 4, constant_values=np.nan)
    np.testing.assert_array_equal(repeated_borders(around), np.pad(border, 4))


def test_the_other_side_of_the_field_is_found():
    # which of two equal strips was observed cannot be told
    found = repeated_borders(np.pad(FIELD, ((6, 6), (0, 0)), mode="wrap"))
    assert found[:12].all() and found[-12:].all() and not found[12:-12].any()


def galaxy():
    y, x = np.indices((81, 101))
    return np.exp(-np.hypot(y - 40.0, 0.5 * (x - 50.0)))


OTHERS = {
    "noise": FIELD,
    "a galaxy without noise": galaxy(),
    "smaller pixels": np.kron(FIELD, np.ones((2, 2))),
    "integers": np.rint(0.2 * (FIELD - 5.0)),
    "one value": np.ones((40, 50)),
    "NaN": np.full((40, 50), np.nan),
    "few pixels": FIELD[:3, :3],
}


@pytest.mark.parametrize("image", OTHERS.values(), ids=OTHERS)
def test_other_images_are_left_alone(image):
    assert not repeated_borders(image).any()
