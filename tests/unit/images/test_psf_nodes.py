from __future__ import annotations

import numpy as np
from changing_psf import SHAPE, drawn_psf
from unblend.core.field_psf import FieldPsf, PixelGrid
from unblend.core.types import Psf
from unblend.images.psf_nodes import MAX_ERROR, sampled_psf


def test_a_psf_that_does_not_change_has_four_nodes():
    y, x, images = sampled_psf(lambda row, column: 7.0 * drawn_psf(0, 0), SHAPE)
    assert (y.tolist(), x.tolist(), images.shape) == ([0.0, 119.0], [0.0, 199.0], (4, 41, 41))
    np.testing.assert_allclose(images.sum(axis=(1, 2)), 1.0)


def test_interpolation_between_the_nodes_is_good_to_a_thousandth_of_the_light():
    y, x, images = sampled_psf(drawn_psf, SHAPE)
    field = FieldPsf(tuple(Psf(image, (20.0, 20.0), 2.0) for image in images), PixelGrid(y, x))
    places = np.random.default_rng(3).uniform((0, 0), SHAPE, (12, 2))
    errors = [0.5 * np.abs(field.at(*place).data - drawn_psf(*place)).sum() for place in places]
    assert max(errors) < MAX_ERROR
    assert len(images) == 81


def test_the_number_of_nodes_is_limited():
    noise = np.random.default_rng(4)
    y, x, images = sampled_psf(lambda row, column: noise.uniform(size=(3, 3)), SHAPE)
    assert (y.size, x.size, len(images)) == (33, 33, 33**2)
