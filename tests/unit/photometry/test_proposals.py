"""Proposals contain the sources beyond the detection image and the artefacts of a simulated image, and nothing else."""

from __future__ import annotations

import numpy as np
import pytest
from astropy.wcs import WCS
from unblend.images.masks import sample_mask
from unblend.photometry.proposals import artefacts, border_sources

SHAPE = (120, 140)
FWHM = 4.0
INSIDE = np.zeros(SHAPE, dtype=bool)
INSIDE[20:100, 20:120] = True


def scene(*sources: tuple[float, float, float]) -> np.ndarray:
    """Return unit white noise with PSFs (y, x, peak) in it."""
    y, x = np.indices(SHAPE)
    image = np.random.default_rng(3).normal(size=SHAPE)
    for y0, x0, peak in sources:
        image += peak * np.exp(-0.5 * ((y - y0) ** 2 + (x - x0) ** 2) / (FWHM / 2.3548) ** 2)
    return image


def places(found: np.ndarray) -> list[tuple[int, int]]:
    return sorted((round(y), round(x)) for y, x in zip(found["y"], found["x"], strict=True))


def artefacts_in(residual: np.ndarray, model: np.ndarray | None = None, segments: np.ndarray | None = None) -> dict:
    nothing = np.zeros(SHAPE)
    return artefacts(
        residual,
        np.ones(SHAPE),
        nothing if model is None else model,
        inside=INSIDE,
        segments=nothing.astype(bool) if segments is None else segments,
        fwhm_pixels=FWHM,
    )


def test_sources_beyond_the_detection_image_brightest_first():
    residual = scene((8, 30, 10.0), (110, 70, 30.0), (60, 60, 30.0))
    found = border_sources(residual, np.ones(SHAPE), INSIDE, FWHM)
    assert [(round(s["y"]), round(s["x"])) for s in found] == [(110, 70), (8, 30)]
    # above 4 sigma of the smoothed image and half a FWHM more
    assert FWHM < found["a"][1] < found["a"][0] < 3 * FWHM and np.array_equal(found["a"], found["b"])


def test_the_noise_map_is_used():
    residual, noise = scene(), np.ones(SHAPE)
    noise[:, :15] = 10.0
    residual[:, :15] *= 10.0
    assert len(border_sources(residual, noise, INSIDE, FWHM)) == 0
    flat = {"inside": INSIDE, "segments": ~INSIDE & INSIDE, "fwhm_pixels": FWHM}
    assert sum(map(len, artefacts(residual, noise, np.zeros(SHAPE), **flat).values())) == 0


def test_unobserved_pixels_are_not_sources():
    residual = scene((8, 30, 20.0))
    residual[100:] = np.nan
    assert places(border_sources(residual, np.ones(SHAPE), INSIDE, FWHM)) == [(8, 30)]


def test_each_kind_of_artefact():
    residual = scene((50, 50, 30.0), (8, 30, 30.0), (80, 40, -20.0))
    residual[70, 100] += 60.0  # a hot pixel
    for k in range(50):
        residual[5 + k // 2, 60 + k] += 30.0  # a trail
    found = artefacts_in(residual)
    assert {kind: len(entries) for kind, entries in found.items()} == {"hole": 1, "trail": 1, "sharp": 1, "source?": 1}
    assert places(found["hole"]) == [(80, 40)] and found["hole"]["peak"][0] < -8
    assert places(found["sharp"]) == [(70, 100)]
    assert places(found["source?"]) == [(50, 50)]  # the source beyond the detection image is not an artefact
    (trail,) = found["trail"]
    assert trail["a"] > 25 and trail["b"] < 5  # all of its 56 pixels
    assert trail["theta"] == pytest.approx(np.rad2deg(np.arctan(0.5)), abs=2.0)  # steps of a pixel in 50


def test_the_residual_of_a_galaxy_is_not_an_artefact():
    galaxy = scene((50, 50, 100.0)) - scene()
    residual = scene() + 0.2 * galaxy
    assert len(artefacts_in(residual)["source?"]) == 1
    assert sum(map(len, artefacts_in(residual, model=galaxy).values())) == 0
    segments = np.zeros(SHAPE, dtype=bool)
    segments[45:56, 45:56] = True
    assert sum(map(len, artefacts_in(residual, segments=segments).values())) == 0
    assert sum(map(len, artefacts_in(-residual, segments=segments).values())) == 0


def test_nothing_in_noise_alone():
    assert len(border_sources(scene(), np.ones(SHAPE), INSIDE, FWHM)) == 0
    assert sum(map(len, artefacts_in(scene()).values())) == 0


def tan(scale: float, crpix: tuple[float, float]) -> WCS:
    wcs = WCS(naxis=2)
    wcs.wcs.ctype, wcs.wcs.crval, wcs.wcs.crpix = ["RA---TAN", "DEC--TAN"], [53.0, -27.8], crpix
    wcs.wcs.cdelt = -scale / 3600, scale / 3600
    return wcs


def test_covered_pixels_are_those_whose_centre_falls_in_a_usable_one():
    # the detection image has 4 x 4 pixels of 0.1 arcsec, the band 3 x 3 of 0.2, one of which reaches beyond each side
    usable = np.ones((4, 4), dtype=bool)
    usable[3, 3] = False
    found = sample_mask(tan(0.2, (2.0, 2.0)), (3, 3), tan(0.1, (2.0, 2.0)), usable)
    assert found.tolist() == [[False, False, False], [False, True, True], [False, True, False]]


def test_an_image_of_senseless_numbers_is_no_crash():
    residual = np.random.default_rng(5).normal(size=SHAPE).astype(np.float32)
    with np.errstate(invalid="ignore"):
        senseless = residual.view(">f4").astype(float)  # the bytes in the order of another computer
    senseless[~np.isfinite(senseless)] = np.nan
    for values in (senseless, 1e300 * residual.astype(float)):
        with np.errstate(all="ignore"):
            found = artefacts_in(values)
        assert all(np.isfinite(kind["x"]).all() for kind in found.values())
