from __future__ import annotations

import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.wcs import WCS, Sip
from unblend.core.coordinates import (
    axis_scales,
    cut_wcs,
    nearest,
    offset_arcsec,
    offset_to_sky,
    physical_to_pixel,
    pixel_scale,
    pixel_to_physical,
    pixel_to_sky,
    same_grid,
    set_physical_coordinates,
    shift_to_pixels,
    sky_jacobian,
    sky_to_pixel,
    to_grid,
)
from unblend.core.types import Box

RA, DEC = 53.0873, -27.84


def grid(cd, dec=DEC, sip=None, crpix=(51.0, 41.0)):
    wcs = WCS(naxis=2)
    suffix = "-SIP" if sip else ""
    wcs.wcs.ctype = ["RA---TAN" + suffix, "DEC--TAN" + suffix]
    wcs.wcs.crval, wcs.wcs.crpix, wcs.wcs.cd = [RA, dec], crpix, np.array(cd) / 3600.0
    if sip:
        a, b = np.zeros((3, 3)), np.zeros((3, 3))
        a[2, 0], b[1, 1] = sip, -sip
        wcs.sip = Sip(a, b, np.zeros((3, 3)), np.zeros((3, 3)), crpix)
    return wcs


SQUARE_CD = [[-0.1, 0.0], [0.0, 0.1]]
SQUARE = grid(SQUARE_CD)


def test_pixels_to_sky_and_back():
    y, x = np.array([0.0, 40.0, 79.5]), np.array([0.0, 50.0, -3.2])
    for wcs in (SQUARE, grid([[0.05, 0.08], [-0.09, 0.06]]), grid([[-0.1, 0], [0, 0.1]], sip=1e-4)):
        again = sky_to_pixel(wcs, *pixel_to_sky(wcs, y, x))
        # the inversion of a distortion iterates to 1e-6 pixel, that of a matrix is exact
        np.testing.assert_allclose(again, (y, x), atol=1e-5 if wcs.sip is not None else 1e-8)


@pytest.mark.parametrize("ctype", [("RA---TAN", "DEC--TAN"), ("DEC--TAN", "RA---TAN")])
@pytest.mark.parametrize("ra", [-10.0, 0.0, 359.9999, 400.0])
def test_right_ascensions_are_from_0_to_below_360(ctype, ra):
    wcs, along = WCS(naxis=2), ctype.index("RA---TAN")
    wcs.wcs.ctype, wcs.wcs.cdelt, wcs.wcs.crpix = ctype, [1e-4, 1e-4], [1.0, 1.0]
    wcs.wcs.crval = [ra, 5.0] if along == 0 else [5.0, ra]
    steps = np.array([-3.0, 0.0, 3.0])
    y, x = (0.0 * steps, steps) if along == 0 else (steps, 0.0 * steps)
    found, dec = pixel_to_sky(wcs, y, x)
    assert ((found >= 0) & (found < 360)).all() and dec == pytest.approx(5.0)
    expected = (ra + steps * 1e-4 / np.cos(np.deg2rad(5.0))) % 360
    assert (found - expected + 180.0) % 360.0 - 180.0 == pytest.approx(0.0, abs=1e-9)
    np.testing.assert_allclose(sky_to_pixel(wcs, found, dec), (y, x), atol=1e-6)


def test_positions_are_zero_based():
    ra, dec = pixel_to_sky(SQUARE, 40.0, 50.0)
    assert (ra[0], dec[0]) == pytest.approx((RA, DEC), abs=1e-12)


def test_an_inversion_that_fails_is_nan():
    # at 1e-3 per pixel the scale along x falls to zero 500 pixels from the reference: no position exists beyond
    wcs = grid([[-0.1, 0.0], [0.0, 0.1]], sip=1e-3)
    offsets = np.array([1.0, 30.0, 100.0, 1000.0, -1000.0])
    y, x = sky_to_pixel(wcs, *offset_to_sky(offsets, 0.3 * offsets, RA, DEC))
    assert np.isfinite(y[0]) and np.isfinite(x[0])
    assert np.isnan(y[1:]).all() and np.isnan(x[1:]).all()


