"""The figure of the stars of a PSF: what is drawn for each star, and the light in circles."""

from __future__ import annotations

import numpy as np
import pytest
from unblend.images.star_psf import BuiltPsf, StarStamp
from unblend.io.tables import columns
from unblend.report.star_figure import SHOWN, light_in_circles, star_figure, used_stars


def built_psf(number):
    y, x = np.mgrid[-10:11, -10:11]
    light = np.exp(-(y**2 + x**2) / 8.0)
    light /= light.sum()
    rng = np.random.default_rng(1)
    noise = rng.normal(0.0, 1.0, (number, 21, 21))
    stars = tuple(
        StarStamp(1000.0 * light + 2.0 + one, np.ones((21, 21)), 10.0, 10.0, 1000.0, np.zeros((0, 3)), 2.0)
        for one in noise
    )
    residuals = noise / 1000.0
    residuals[0, :3] = np.nan
    return BuiltPsf(light, 1, 1.0, stars, tuple(residuals), np.zeros(number), np.full(number, 1.0 / number), 4.7)


def stars_of(number):
    """Return the table of stars along a diagonal of the image."""
    place, state = np.linspace(10.0, 90.0, number + 1), np.array(["used"] * number + ["blended"])
    numbers = {"x": place, "y": place, "fwhm": 0.0 * place + 0.5, "ell": 0.0 * place + 0.1, "pa": 0.0 * place + 90.0}
    return used_stars(columns(**numbers, state=state))


@pytest.mark.parametrize("number", [3, SHOWN + 4])
def test_each_star_has_a_stamp_and_a_residual(number):
    figure = star_figure("k", built_psf(number), stars_of(number), (100, 200))
    shown = min(number, SHOWN)
    assert len(figure.axes) == 2 * shown + 5  # the last one is the scale of the colours
    assert figure.axes[0].get_title() == f"{100 / number:.0f} %"
    assert figure.axes[-5].get_title() == f"PSF of k from {number} stars"
    (line,), stars = figure.axes[-4].lines, figure.axes[-3].lines
    whiskers = figure.axes[-2].lines
    # a tenth of the longer side, along x
    assert len(whiskers) == number and np.abs(np.diff(whiskers[0].get_xdata())) == pytest.approx(20.0)
    assert np.diff(whiskers[0].get_ydata()) == pytest.approx(0.0, abs=1e-9)
    light = line.get_ydata()
    assert (np.diff(light) > 0).all() and light[-1] == pytest.approx(1.0, abs=0.01)
    assert len(stars) == number
    # noise of 1 over a flux of 1000, in a circle of 10 pixels: 1.8 %
    assert np.std([star.get_ydata()[-1] for star in stars]) == pytest.approx(1.8, rel=0.6)


def test_light_in_circles_is_that_of_their_area():
    image = np.ones((41, 41))
    radii = np.array([3.0, 8.0, 15.0])
    np.testing.assert_allclose(light_in_circles(image, (20.0, 20.3), radii), np.pi * radii**2, rtol=0.02)
    image[:, :20] = np.nan
    assert light_in_circles(image, (20.0, 19.5), radii)[1] == pytest.approx(np.pi * 32.0, rel=0.02)
