from __future__ import annotations

import time
import tracemalloc

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.special import gammainc, gammaincinv
from unblend.models import rendering
from unblend.models.rendering import draw_sersic, point_model, sersic_model, sersic_profile, stamp_half_size

NORTH_UP = np.array([[0.0, -0.06], [0.06, 0.0]])
SKY = (53.0, -27.8)


def central_pixel(n, r_e):
    """Light in the pixel around the centre of a round profile: the growth curve, integrated over the angle."""
    b = float(gammaincinv(2 * n, 0.5))
    growth = lambda r: gammainc(2 * n, b * (r / r_e) ** (1 / n))  # noqa: E731
    return 8 * quad(lambda angle: growth(0.5 / np.cos(angle)), 0, np.pi / 4)[0] / (2 * np.pi)


@pytest.mark.parametrize("n", [0.3, 0.5, 1.0, 2.5, 4.0, 6.0, 8.0])
@pytest.mark.parametrize("r_e", [1.0, 4.0, 30.0])
def test_the_central_pixel_is_exact(n, r_e):
    drawn = draw_sersic((21, 21), (10.0, 10.0), n=n, r_e=r_e, ell=0.0, pa=0.0)
    assert drawn[10, 10] == pytest.approx(central_pixel(n, r_e), rel=3e-4)


@pytest.mark.parametrize(
    ("n", "ell", "pa"), [(0.5, 0.3, 10.0), (1.0, 0.8, 77.0), (4.0, 0.5, 130.0), (6.0, 0.0, 0.0), (2.0, 0.85, 45.0)]
)
def test_pixels_against_a_fine_grid(n, ell, pa):
    # the same pixels summed from 75² points each
    fine, shape = 75, (13, 15)
    at = {"n": n, "r_e": 4.0, "ell": ell, "pa": pa}
    drawn = draw_sersic(shape, (6.2, 7.4), **at)
    y, x = ((np.arange(side * fine) + 0.5) / fine - 0.5 for side in shape)
    b = float(gammaincinv(2 * n, 0.5))
    radius = rendering._radius(y[:, None] - 6.2, x[None, :] - 7.4, 4.0, ell, np.deg2rad(pa))
    points = sersic_profile(radius, n, b).reshape(shape[0], fine, shape[1], fine).mean(axis=(1, 3))
    away = rendering._radius(np.arange(13.0)[:, None] - 6.2, np.arange(15.0)[None, :] - 7.4, 1.0, 0.0, 0.0) > 1.5
    ratio = (drawn / points)[away & (points > 1e-12 * points.max())]
    # the fine grid itself is off by 1e-4 beside the cusp
    assert np.ptp(ratio) / ratio.mean() < 1e-3


@pytest.mark.parametrize("n", [0.5, 1.0, 2.0, 4.0])
def test_the_growth_curve(n):
    # the light in a stamp that is 1.5 r_e away from its centre on all sides, by quadrature over the angle
    r_e = 10.0
    drawn = draw_sersic((31, 31), (15.0, 15.0), n=n, r_e=r_e, ell=0.0, pa=0.0)
    b = float(gammaincinv(2 * n, 0.5))
    square = 8 * quad(lambda t: gammainc(2 * n, b * (15.5 / np.cos(t) / r_e) ** (1 / n)), 0, np.pi / 4)[0] / (2 * np.pi)
    assert drawn.sum() == pytest.approx(square, rel=1e-4)


def test_the_position_angle_turns_from_up_to_the_left():
    drawn = draw_sersic((41, 41), (20.0, 20.0), n=1.0, r_e=5.0, ell=0.7, pa=30.0)
    y, x = np.indices(drawn.shape) - 20.0
    angle = 0.5 * np.arctan2(2 * (drawn * x * y).sum(), (drawn * (x**2 - y**2)).sum())
    # the major axis, from +x counter-clockwise: 30 degrees beyond +y
    assert np.rad2deg(angle) % 180 == pytest.approx(120.0, abs=0.1)


def test_a_half_turn_and_a_mirror_image_are_the_same_galaxy():
    at = {"n": 3.0, "r_e": 4.0, "ell": 0.5}
    drawn = draw_sersic((21, 21), (10.0, 10.0), pa=40.0, **at)
    np.testing.assert_allclose(draw_sersic((21, 21), (10.0, 10.0), pa=220.0, **at), drawn, rtol=1e-10)
    np.testing.assert_allclose(drawn[::-1, ::-1], drawn, rtol=1e-10)
    np.testing.assert_allclose(draw_sersic((21, 21), (10.0, 10.0), pa=-40.0, **at)[:, ::-1], drawn, rtol=1e-10)


def test_strips_do_not_change_the_image(monkeypatch):
    at = {"n": 4.0, "r_e": 4.0, "ell": 0.5, "pa": 40.0}
    whole = draw_sersic((41, 31), (20.0, 15.0), **at)
    monkeypatch.setattr(rendering, "_PIXELS_PER_STRIP", 100)
    # where a strip ends decides which smooth pixels get nine nodes instead of one: 2e-5 of the pixel
    np.testing.assert_allclose(draw_sersic((41, 31), (20.0, 15.0), **at), whole, rtol=1e-4)


