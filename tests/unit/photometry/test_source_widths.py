"""The widths of bright sources tell whether a PSF belongs to its image."""

from __future__ import annotations

import numpy as np
import pytest
from gaussians import gaussian
from unblend.photometry.linear_system import model_image, solve_fluxes
from unblend.photometry.source_widths import compare_widths, spike_warning, width_warning

SIDE, RMS = 160, 1.0
PLACES = [(30.2, 30.4), (32.7, 120.1), (80.0, 75.5), (125.4, 35.2), (121.3, 118.8)]
FWHM = 2.3548


def comparison(true_sigmas, template_sigmas, psf_sigma, *, flux=3000.0, places=PLACES, seed=1, mask=None, hits=()):
    """Return the comparison of Gaussian sources with templates of other widths, and of a PSF of width psf_sigma."""
    shape = (SIDE, SIDE)

    def templates(sigmas):
        return [
            gaussian(k, y, x, shape, sigma=s, half=5 * s + 2)
            for k, ((y, x), s) in enumerate(zip(places, sigmas, strict=True), 1)
        ]

    image = model_image(templates(true_sigmas), np.full(len(places), flux), shape, 7.0)
    image += RMS * np.random.default_rng(seed).standard_normal(shape)
    for y, x in hits:
        image[y, x] += 1500.0
    weight = np.full(shape, RMS**-2)
    if mask is not None:
        weight[mask] = 0.0
    used = templates(template_sigmas)
    return compare_widths(image, weight, used, solve_fluxes(image, weight, used), FWHM * psf_sigma)


def test_a_psf_that_belongs_to_the_image_gives_equal_widths():
    found = comparison([1.5] * 5, [1.5] * 5, 1.5)
    assert sorted(found.ids) == [1, 2, 3, 4, 5]
    # S/N of the peak 200: noise changes a width by about 0.5 %
    np.testing.assert_allclose(found.measured, FWHM * 1.5, rtol=0.03)
    np.testing.assert_allclose(found.expected, FWHM * 1.5, rtol=0.03)
    assert found.contradiction is None and width_warning(found, "k", 1.0, 0.1) is None


@pytest.mark.parametrize("factor", [1.4, 2.0, 5.0])
def test_a_psf_wider_than_the_sources_is_a_contradiction(factor):
    found = comparison([1.5] * 5, [1.5 * factor] * 5, 1.5 * factor)
    assert found.contradiction == pytest.approx(1 / factor, rel=0.05)


def test_extended_sources_show_a_psf_that_is_too_wide_too():
    # galaxies of sigma 2 seen with a PSF of 1.5, and with one of 7.5
    found = comparison([2.5] * 5, [float(np.hypot(2.0, 7.5))] * 5, 7.5)
    assert found.contradiction == pytest.approx(2.5 / np.hypot(2.0, 7.5), rel=0.05)


def test_a_psf_narrower_than_compact_sources_is_a_contradiction():
    assert comparison([3.0] * 5, [1.5] * 5, 1.5).contradiction == pytest.approx(2.0, rel=0.05)


def test_the_own_size_of_galaxies_does_not_hide_a_wrong_psf():
    # galaxies of sigma 0.9 seen with a PSF of 2, and with one of 1.5: their widths differ by a quarter alone
    seen, expected = float(np.hypot(0.9, 2.0)), float(np.hypot(0.9, 1.5))
    assert seen / expected < 1.26
    assert comparison([seen] * 5, [expected] * 5, 1.5).contradiction == pytest.approx(2.0 / 1.5, rel=0.05)
    # a galaxy a tenth larger in this band than in the detection image is no contradiction
    assert comparison([float(np.hypot(0.99, 1.5))] * 5, [expected] * 5, 1.5).contradiction is None


def test_five_very_compact_sources_show_a_psf_that_is_a_sixth_too_narrow():
    assert comparison([1.75] * 5, [1.5] * 5, 1.5).contradiction == pytest.approx(1.75 / 1.5, rel=0.03)
    assert comparison([1.25] * 5, [1.5] * 5, 1.5).contradiction == pytest.approx(1.25 / 1.5, rel=0.03)
    assert comparison([1.75] * 4, [1.5] * 4, 1.5, places=PLACES[:4]).contradiction is None
    assert comparison([1.65] * 5, [1.5] * 5, 1.5).contradiction is None


