from __future__ import annotations

import numpy as np
import pytest
from astropy.io import fits
from unblend.field.input_table import rms_warning, summary_of, table_lines, width_warning

SCALE, SIGMA = 0.1, 2.0


@pytest.fixture
def stars(tmp_path):
    """An image of 36 stars with noise 0.1 and a sixth without data, and a detection image twice as wide."""
    y, x = np.indices((240, 240))
    image = np.random.default_rng(1).normal(0.0, 0.1, y.shape)
    for row in range(20, 240, 40):
        for column in range(20, 240, 40):
            image += 50.0 * np.exp(-((y - row - 0.3) ** 2 + (x - column) ** 2) / (2 * SIGMA**2))
    image[:, 200:] = np.nan
    cards = {"CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CRVAL1": 53.0, "CRVAL2": -27.8, "BUNIT": "uJy"}
    cards |= {"CRPIX1": 120.5, "CRPIX2": 120.5, "CDELT1": -SCALE / 3600, "CDELT2": SCALE / 3600}
    fits.writeto(tmp_path / "stars.fits", image, fits.Header(cards))
    fits.writeto(tmp_path / "wide.fits", np.ones((240, 480)), fits.Header(cards | {"CRPIX1": 240.5}))
    return summary_of(str(tmp_path / "stars.fits"), str(tmp_path / "wide.fits"))


def test_what_an_image_shows(stars):
    assert (stars.shape, stars.unit) == ((240, 240), "uJy")
    assert stars.scale_arcsec == pytest.approx(SCALE, rel=1e-6)
    assert stars.noise == pytest.approx(0.1, rel=0.05)
    assert stars.without_data == pytest.approx(1 / 6, abs=1e-3)
    # five sixths of one half, on a lattice of 41 positions
    assert stars.overlap == pytest.approx(5 / 12, abs=0.02)
    assert stars.stars_fwhm_arcsec == pytest.approx(2.3548 * SIGMA * SCALE, rel=0.02)


def test_a_psf_that_is_wider_than_the_stars_is_warned_of(stars):
    assert width_warning("k", stars, 2.3548 * SIGMA * SCALE) is None
    assert width_warning("k", stars, 0.1) is None  # sources may be galaxies
    said = width_warning("k", stars, 3 * 2.3548 * SIGMA * SCALE)
    assert said is not None and said.startswith("bands.k: the PSF (FWHM 1.41 arcsec) is 3 times as wide as the most")


def test_the_columns_are_aligned(stars):
    lines = table_lines({"k": stars, "longer": stars}, {"k": "25.0", "longer": "-"}, {"k": 0.47, "longer": 0.47})
    assert len(lines) == 3
    for head in ("image", "unit", "noise", "overlap"):
        at = lines[0].index(head)
        assert all(line[at - 1] == " " and line[at] != " " for line in lines)
    assert lines[1].split()[:2] == ["k", "stars.fits"] and "uJy" in lines[1] and "16.7%" in lines[1]


@pytest.mark.parametrize("rms", [1e-30, 0.02, 3.0, 1e30])
def test_a_noise_that_is_not_the_scatter_of_the_pixels_is_named(stars, rms):
    said = rms_warning("k", stars, rms)
    assert said is not None and said.startswith(f"bands.k.rms is {rms:g}, and the pixels of ")
    assert " scatter by 0.1" in said


@pytest.mark.parametrize("rms", ["auto", 0.07, 0.1, 0.15])
def test_a_noise_that_agrees_is_not_named(stars, rms):
    assert rms_warning("k", stars, rms) is None
