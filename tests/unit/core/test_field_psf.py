from __future__ import annotations

import numpy as np
import pytest
from unblend.core.field_psf import Everywhere, FieldPsf, NearestPoint, PixelGrid, Polygons
from unblend.core.types import Psf
from unblend.images.psf import fwhm, transform


def psf(level, centre=(1.0, 1.0), **keys):
    return Psf(np.full((3, 3), level), centre, **keys)


SQUARE = np.array([[0.0, 0.0], [0.0, 10.0], [10.0, 10.0], [10.0, 0.0]])


def test_a_single_psf_holds_everywhere():
    one = psf(1.0)
    field = FieldPsf.of(one)
    assert isinstance(field.places, Everywhere)
    assert field.at(-1e5, 1e5) is one
    assert FieldPsf.of(field) is field
    assert field.places.distance(1e9, 0.0) == 0.0


def test_psfs_that_cannot_be_added_are_refused():
    for other in (psf(1.0, oversampling=2.0), psf(1.0, kind="optical"), Psf(np.ones((5, 5)), (2.0, 2.0))):
        with pytest.raises(ValueError, match="PSFs of one shape, oversampling and kind"):
            FieldPsf((psf(1.0), other))
    with pytest.raises(ValueError, match="PSFs of one shape"):
        FieldPsf(())


def test_the_nearest_point_counts():
    places = NearestPoint(np.array([[0.0, 0.0], [0.0, 10.0]]))
    assert places.weights(3.0, 4.9) == ((0, 1.0),)
    assert places.weights(-3.0, 5.1) == ((1, 1.0),)
    # the points are 10 apart and hold as far beyond; along y they do not differ
    assert places.distance(500.0, -10.0) == 0.0 and places.distance(500.0, 25.0) == 5.0


def test_a_place_far_beyond_all_points_is_outside():
    corners = np.array([[0.0, 0.0], [0.0, 10.0], [10.0, 0.0], [10.0, 10.0]])
    places = NearestPoint(corners)
    assert places.distance(-10.0, 5.0) == 0.0 and places.distance(5.0, 20.0) == 0.0
    assert places.distance(-13.0, 24.0) == 5.0
    # one PSF at one place, twice
    assert NearestPoint(np.zeros((2, 2))).distance(100.0, 100.0) == 0.0


def test_a_grid_interpolates_linearly_along_both_axes():
    places = PixelGrid(np.array([0.0, 10.0]), np.array([0.0, 20.0, 30.0]))
    assert places.weights(0.0, 20.0) == ((1, 1.0),)
    assert dict(places.weights(2.5, 25.0)) == pytest.approx({1: 0.375, 2: 0.375, 4: 0.125, 5: 0.125})
    field = FieldPsf(tuple(psf(float(k), (1.0, 1.0 + 0.01 * k), original_sum=k) for k in range(6)), places)
    found = field.at(2.5, 25.0)
    assert found.data == pytest.approx(np.full((3, 3), 2.25))
    assert found.centre == pytest.approx((1.0, 1.0225)) and found.original_sum == pytest.approx(2.25)


def test_outside_a_grid_its_border_counts():
    places = PixelGrid(np.array([0.0, 10.0]), np.array([0.0, 20.0, 30.0]))
    assert places.weights(-7.0, 99.0) == places.weights(0.0, 30.0) == ((2, 1.0),)
    assert places.distance(13.0, 34.0) == 5.0 and places.distance(5.0, 5.0) == 0.0


def test_a_grid_may_have_one_column():
    places = PixelGrid(np.array([0.0, 10.0]), np.array([5.0]))
    assert dict(places.weights(4.0, 999.0)) == pytest.approx({0: 0.6, 1: 0.4})
    assert places.distance(4.0, 999.0) == 0.0 and places.distance(13.0, 999.0) == 3.0


def test_polygons_hold_inside():
    places = Polygons.of_lines([(0, 2, SQUARE), (1, 0, np.add(SQUARE, [0.0, 10.0]))])
    assert places.weights(5.0, 9.0) == ((2, 1.0),)
    assert places.weights(5.0, 11.0) == ((0, 1.0),)
    assert places.distance(5.0, 11.0) == 0.0