def test_the_other_side_of_the_sky_is_nan():
    y, x = sky_to_pixel(SQUARE, np.array([RA + 180.0, RA]), np.array([-DEC, DEC]))
    assert np.isnan(y[0]) and np.isnan(x[0]) and np.isfinite(y[1])


@pytest.mark.parametrize("dec", [-27.84, 0.0, 89.9, -89.99])
def test_offsets_agree_with_a_tangent_plane(dec):
    plane = grid([[1.0, 0.0], [0.0, 1.0]], dec=dec, crpix=(1.0, 1.0))
    east, north = np.array([0.0, 3.0, -60.0, 0.01]), np.array([0.0, -2.0, 45.0, 0.02])
    dec_, ra_ = pixel_to_sky(plane, north, east)[::-1]
    found = offset_arcsec(ra_, dec_, RA, dec)
    # degrees near 53 have steps of 7e-15, 2.6e-11 arcsec; at the pole those of the right ascension shrink
    np.testing.assert_allclose(found, (east, north), atol=1e-8)
    ra2, dec2 = offset_to_sky(east, north, RA, dec)
    np.testing.assert_allclose(np.cos(np.deg2rad(dec_)) * ((ra2 - ra_ + 180) % 360 - 180), 0.0, atol=1e-11)
    np.testing.assert_allclose(dec2, dec_, atol=1e-11)


def test_small_offsets_keep_their_digits():
    east, north = offset_arcsec(RA, DEC + 1e-9, RA, DEC)
    assert north == pytest.approx(3.6e-6, rel=1e-4) and east == 0.0


@pytest.mark.parametrize(
    ("cd", "jacobian"),
    [
        ([[-0.1, 0.0], [0.0, 0.1]], [[0.0, -0.1], [0.1, 0.0]]),
        ([[0.1, 0.0], [0.0, 0.2]], [[0.0, 0.1], [0.2, 0.0]]),
        ([[-0.06, 0.08], [0.08, 0.06]], [[0.08, -0.06], [0.06, 0.08]]),
    ],
    ids=["north up", "flipped, not square", "rotated"],
)
def test_jacobian_has_columns_y_and_x(cd, jacobian):
    # rows east, north; columns y, x
    np.testing.assert_allclose(sky_jacobian(grid(cd), 40.0, 50.0), jacobian, atol=1e-8)


def test_jacobian_includes_the_distortion():
    wcs = grid([[-0.1, 0.0], [0.0, 0.1]], sip=1e-3)
    # x' = x + 1e-3 x²: at 20 pixels from the reference the scale along x is 1 + 0.04
    assert sky_jacobian(wcs, 40.0, 70.0)[0, 1] == pytest.approx(-0.104, rel=1e-5)


def test_pixel_scale_is_the_root_of_the_area():
    assert pixel_scale(SQUARE) == pytest.approx(0.1, rel=1e-8)
    assert pixel_scale(grid([[-0.1, 0.0], [0.0, 0.4]]), (80, 100)) == pytest.approx(0.2, rel=1e-6)


def test_axis_scales_are_separations_on_the_sky():
    wcs = grid([[-0.1, 0.03], [0.02, 0.2]])
    ra, dec = pixel_to_sky(wcs, [40.0, 41.0, 40.0], [50.0, 50.0, 51.0])
    sky = SkyCoord(ra, dec, unit="deg")
    expected = (sky[0].separation(sky[1]).arcsec, sky[0].separation(sky[2]).arcsec)
    assert axis_scales(wcs, 40.0, 50.0) == pytest.approx(expected, rel=1e-7)


def test_a_shift_is_given_along_x_and_y():
    assert shift_to_pixels(grid([[-0.1, 0], [0, 0.2]]), (0.3, -0.4), 40.0, 50.0) == pytest.approx((-2.0, 3.0), rel=1e-8)
    # along the image's axes, whatever their orientation on the sky
    flipped = grid([[0.1, 0], [0, -0.1]])
    assert shift_to_pixels(flipped, (0.3, -0.4), 40.0, 50.0) == pytest.approx((-4.0, 3.0), rel=1e-8)


