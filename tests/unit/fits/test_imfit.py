from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from galaxy_stamps import BOX, fitting_psf, galaxy, group, psf_array, star
from unblend.core.types import Box
from unblend.fits.group_data import group_pixels
from unblend.fits.imfit import (
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


def block_without_limits(y, x, name, **values):
    return Block(
        Parameter("Y0", y), Parameter("X0", x), (Function(name, tuple(Parameter(k, v) for k, v in values.items())),)
    )


def test_model_images_agree_with_galsim():
    i_e = 3000.0 / total_flux(1.0, 4.0, 0.4, 1.0)
    image = evaluate_blocks([sersic(124.3, 227.6, 30.0, 0.4, 1.0, i_e, 4.0)], BOX, fitting_psf())
    truth = galaxy(24.3, 27.6, 3000.0, 1.0, 4.0, 0.4, 30.0)
    # IMFIT samples pixels outside its sub-sampled region at their centre, which costs 1e-3 of the peak
    assert np.abs(image - truth).max() < 3e-3 * truth.max()


def test_the_model_of_a_source_outside_the_box_extends_into_it():
    block = sersic(124.3, 227.6, 30.0, 0.4, 1.0, 10.0, 4.0)
    whole = evaluate_blocks([block], BOX, fitting_psf())
    part = evaluate_blocks([block], Box(130, 200, 152, 252), fitting_psf())
    # IMFIT pads by one PSF, so that no flux is lost here; the difference is the rounding of the FFT
    assert np.allclose(part, whole[30:], atol=1e-10)


def test_without_blocks_the_image_is_zero():
    assert not evaluate_blocks([], BOX, fitting_psf()).any()


def test_a_point_source_is_drawn_with_the_effective_psf():
    block = block_without_limits(125.0, 226.0, "PointSource", I_tot=500.0)
    image = evaluate_blocks([block], BOX, fitting_psf())
    # the crop to 31 pixels removes 1e-3 of the flux
    assert np.abs(image - star(25.0, 26.0, 500.0)).max() < 3e-3 * image.max()
    assert image.sum() == pytest.approx(500.0)
    side = fitting_psf().shape[0]
    effective = psf_array()[15:46, 15:46]
    assert np.abs(psf_for([block], fitting_psf()) - effective / effective.sum()).max() < 3e-3 * effective.max()
    assert psf_for([sersic(0, 0, 0, 0, 1, 1, 1)], fitting_psf()).shape == (side, side)


def test_a_psf_without_a_positive_sum_is_an_error():
    with pytest.raises(ValueError, match="positive sum"):
        evaluate_blocks([sersic(124, 227, 30, 0.4, 1, 10, 4)], BOX, np.zeros((5, 5)))


def test_fixed_values_and_ids_are_unchanged_by_a_fit():
    data = group([galaxy(24.3, 27.6, 3000.0, 1.0, 4.0, 0.4, 30.0)])
    start = sersic(124.5, 227.4, 40.0, 0.3, 1.1, 20.0, 3.5)
    start = start.with_parameters([Parameter("n", 1.1, fixed=True) if p.name == "n" else p for p in start.parameters])
    start = replace(start, id=9)
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


def test_a_gaussian_on_fine_pixels():
    block = block_without_limits(120.3, 221.7, "Gaussian", PA=0.0, ell=0.0, I_0=2.0, sigma=1.5)
    image = draw_functions([block], (61, 73), 3, reference=(120.0, 221.0), centre=(30, 35))
    y, x = np.mgrid[:61, :73]
    radius2 = ((y - 30) / 3.0 - 0.3) ** 2 + ((x - 35) / 3.0 - 0.7) ** 2
    # the mean of nine samples differs from the value at the centre to second order in the pixel size
    assert np.abs(image * 9.0 - 2.0 * np.exp(-radius2 / (2 * 1.5**2))).max() < 0.01
    assert image.sum() == pytest.approx(2.0 * 2 * np.pi * 1.5**2, rel=1e-6)


def test_a_point_source_on_fine_pixels_keeps_flux_and_centroid():
    block = block_without_limits(120.3, 221.7, "PointSource", I_tot=5.0)
    image = draw_functions([block], (21, 21), 5, reference=(120.25, 221.5), centre=(10, 10))
    y, x = np.mgrid[:21, :21]
    assert image.sum() == pytest.approx(5.0)
    assert (image * y).sum() / 5.0 == pytest.approx(10 + 0.05 * 5)
    assert (image * x).sum() / 5.0 == pytest.approx(10 + 0.2 * 5)


def test_parameters_of_blocks_can_be_replaced():
    blocks = (sersic(1, 2, 3, 0.4, 5, 6, 7), sky_block(9.0, 3.0))
    assert with_parameters(blocks, parameters_of(blocks)) == blocks
    sky = blocks[1].functions[0]["I_sky"]
    assert (sky.value, sky.lower, sky.upper) == (9.0, 6.0, 12.0)