def test_outside_all_polygons_the_nearest_one_counts():
    places = Polygons.of_lines([(0, 2, SQUARE), (1, 0, np.add(SQUARE, [0.0, 30.0]))])
    assert places.weights(5.0, 19.0) == ((2, 1.0),) and places.distance(5.0, 19.0) == pytest.approx(9.0)
    assert places.weights(13.0, 44.0) == ((0, 1.0),) and places.distance(13.0, 44.0) == pytest.approx(5.0)


def test_the_first_of_overlapping_polygons_counts():
    places = Polygons.of_lines([(0, 2, SQUARE), (1, 0, SQUARE)])
    assert places.weights(5.0, 5.0) == ((2, 1.0),)


def test_an_inner_line_is_a_hole():
    places = Polygons.of_lines([(0, 1, SQUARE), (0, 1, 4.0 + SQUARE / 5.0), (1, 0, 4.5 + SQUARE / 10.0)])
    assert places.weights(2.0, 2.0) == ((1, 1.0),)
    assert places.weights(5.0, 5.0) == ((0, 1.0),)
    # between the hole and the polygon inside it: 0.25 from either, a little nearer to the second
    assert places.distance(5.0, 4.3) == pytest.approx(0.2)
    assert places.weights(5.0, 4.3) == ((0, 1.0),)


def test_a_repeated_vertex_changes_nothing():
    closed = Polygons.of_lines([(0, 0, np.vstack([SQUARE, SQUARE[:1]]))])
    opened = Polygons.of_lines([(0, 0, SQUARE)])
    for y, x in ((5.0, 5.0), (-3.0, -4.0), (0.0, 20.0)):
        assert closed.distance(y, x) == opened.distance(y, x)


def test_the_reach_is_that_of_the_widest():
    field = FieldPsf((psf(1.0, oversampling=2.0), psf(1.0, (0.5, 1.0), oversampling=2.0)), NearestPoint(np.eye(2)))
    assert field.reach == (0.75, 0.5)


def test_the_sharpest_and_the_broadest():
    sharp, broad = np.full((3, 3), 0.05), np.full((3, 3), 1 / 9)
    sharp[1, 1] = 0.6
    field = FieldPsf((Psf(broad, (1.0, 1.0)), Psf(sharp, (1.0, 1.0))), NearestPoint(np.eye(2)))
    assert field.sharpest is field.psfs[1] and field.broadest is field.psfs[0]


@pytest.mark.parametrize("fraction", [0.02, -0.1])
def test_a_broadened_psf_has_a_larger_fwhm_and_the_same_sum(fraction):
    rows, columns = np.indices((61, 61)) - 30.0
    data = np.exp(-(rows**2 + columns**2) / (2 * 4.0**2))
    field = FieldPsf((Psf(0.9 * data / data.sum(), (30.0, 30.0), oversampling=3.0),))
    broader = field.broadened(fraction)
    widths = [fwhm(one.psfs[0]) / one.oversampling for one in (broader, field)]
    assert widths[0] / widths[1] == pytest.approx(1.0 + fraction)
    zero = np.zeros(1)
    assert transform(broader.psfs[0], zero, zero).real[0, 0] == pytest.approx(0.9)
    assert broader.reach == pytest.approx(np.array(field.reach) * (1.0 + fraction))


@pytest.mark.parametrize("name", ["everywhere", "points", "grid", "polygons"])
def test_places_of_a_part_of_an_image(name):
    places = {
        "everywhere": Everywhere(),
        "points": NearestPoint(np.array([[10.0, 20.0], [40.0, 20.0]])),
        "grid": PixelGrid(np.array([10.0, 40.0]), np.array([5.0, 55.0])),
        "polygons": Polygons.of_lines([(0, 0, np.array([[0.0, 0.0], [0.0, 30.0], [30.0, 0.0]]))]),
    }[name]
    moved = places.moved(-7.0, -11.0)
    for y, x in ((12.0, 15.0), (29.0, 48.0), (3.0, 4.0)):
        found, expected = dict(moved.weights(y - 7.0, x - 11.0)), dict(places.weights(y, x))
        assert found == pytest.approx(expected)
        assert moved.distance(y - 7.0, x - 11.0) == pytest.approx(places.distance(y, x))
