"""A model brighter than the light of its aperture is noticed; one as bright as it is not, whatever is masked."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from galaxy_stamps import BOX, fitting_psf, galaxy, group
from unblend.core.flags import Flag
from unblend.fits.group_data import group_pixels
from unblend.fits.growth_curve import held_to_growth_curve, is_beyond_growth_curve
from unblend.fits.imfit import parameters_of, with_parameters
from unblend.fits.passes import evaluate_members, fit_first_pass, fit_second_pass
from unblend.fits.sky_level import SkyLevel

LIGHT = galaxy(25.0, 25.0, 3000.0, 1.0, 3.0, 0.2, 30.0)
NOTHING = np.zeros(BOX.shape)
SKY = SkyLevel(0.0, 0.02)


def judged(factor, *, others=NOTHING, data=None, **changes):
    """Return the judgement of a model that is brighter than the light by a factor."""
    data = group([LIGHT + others], sky_around=SKY) if data is None else data
    data = replace(data, **changes)
    return is_beyond_growth_curve(1, data, group_pixels(data), others, factor * LIGHT, factor * 3000.0)


def test_a_model_with_the_light_of_the_pixels_passes_and_a_brighter_one_does_not():
    assert not judged(1.0) and not judged(0.5) and not judged(1.1)
    assert judged(1.3)


def test_an_excess_within_the_noise_passes():
    # The aperture has some 500 pixels: an uncertain sky makes its sum uncertain by 500 × 1 = 17 % of the flux.
    assert not judged(1.3, sky_around=SkyLevel(0.0, 1.0))
    assert not judged(1.3, sky_around=None)


def test_the_sky_around_decides_not_that_of_the_fit():
    raised = group([LIGHT], sky_around=SkyLevel(0.0, 0.02))
    raised = replace(raised, image=raised.image - 2.0)
    assert judged(1.0, data=raised)  # the pixels are 2 too faint for the sky that is given: 1000 of 3000
    assert not judged(1.0, data=replace(raised, sky_around=SkyLevel(-2.0, 0.02)))


def test_masked_pixels_and_other_sources_do_not_count():
    mask = np.zeros(BOX.shape, dtype=bool)
    mask[:, 22:29] = True  # most of the light
    assert not judged(1.0, mask=mask)
    neighbour = galaxy(25.0, 34.0, 4000.0, 1.0, 2.0, 0.0, 0.0)
    assert not judged(1.0, others=neighbour) and judged(1.3, others=neighbour)


def test_a_source_without_segment_passes():
    data = group([LIGHT], sky_around=SKY)
    assert not judged(9.0, data=replace(data, segments=np.zeros(BOX.shape, dtype=int)))


def test_a_fit_is_flagged_if_its_wings_and_its_sky_have_traded():
    data = group([LIGHT], sky_around=SKY)
    fit = fit_second_pass(data, fitting_psf(), fit_first_pass(data, fitting_psf()))
    assert not fit.members[0].flags & Flag.BEYOND_GROWTH_CURVE
    # The first pass believes in a sky 1.5 too low. The second one starts with its wings, and cannot leave that sky.
    low = replace(data, sky_around=SkyLevel(-1.5, 0.001), image=data.image)
    halo = fit_first_pass(low, fitting_psf())
    assert halo.members[0].flux > 1.3 * fit.members[0].flux
    model = evaluate_members(halo, fitting_psf(), BOX)
    assert is_beyond_growth_curve(1, data, group_pixels(data), NOTHING, model, halo.members[0].flux)


@pytest.fixture(scope="module")
def halo():
    """Return the fit of a galaxy of flux 3000 with a sky that is 1.5 too low, flagged, and that of the true sky."""
    data, psf = group([LIGHT], sky_around=SKY), fitting_psf()
    low = replace(data, sky_around=SkyLevel(-1.5, 0.001))
    found = fit_second_pass(low, psf, fit_first_pass(low, psf))
    flagged = replace(found.members[0], flags=int(found.members[0].flags | Flag.BEYOND_GROWTH_CURVE))
    return replace(found, members=(flagged,)), fit_second_pass(data, psf, fit_first_pass(data, psf))


def test_a_model_beyond_its_growth_curve_is_fitted_again_with_the_sky_around_it(halo):
    wrong, right = halo
    assert wrong.members[0].flux > 1.3 * 3000.0
    asked = []

    def refit(earlier, beyond, sky):
        asked.append((earlier, beyond, sky.functions[0]["I_sky"]))
        return right

    held = held_to_growth_curve(wrong, SKY, refit)
    assert held_to_growth_curve(wrong, SKY, lambda *_: fainter(wrong, 0.98)).members[0].flags & Flag.SKY_HELD
    assert held.members[0].flux == right.members[0].flux == pytest.approx(3000.0, rel=0.05)
    assert held.members[0].flags == right.members[0].flags | Flag.SKY_HELD
    # the structure of the second fit is that of the first
    assert [earlier is each for (earlier, _, _), each in zip(asked, (wrong, right), strict=True)] == [True, True]
    for _, beyond, level in asked:
        assert beyond == {1} and level.fixed
        assert (level.value, level.lower, level.upper) == pytest.approx((0.0, -0.04, 0.04))


def fainter(fit, factor):
    (member,) = fit.members
    values = [replace(p, value=factor * p.value) if p.name == "I_e" else p for p in parameters_of(member.blocks)]
    return replace(fit, members=(replace(member, blocks=with_parameters(member.blocks, values)),))


@pytest.mark.parametrize("case", ["not beyond", "no sky around", "failed", "hardly fainter"])
def test_other_fits_stay_as_they_are(halo, case):
    wrong, right = halo
    fit = right if case == "not beyond" else wrong
    again = {"failed": replace(right, converged=False), "hardly fainter": fainter(wrong, 0.995)}.get(case, right)
    around = None if case == "no sky around" else SKY
    assert held_to_growth_curve(fit, around, lambda *_: again) is fit


def test_a_held_sky_is_not_fitted_and_its_error_is_in_that_of_the_flux():
    """The background around the galaxy is too low: a free sky follows it, and the galaxy gets a halo."""
    y, x = np.mgrid[: BOX.shape[0], : BOX.shape[1]]
    bowl = -1.2 * (np.hypot(y - 25.0, x - 25.0) > 14.0)
    data, psf = group([LIGHT], sky_around=SkyLevel(0.0, 0.3)), fitting_psf()
    data = replace(data, image=data.image + bowl)
    fit = fit_second_pass(data, psf, fit_first_pass(data, psf))
    (member,) = fit.members
    assert member.flags & Flag.SKY_HELD and fit.sky.value == 0.0 and fit.sky.fixed
    assert member.flux == pytest.approx(3000.0, rel=0.1)
    assert fit.sky.error == pytest.approx(0.3)
