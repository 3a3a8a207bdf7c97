"""Exposure times and coverages, by the unit in the header or by the name."""

from __future__ import annotations

import numpy as np
import pytest
from astropy.io import fits
from unblend.core.errors import InputError
from unblend.plan.found_images import find_images
from unblend.plan.found_weights import counts_by_unit, found_weight

CARDS = {"CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CRVAL1": 53.0, "CRVAL2": -27.8, "CRPIX1": 20.0, "CRPIX2": 20.0,
         "CD1_1": -2e-5, "CD2_2": 2e-5, "CD1_2": 0.0, "CD2_1": 0.0}  # fmt: skip
FRAMES = 1.0 + np.arange(200) // 20 * np.ones((160, 1))


def write(path, data, **cards):
    fits.PrimaryHDU(data, fits.Header({**CARDS, **cards})).writeto(path)
    return str(path)


@pytest.mark.parametrize(
    ("cards", "counts"),
    [
        ({"BUNIT": "SECOND"}, "exposure times"), ({"BUNIT": "s"}, "exposure times"),
        ({"BUNIT": "sec"}, "exposure times"), ({"WHTTYPE": "EXP", "BUNIT": "UNITLESS"}, "exposure times"),
        ({"BUNIT": "coverage"}, "coverages"), ({"BUNIT": "N_frames"}, "coverages"),
        ({"BUNIT": "number of exposures"}, "coverages"), ({"WHTTYPE": "IVM"}, ""), ({"BUNIT": "MJy/sr"}, ""),
        ({"BUNIT": "electrons/s"}, ""), ({"BUNIT": "e-/s"}, ""), ({}, ""),
    ],
)  # fmt: skip
def test_what_a_header_says(cards, counts):
    assert counts_by_unit(cards) == counts


@pytest.mark.parametrize(
    ("name", "cards", "meaning"),
    [
        ("k_wht.fits", {}, "inverse variance, up to a factor"),
        ("k_wht.fits", {"BUNIT": "SECOND"}, "exposure times: inverse variance, up to a factor"),
        ("k_exp.fits", {}, "exposure times: inverse variance, up to a factor"),
        ("k_cov.fits", {}, "coverages: inverse variance, up to a factor"),
        ("k_rms.fits", {}, "noise of a pixel, in image units"),
    ],
)
def test_what_a_map_is(tmp_path, name, cards, meaning):
    assert found_weight(write(tmp_path / name, FRAMES, **cards)).meaning == meaning


def test_an_inverse_variance_is_better_than_a_coverage_and_that_than_the_noise(tmp_path):
    noise = 0.1 * FRAMES**-0.5
    image = write(tmp_path / "k_sci.fits", noise * np.random.default_rng(1).normal(size=noise.shape))
    found = []
    for name, values in (("k_unc", noise), ("k_cov", FRAMES), ("k_wht", noise**-2)):
        write(tmp_path / f"{name}.fits", values)
        (entry,), _ = find_images([image])
        found.append((entry.weight.file.rsplit("/", 1)[1], entry.weight.kind))
    assert found == [("k_unc.fits", "rms"), ("k_cov.fits", "weight"), ("k_wht.fits", "weight")]


def test_a_map_of_seconds_is_no_image(tmp_path):
    write(tmp_path / "k.fits", np.random.default_rng(1).normal(size=FRAMES.shape), BUNIT="MJy/sr")
    write(tmp_path / "k2.fits", 90.0 * FRAMES, BUNIT="s")
    images, problems = find_images([str(tmp_path)])
    assert [image.file.rsplit("/", 1)[1] for image in images] == ["k.fits"]
    assert any(
        "k2.fits is not used: by its header it is no image, but a map of exposure times" in problem
        for problem in problems
    )
    with pytest.raises(InputError, match="no image, but a map of exposure times"):
        find_images([str(tmp_path / "k2.fits")])


def test_a_coverage_that_rises_with_the_noise_is_not_used(tmp_path):
    """Counts that were not divided by the exposure time."""
    image = FRAMES**0.5 * np.random.default_rng(1).normal(size=FRAMES.shape)
    write(tmp_path / "k_exp.fits", 93.6 * FRAMES)
    (entry,), _ = find_images([write(tmp_path / "k.fits", image)])
    assert entry.weight is None and any("divide it by the map" in note for note in entry.notes)
