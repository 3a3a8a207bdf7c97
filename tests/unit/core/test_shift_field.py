"""Fields of shifts: their values, errors and borders, and their form in JSON."""

from __future__ import annotations

import json

import numpy as np
import pytest
from unblend.core.polynomials import degrees
from unblend.core.shift_field import ShiftField

AREA = (10.0, 20.0, 110.0, 220.0)


def field_of(order: int) -> ShiftField:
    number = len(degrees(order))
    coefficients = np.arange(2.0 * number).reshape(2, number) / 10.0
    return ShiftField(order, AREA, coefficients, np.stack([0.01 * np.eye(number), 0.04 * np.eye(number)]))


def test_values_are_those_of_the_chebyshev_series_of_numpy():
    field = field_of(2)
    y, x = 35.0, 170.0
    v, u = 2 * (y - 10) / 100 - 1, 2 * (x - 20) / 200 - 1
    for axis, value in enumerate(field.at(y, x)):
        matrix = np.zeros((3, 3))
        for (i, j), coefficient in zip(field.degrees, field.coefficients[axis], strict=True):
            matrix[i, j] = coefficient
        assert value == pytest.approx(np.polynomial.chebyshev.chebval2d(v, u, matrix))


def test_values_at_many_positions_are_those_at_each():
    field, y, x = field_of(3), np.array([12.0, 60.0, 500.0]), np.array([25.0, 130.0, -7.0])
    expected = np.transpose([field.at(*place) for place in zip(y, x, strict=True)])
    np.testing.assert_allclose(field.values(y, x), expected)


def test_beyond_the_measured_area_the_shift_is_that_of_its_border():
    field = field_of(3)
    assert field.at(-500.0, 100.0) == pytest.approx(field.at(10.0, 100.0))
    assert field.at(50.0, 9999.0) == pytest.approx(field.at(50.0, 220.0))


def test_the_same_shift_everywhere():
    field = ShiftField.constant((0.3, -0.2), (0.01, 0.02))
    assert field.at(5.0, 1e4) == (0.3, -0.2) and field.order == 0
    assert np.sqrt(field.covariance[:, 0, 0]) == pytest.approx([0.01, 0.02])


def test_json_returns_the_same_field():
    field = field_of(2)
    back = ShiftField.from_json(json.loads(json.dumps(field.as_json())))
    assert back.order == 2 and back.area == AREA
    assert np.array_equal(back.coefficients, field.coefficients) and np.array_equal(back.covariance, field.covariance)


def test_the_field_of_a_part_of_an_image():
    rng = np.random.default_rng(4)
    field = ShiftField(2, (0.0, 0.0, 100.0, 80.0), rng.normal(size=(2, 6)), np.zeros((2, 6, 6)))
    moved = field.moved(-30.0, -20.0)
    assert moved.at(40.0, 25.0) == pytest.approx(field.at(70.0, 45.0))