def test_unresolved_axes_are_drawn_half_a_pixel_wide():
    thin = draw_sersic((41, 41), (20.0, 20.0), n=1.0, r_e=5.0, ell=0.99, pa=30.0)
    np.testing.assert_array_equal(thin, draw_sersic((41, 41), (20.0, 20.0), n=1.0, r_e=5.0, ell=0.9, pa=30.0))
    tiny = draw_sersic((41, 41), (20.0, 20.0), n=1.0, r_e=1e-3, ell=0.5, pa=30.0)
    assert tiny.sum() == pytest.approx(1.0, abs=1e-3) and tiny[20, 20] == tiny.max()


# Stamps -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [0.5, 1.0, 2.5])
def test_stamps_contain_the_flux(n):
    model = sersic_model(n=n, r_e=5.0, ell=0.4, pa=70.0, flux=3.0, sky=SKY, pixel_to_sky=NORTH_UP, oversampling=5)
    assert 0.999 * 3.0 <= model.data.sum() <= 3.0 * (1 + 1e-4) and model.total == 3.0


@pytest.mark.parametrize(("n", "r_e", "held"), [(4.0, 30.0, 0.99), (6.0, 5.0, 0.99), (8.0, 20.0, 0.93)])
def test_stamps_of_steep_profiles_contain_less_flux(n, r_e, held):
    half_y, half_x = stamp_half_size(n, r_e, 0.0, 0.0)
    assert half_y == half_x <= rendering.MAX_HALF_SIZE
    b = float(gammaincinv(2 * n, 0.5))
    assert gammainc(2 * n, b * (half_y / r_e) ** (1 / n)) > held


def test_stamps_follow_the_ellipse():
    along, across = stamp_half_size(1.0, 20.0, 0.8, 0.0)
    assert across == pytest.approx(0.2 * along, abs=1)
    assert stamp_half_size(1.0, 20.0, 0.8, 90.0) == (across, along)


def test_stamps_have_a_smallest_and_a_largest_size():
    assert stamp_half_size(0.5, 0.01, 0.9, 0.0) == (8, 8)
    assert stamp_half_size(8.0, 1e4, 0.0, 0.0) == (rendering.MAX_HALF_SIZE,) * 2


def test_the_centre_is_the_middle_pixel_of_an_odd_stamp():
    model = sersic_model(n=1.0, r_e=2.0, ell=0.3, pa=20.0, flux=1.0, sky=SKY, pixel_to_sky=NORTH_UP, oversampling=5)
    assert model.centre == tuple(side // 2 for side in model.data.shape) and all(s % 2 for s in model.data.shape)
    assert np.unravel_index(np.argmax(model.data), model.data.shape) == model.centre
    np.testing.assert_allclose(model.pixel_to_sky, NORTH_UP / 5)
    assert model.pixel_integrated and model.sky == SKY


def test_a_negative_flux_gives_a_negative_image():
    at = {"n": 1.0, "r_e": 2.0, "ell": 0.3, "pa": 20.0, "sky": SKY, "pixel_to_sky": NORTH_UP, "oversampling": 5}
    np.testing.assert_array_equal(sersic_model(flux=-2.0, **at).data, -2.0 * sersic_model(flux=1.0, **at).data)


def test_a_point():
    model = point_model(4.0, SKY, NORTH_UP, 5)
    assert model.data.tolist() == [[4.0]] and model.centre == (0.0, 0.0) and not model.pixel_integrated
    np.testing.assert_allclose(model.pixel_to_sky, NORTH_UP / 5)


def test_an_ordinary_galaxy_takes_milliseconds():
    draw_sersic((21, 21), (10.0, 10.0), n=1.0, r_e=3.0, ell=0.3, pa=20.0)
    start = time.process_time()
    sersic_model(n=2.0, r_e=4.0, ell=0.4, pa=20.0, flux=1.0, sky=SKY, pixel_to_sky=NORTH_UP, oversampling=5)
    assert time.process_time() - start < 1.0  # 0.05 s when nothing else runs


def test_an_edge_on_disc_does_not_fill_the_memory():
    """Most of its pixels are steep across the disc: 25 × 25 parts of all of them at once took 700 MB."""
    tracemalloc.start()
    image = draw_sersic((169, 83), (84.0, 41.0), n=0.58, r_e=26.5, ell=0.95, pa=40.0)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert image.sum() == pytest.approx(1.0, abs=0.05) and peak < 150e6


@pytest.mark.parametrize(("n", "r_e", "ell", "bins"), [(1.0, 5.0, 0.4, 5), (4.0, 3.0, 0.2, 5), (2.0, 0.3, 0.0, 1)])
def test_coarse_pixels_have_the_same_profile_and_area(n, r_e, ell, bins):
    at = {"n": n, "r_e": r_e, "ell": ell, "pa": 20.0, "flux": 3.0, "sky": SKY, "pixel_to_sky": NORTH_UP}
    fine, coarse = (sersic_model(oversampling=5, coarse=coarse, **at) for coarse in (False, True))
    assert coarse.shape.r_e == pytest.approx(fine.shape.r_e / bins)
    assert (coarse.shape.n, coarse.shape.ell, coarse.shape.pa) == (fine.shape.n, fine.shape.ell, fine.shape.pa)
    np.testing.assert_allclose(coarse.pixel_to_sky, bins * fine.pixel_to_sky)
    for few, many in zip(coarse.data.shape, fine.data.shape, strict=True):
        assert many <= bins * few < many + 3 * bins
    assert coarse.total == fine.total and coarse.data.sum() == pytest.approx(fine.data.sum(), rel=3e-3)
