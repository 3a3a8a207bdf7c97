from __future__ import annotations

import io

import numpy as np
import pytest
from astropy.wcs import WCS
from unblend.report.galaxy_figure import SIDE_PIXELS, SedPoint, galaxy_figure, in_colour, noise_of, north_up

RNG = np.random.default_rng(3)


def test_north_is_up_and_east_is_left_whatever_the_image():
    for angle in (0.0, 40.0, 90.0):
        turn = np.deg2rad(angle)
        cd = np.array([[-np.cos(turn), np.sin(turn)], [np.sin(turn), np.cos(turn)]]) * 0.1 / 3600
        wcs = WCS(header(cd))
        image = np.zeros((101, 101))
        # 3 arcsec to the north-east of the middle
        x, y = wcs.all_world2pix(150.0 + 3.0 / 3600 / np.cos(np.deg2rad(2.0)), 2.0 + 3.0 / 3600, 0)
        image[round(float(y)), round(float(x))] = 1.0
        stamp = north_up(image, wcs, (150.0, 2.0), 8.0)
        rows, columns = np.nonzero(stamp == 1.0)
        scale = SIDE_PIXELS / 8.0
        assert rows.mean() == pytest.approx((4.0 + 3.0) * scale, abs=0.1 * scale)
        assert columns.mean() == pytest.approx((4.0 - 3.0) * scale, abs=0.1 * scale)


def header(cd):
    cards = {"CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CRVAL1": 150.0, "CRVAL2": 2.0, "CRPIX1": 51.0, "CRPIX2": 51.0}
    return cards | {f"CD{i + 1}_{j + 1}": cd[i, j] for i in (0, 1) for j in (0, 1)}


def test_pixels_beyond_the_image_are_not_known():
    wcs = WCS(header(np.diag([-0.1, 0.1]) / 3600))
    stamp = north_up(np.ones((101, 101)), wcs, (150.0, 2.0), 20.0)
    assert np.isnan(stamp[0, 0]) and np.mean(stamp == 1.0) == pytest.approx((10.1 / 20.0) ** 2, rel=0.03)


def test_the_longest_wavelength_is_red_and_the_sky_is_dark():
    bright = [np.array([[1.0]]), np.array([[1.0]]), np.array([[50.0]])]
    red, green, blue = in_colour(bright, (1.0, 1.0, 1.0), (1.0, 1.0, 1.0))[0, 0]
    assert red == 1.0 and green < 0.3 and blue < 0.3
    white = in_colour([np.array([[50.0]])] * 3, (1.0,) * 3, (1.0,) * 3)[0, 0]
    assert np.ptp(white) < 1e-12 and white[0] > 0.7
    assert in_colour([np.array([[-2.0]])] * 3, (1.0,) * 3, (1.0,) * 3).max() < 0.1


def test_noise_of_an_image_with_sources():
    image = RNG.normal(5.0, 2.0, (200, 200))
    image[:60] += 100.0
    assert noise_of(image, 5.0) == pytest.approx(2.0, rel=0.03)


def test_the_figure_has_a_panel_for_each_step():
    stamp = RNG.normal(size=(SIDE_PIXELS, SIDE_PIXELS))
    sed = [SedPoint("f160w", 1.6, 3.0, 0.1), SedPoint("irac-ch1", 3.6, 12.0, 0.2)]
    colour = in_colour([stamp] * 3, (1.0,) * 3, (1.0,) * 3)
    figure = galaxy_figure(colour, ("irac-ch1", stamp, stamp, 1.0), [(0.0, 0.0), (1.0, 2.0)], sed, 10.0)
    figure.savefig(io.BytesIO(), format="png", dpi=30)
    titles = [axes.get_title() or axes.get_title(loc="left") for axes in figure.axes]
    assert titles == ["a galaxy and its neighbours", "its light in irac-ch1", "neighbours removed", "flux [µJy]"]
    assert [len(axes.lines) for axes in figure.axes[:3]] == [2, 2, 1]
