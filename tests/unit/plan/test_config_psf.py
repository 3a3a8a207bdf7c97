"""The PSF of a band as a file or built from stars: what can be given together, and what cannot."""

from __future__ import annotations

import pytest
from small_config import load
from unblend.core.errors import ConfigError


def psf_of(value, *edits):
    return load(("bands/f125w/psf", value), *edits).bands["f125w"].psf


def test_a_name_alone_is_a_file():
    psf = psf_of("psf.fits")
    assert (psf.file, psf.polygons, psf.stars) == ("psf.fits", None, None)
    assert not load().bands["f125w"].has_star_psf


def test_stars_are_found_or_given():
    psf = psf_of({"stars": "auto"})
    assert (psf.file, psf.stars, psf.oversampling, psf.size) == (None, "auto", None, None)
    psf = psf_of({"stars": "stars.reg", "oversampling": 3, "size": 2.5})
    assert (psf.stars, psf.oversampling, psf.size) == ("stars.reg", 3, 2.5)
    assert load(("bands/f125w/psf", {"stars": "auto"})).bands["f125w"].has_star_psf


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({}, "expected file, a PSF, or stars, from which it is built; found neither"),
        ({"file": None, "stars": None}, "found neither"),
        ({"file": "a.fits", "stars": "auto"}, "found both"),
        ({"file": "a.fits", "size": 3.0}, "size cannot be given with file: remove it"),
        ({"stars": "auto", "polygons": "a.reg"}, "polygons cannot be given with stars: remove it"),
        ({"stars": "auto", "oversampling": 6}, "psf.oversampling is 6: expected a whole number from 1 to 5 or null"),
        ({"stars": "auto", "oversampling": 1.5}, "psf.oversampling is 1.5"),
        ({"stars": "auto", "size": 0}, "psf.size is 0"),
        ({"stars": 3}, "psf.stars is 3: expected text"),
    ],
)
def test_what_cannot_be_meant_is_an_error(value, message):
    with pytest.raises(ConfigError, match=message):
        psf_of(value)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("psf_oversampling", 2.0, "psf_oversampling is that of the file of a PSF"),
        ("psf_kind", "optical", "psf_kind: a PSF built from stars can only be effective"),
    ],
)
def test_keys_of_a_file_contradict_stars(key, value, message):
    with pytest.raises(ConfigError, match=message):
        psf_of({"stars": "auto"}, (f"bands/f125w/{key}", value))


def test_the_fits_need_stars_of_a_detection_image():
    stars = ("bands/irac-ch1/psf", {"stars": "auto"})
    load(stars)
    with pytest.raises(
        ConfigError, match=r"models.psf: the PSF of irac-ch1 is built from the stars .* not a detection image"
    ):
        load(stars, ("models/psf", "irac-ch1"))
