from __future__ import annotations

import numpy as np
import pytest
from galaxy_stamps import BOX, fitting_psf, galaxy, group, psf_array, star
from unblend.core.nouns import Box
from unblend.fits.group_data import group_pixels
from unblend.fits.imfit import (
    covariance,
    draw_functions,
    evaluate_blocks,
    minimise,
    parameters_of,
    psf_for,
    sky_block,
    with_parameters,
)
from unblend.fits.imfit_config import Block, Function, Parameter
from unblend.models.sersic import total_flux

NAMES = ("PA", "ell", "n", "I_e", "r_e")


def sersic(y, x, pa, ell, n, i_e, r_e):
    limits = {"ell": (0.0, 0.95), "n": (0.1, 8.0), "I_e": (0.0, 1e4 * i_e), "r_e": (0.01, 30.0)}
    parameters = (Parameter(k, v, *limits.get(k, ())) for k, v in zip(NAMES, (pa, ell, n, i_e, r_e), strict=True))
    return Block(
        Parameter("Y0", y, y - 3, y + 3), Parameter("X0", x, x - 3, x + 3), (Function("Sersic", tuple(parameters)),)
    )


def plain(y, x, name, **values):
    return Block(
        Parameter("Y0", y), Parameter("X0", x), (Function(name, tuple(Parameter(k, v) for k, v in values.items())),)
    )


def test_model_images_agree_with_galsim():
    i_e = 3000.0 / total_flux(1.0, 4.0, 0.4, 1.0)
    image = evaluate_blocks([sersic(124.3, 227.6, 30.0, 0.4, 1.0, i_e, 4.0)], BOX, fitting_psf())
    truth = galaxy(24.3, 27.6, 3000.0, 1.0, 4.0, 0.4, 30.0)
    # IMFIT samples pixels farther than its sub-sampling reaches at their centre: 1e-3 of the peak
    assert np.abs(image - truth).max() < 3e-3 * truth.max()


def test_the_model_of_a_source_off_the_box_reaches_into_it():
    block = sersic(124.3, 227.6, 30.0, 0.4, 1.0, 10.0, 4.0)
    whole = evaluate_blocks([block], BOX, fitting_psf())
    part = evaluate_blocks([block], Box(130, 200, 152, 252), fitting_psf())
    # IMFIT pads by one PSF: the light beyond it is lost, here nothing; the rest is the FFT's rounding
    assert np.allclose(part, whole[30:], atol=1e-10)


def test_no_blocks_no_light():
    assert not evaluate_blocks([], BOX, fitting_psf()).any()


def test_a_point_source_is_seen_through_the_effective_psf():
    block = plain(125.0, 226.0, "PointSource", I_tot=500.0)
    image = evaluate_blocks([block], BOX, fitting_psf())
    # the crop to 31 pixels leaves 1e-3 of the light out
    assert np.abs(image - star(25.0, 26.0, 500.0)).max() < 3e-3 * image.max()
    assert image.sum() == pytest.approx(500.0)
    side = fitting_psf().shape[0]
    seen = psf_array()[15:46, 15:46]
    assert np.abs(psf_for([block], fitting_psf()) - seen / seen.sum()).max() < 3e-3 * seen.max()
    assert psf_for([sersic(0, 0, 0, 0, 1, 1, 1)], fitting_psf()).shape == (side, side)


def test_a_psf_without_light_is_refused():
    with pytest.raises(ValueError, match="positive sum"):
        evaluate_blocks([sersic(124, 227, 30, 0.4, 1, 10, 4)], BOX, np.zeros((5, 5)))


def test_solve_keeps_fixed_values_and_ids_to_the_bit():
    data = group([galaxy(24.3, 27.6, 3000.0, 1.0, 4.0, 0.4, 30.0)])
    start = sersic(124.5, 227.4, 40.0, 0.3, 1.1, 20.0, 3.5)
    held = [Parameter("n", 1.1, fixed=True) if p.name == "n" else p for p in start.parameters]
    start = Block(*(lambda b: (b.y0, b.x0, b.functions))(start.with_parameters(held)), id=9)
    best = minimise([start, sky_block(0.1, 3.0)], group_pixels(data), fitting_psf())
    assert best is not None and best.converged
    assert best.blocks[0].functions[0]["n"].value == 1.1 and best.blocks[0].id == 9
    assert best.blocks[0].functions[0]["r_e"].value == pytest.approx(3.9, abs=0.3)
    assert 0.0 <= best.blocks[0].functions[0]["PA"].value < 180.0