def test_five_compact_sources_show_a_psf_that_is_a_fifth_too_narrow():
    """The width of a PSF that is 0.8 times its own: galaxies of 1.3 times its FWHM are wider than their templates."""
    own, psf = 1.05, 1.2
    seen, expected = float(np.hypot(1.5, own)), float(np.hypot(psf, own))
    assert 1.25 * psf < expected < 1.5 * psf and 1.5**2 / psf**2 > 1.15
    assert comparison([seen] * 5, [expected] * 5, psf).contradiction == pytest.approx(seen / expected, rel=0.03)
    assert comparison([seen] * 4, [expected] * 4, psf, places=PLACES[:4]).contradiction is None


def test_a_psf_that_is_three_times_too_narrow_for_galaxies_without_a_compact_one():
    seen, expected = float(np.hypot(1.4, 2.4)), float(np.hypot(1.4, 0.8))
    assert expected > 1.5 * 0.8
    assert comparison([seen] * 5, [expected] * 5, 0.8).contradiction == pytest.approx(3.0, rel=0.1)


def test_extended_sources_wider_than_their_templates_are_a_matter_of_their_models():
    assert comparison([6.0] * 5, [4.0] * 5, 1.5, flux=20000.0).contradiction is None


def test_two_sources_are_no_proof():
    assert comparison([1.5] * 2, [7.5] * 2, 7.5, places=PLACES[:2]).contradiction is None
    assert comparison([1.5] * 3, [7.5] * 3, 7.5, places=PLACES[:3]).contradiction == pytest.approx(0.2, rel=0.05)


def test_faint_masked_and_blended_sources_are_not_compared():
    assert comparison([1.5] * 5, [1.5] * 5, 1.5, flux=200.0).ids.size == 0
    mask = np.zeros((SIDE, SIDE), dtype=bool)
    mask[30, 30] = True
    assert sorted(comparison([1.5] * 5, [1.5] * 5, 1.5, mask=mask).ids) == [2, 3, 4, 5]
    pair = [(30.0, 30.0), (30.0, 33.0), *PLACES[1:4]]
    found = comparison([1.5] * 5, [1.5] * 5, 1.5, places=pair)
    assert sorted(found.ids[found.isolated]) == [3, 4, 5]


def test_cosmic_rays_beside_sources_are_no_contradiction():
    hits = [(int(y) + 3, int(x) - 4) for y, x in PLACES]
    found = comparison([1.5] * 5, [1.5] * 5, 1.5, hits=hits[:3])
    assert sorted(found.ids) == [4, 5] and found.contradiction is None


def test_single_bright_pixels_are_no_sources_of_a_width():
    hits = [(40, 60), (60, 100), (90, 110)]
    rays = [(*hit, 0.3) for hit in hits]
    places, sigmas = [*PLACES, *hits], [1.5] * 5 + [s for _, _, s in rays]
    found = comparison(sigmas, [1.5] * 8, 1.5, places=places)
    assert sorted(found.ids) == [1, 2, 3, 4, 5] and found.single == 3 and found.contradiction is None
    assert spike_warning(found, "k").startswith("k: 3 of 8 bright sources are single bright pixels")
    assert spike_warning(comparison([1.5] * 5, [1.5] * 5, 1.5), "k") is None


def test_the_sentence_says_what_to_check():
    found = comparison([1.5] * 5, [7.5] * 5, 7.5)
    text = width_warning(found, "k", 1.0, 0.1)
    assert text.startswith("k: the PSF (FWHM 1.77 arcsec) is about 5.0 times too wide for the bright sources")
    assert "check bands.k.psf and psf_oversampling, which is 1 and would have to be about 5." in text
    assert "times too narrow" in width_warning(comparison([3.0] * 5, [1.5] * 5, 1.5), "k", 2.0, 0.1)
