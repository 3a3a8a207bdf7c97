"""A model brighter than the light of its aperture is noticed; one as bright as it is not, whatever is masked."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from galaxy_stamps import BOX, fitting_psf, galaxy, group
from unblend.core.flags import Flag
from unblend.fits.group_data import group_pixels
from unblend.fits.growth_curve import is_beyond_growth_curve
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
    assert halo.members[0].sersic.total_flux > 1.3 * fit.members[0].sersic.total_flux
    model = evaluate_members(halo, fitting_psf(), BOX)
    assert is_beyond_growth_curve(1, data, group_pixels(data), NOTHING, model, halo.members[0].sersic.total_flux)