def test_the_unit_of_the_image_does_not_matter():
    data = group([galaxy(24.3, 27.6, 3000.0, 1.0, 4.0, 0.4, 30.0)])
    pixels = group_pixels(data)
    tiny = 2.0**-60
    faint = group_pixels(group([galaxy(24.3, 27.6, 3000.0, 1.0, 4.0, 0.4, 30.0)]))
    faint = type(faint)(faint.box, pixels.image * tiny, pixels.error * tiny, pixels.mask)
    one = minimise([sersic(124.5, 227.4, 40.0, 0.3, 1.1, 20.0, 3.5), sky_block(0.0, 3.0)], pixels, fitting_psf())
    other = minimise(
        [sersic(124.5, 227.4, 40.0, 0.3, 1.1, 20.0 * tiny, 3.5), sky_block(0.0, 3.0 * tiny)], faint, fitting_psf()
    )
    assert one is not None and other is not None
    assert other.chi2 == one.chi2
    assert other.blocks[0].functions[0]["r_e"].value == one.blocks[0].functions[0]["r_e"].value
    assert other.blocks[0].functions[0]["I_e"].value == tiny * one.blocks[0].functions[0]["I_e"].value


def test_covariance_of_a_flux_and_a_sky_by_hand():
    # a point source of known place and a sky are a linear problem with a textbook answer
    data = group([star(25.0, 26.0, 500.0)], rms=2.0)
    pixels = group_pixels(data)
    point = Block(
        Parameter("Y0", 125.0, fixed=True),
        Parameter("X0", 226.0, fixed=True),
        (Function("PointSource", (Parameter("I_tot", 500.0, 0.0, 1e6),)),),
    )
    matrix = covariance([point, sky_block(0.0, 6.0)], pixels, fitting_psf())
    profile = evaluate_blocks([point], BOX, fitting_psf()) / 500.0
    design = np.stack([profile.ravel(), np.ones(profile.size)])
    truth = 4.0 * np.linalg.inv(design @ design.T)
    assert np.allclose(matrix[np.ix_([2, 5], [2, 5])], truth, rtol=1e-6)
    # what was held has no variance
    assert not matrix[[0, 1, 3, 4]].any()


def test_covariance_agrees_with_imfits_errors():
    data = group([galaxy(24.3, 27.6, 3000.0, 1.5, 4.0, 0.4, 30.0)])
    best = minimise(
        [sersic(124.3, 227.6, 30.0, 0.4, 1.5, 10.0, 4.0), sky_block(0.0, 3.0)], group_pixels(data), fitting_psf()
    )
    assert best is not None
    matrix = covariance(best.blocks, group_pixels(data), fitting_psf())
    theirs = np.array([parameter.error for parameter in parameters_of(best.blocks)])
    free = theirs > 0
    assert free.sum() == 8
    # both are finite differences of a model that IMFIT sub-samples
    assert np.allclose(np.sqrt(np.diag(matrix))[free], theirs[free], rtol=0.03)


def test_what_the_data_cannot_tell_apart_has_a_large_error():
    data = group([galaxy(24.3, 27.6, 3000.0, 1.0, 4.0, 0.4, 30.0)])
    twin = sersic(124.3, 227.6, 30.0, 0.4, 1.0, 10.0, 4.0)
    alone = covariance([twin, sky_block(0.0, 3.0)], group_pixels(data), fitting_psf())
    both = covariance([twin, twin, sky_block(0.0, 3.0)], group_pixels(data), fitting_psf())
    assert np.all(np.isfinite(both))
    assert both[5, 5] > 1e4 * alone[5, 5]


def test_drawing_a_gaussian_on_fine_pixels():
    block = plain(120.3, 221.7, "Gaussian", PA=0.0, ell=0.0, I_0=2.0, sigma=1.5)
    image = draw_functions([block], (61, 73), 3, reference=(120.0, 221.0), centre=(30, 35))
    y, x = np.mgrid[:61, :73]
    radius2 = ((y - 30) / 3.0 - 0.3) ** 2 + ((x - 35) / 3.0 - 0.7) ** 2
    # the mean of nine samples against the value at the centre: second order in the pixel, 1/(9 sigma)² / 24 of it
    assert np.abs(image * 9.0 - 2.0 * np.exp(-radius2 / (2 * 1.5**2))).max() < 0.01
    assert image.sum() == pytest.approx(2.0 * 2 * np.pi * 1.5**2, rel=1e-6)


def test_drawing_a_point_source_keeps_flux_and_centroid():
    block = plain(120.3, 221.7, "PointSource", I_tot=5.0)
    image = draw_functions([block], (21, 21), 5, reference=(120.25, 221.5), centre=(10, 10))
    y, x = np.mgrid[:21, :21]
    assert image.sum() == pytest.approx(5.0)
    assert (image * y).sum() / 5.0 == pytest.approx(10 + 0.05 * 5)
    assert (image * x).sum() / 5.0 == pytest.approx(10 + 0.2 * 5)


def test_parameters_in_and_out():
    blocks = (sersic(1, 2, 3, 0.4, 5, 6, 7), sky_block(9.0, 3.0))
    assert with_parameters(blocks, parameters_of(blocks)) == blocks
    assert blocks[1].functions[0]["I_sky"].value == 3.0  # clipped to its range