@pytest.mark.parametrize("sip", [None, 1e-4])
def test_cut_wcs(sip):
    wcs = grid([[-0.1, 0.02], [0.02, 0.1]], sip=sip)
    box = Box(-5, 12, 30, 60)
    cut = cut_wcs(wcs, box)
    assert cut.pixel_shape == (48, 35)
    np.testing.assert_allclose(pixel_to_sky(cut, 7.0, 9.0), pixel_to_sky(wcs, 2.0, 21.0), rtol=0, atol=1e-12)
    # the original is left alone
    assert tuple(wcs.wcs.crpix) == (51.0, 41.0) and (wcs.sip is None or tuple(wcs.sip.crpix) == (51.0, 41.0))


def test_physical_coordinates_follow_a_cutout():
    wcs = grid([[-0.1, 0.0], [0.0, 0.1]])
    set_physical_coordinates(wcs, np.array([[0.5, 0.0], [0.0, 0.25]]), np.array([-100.0, -50.0]))
    y, x = np.array([9.0]), np.array([19.0])  # image (20, 10) is physical (240, 240), both counted from 1
    assert np.ravel(pixel_to_physical(wcs, y, x)) == pytest.approx([239.0, 239.0])
    cut = cut_wcs(wcs, Box(4, 7, 30, 30))
    assert np.ravel(pixel_to_physical(cut, y - 4, x - 7)) == pytest.approx([239.0, 239.0])
    assert np.ravel(physical_to_pixel(cut, *pixel_to_physical(cut, y, x))) == pytest.approx([9.0, 19.0])
    assert np.ravel(pixel_to_physical(SQUARE, y, x)) == pytest.approx([9.0, 19.0])


def test_positions_on_another_grid_and_on_the_same_grid():
    y, x = np.indices((60, 70)).reshape(2, -1)
    same, finer = grid(SQUARE_CD), grid([[-0.05, 0.0], [0.0, 0.05]], crpix=(101.0, 81.0))
    at_y, at_x = to_grid(SQUARE, same, y, x)
    assert np.array_equal(at_y, y) and np.array_equal(at_x, x)
    # pixel (40, 50) is the reference of one, (80, 100) that of the other, whose pixels are half as large
    at_y, at_x = to_grid(SQUARE, finer, y, x)
    np.testing.assert_allclose((at_y, at_x), (80.0 + 2.0 * (y - 40.0), 100.0 + 2.0 * (x - 50.0)), atol=1e-5)


def test_a_small_shift_or_distortion_is_another_grid():
    y, x = np.indices((60, 70)).reshape(2, -1)
    # the distortion is largest in the corner 50 and 40 pixels off: 1e-5 (50², 50 × 40)
    for other, moved in ((grid(SQUARE_CD, crpix=(51.0, 41.01)), 0.01), (grid(SQUARE_CD, sip=1e-5), 0.032)):
        at_y, at_x = to_grid(SQUARE, other, y, x)
        assert np.hypot(at_y - y, at_x - x).max() == pytest.approx(moved, rel=0.01)


def test_images_of_one_grid():
    here = grid([[-2e-5, 0.0], [0.0, 2e-5]])
    moved = grid([[-2e-5, 0.0], [0.0, 2e-5]], crpix=(51.01, 41.0))
    assert same_grid(here, (80, 100), here, (80, 100))
    assert not same_grid(here, (80, 100), here, (80, 101))
    assert not same_grid(here, (80, 100), moved, (80, 100))
    # a scale that differs by 2e-5 is 1e-3 pixel off 50 pixels from the centre
    assert not same_grid(here, (80, 100), grid([[-2.0001e-5, 0.0], [0.0, 2.0001e-5]]), (80, 100))


def test_the_nearest_position():
    ra, dec = np.array([10.0, 10.002, 10.0]), np.array([60.0, 60.0, 60.0012])
    # a step in right ascension is half as long at 60 degrees
    assert nearest(ra, dec, {"ra": 10.0014, "dec": 60.0}) == 1
    assert nearest(ra, dec, {"ra": 10.0009, "dec": 60.0}) == 0
    assert nearest(ra, dec, {"ra": 10.0, "dec": 60.0007}) == 2


def test_the_nearest_position_across_the_origin():
    assert nearest(np.array([359.9999, 0.0005]), np.zeros(2), {"ra": 0.0, "dec": 0.0}) == 0
