from __future__ import annotations

import numpy as np
import pytest
from unblend.core.types import Box
from unblend.photometry.background_polynomial import BackgroundPolynomial

SHAPE = (31, 41)
Y, X = np.meshgrid(np.linspace(-1, 1, 31), np.linspace(-1, 1, 41), indexing="ij")


def term_images(polynomial):
    return np.array([polynomial.image(unit) for unit in np.eye(len(polynomial.terms))])


def test_terms_of_the_second_order_by_hand():
    polynomial = BackgroundPolynomial(SHAPE, 2)
    assert polynomial.terms == ((0, 0), (1, 0), (0, 1), (2, 0), (1, 1), (0, 2))
    expected = [np.ones(SHAPE), Y, X, 2 * Y**2 - 1, Y * X, 2 * X**2 - 1]
    np.testing.assert_allclose(term_images(polynomial), expected, atol=1e-14)


@pytest.mark.parametrize(("order", "terms"), [(0, 1), (1, 3), (3, 10), (5, 21)])
def test_sums_over_terms_agree_with_plain_ones(order, terms):
    rng = np.random.default_rng(order)
    polynomial, weight = BackgroundPolynomial(SHAPE, order), rng.uniform(0.5, 2.0, SHAPE)
    images = term_images(polynomial)
    assert len(polynomial.terms) == terms
    np.testing.assert_allclose(polynomial.products(weight), (images * weight).sum(axis=(1, 2)), rtol=1e-12, atol=1e-9)
    expected = np.einsum("ayx,byx->ab", images * weight, images)
    np.testing.assert_allclose(polynomial.corner(weight), expected, rtol=1e-12, atol=1e-9)
    box = Box(4, 7, 12, 20)
    stamps = rng.normal(size=(3, *box.shape))
    expected = np.einsum("ayx,syx->sa", images[(slice(None), *box.slices)], stamps)
    np.testing.assert_allclose(polynomial.products(stamps, box), expected, rtol=1e-12, atol=1e-12)
    coefficients = rng.normal(size=terms)
    whole = polynomial.image(coefficients)
    np.testing.assert_allclose(whole, np.tensordot(coefficients, images, 1), atol=1e-12)
    np.testing.assert_allclose(polynomial.image(coefficients, box), whole[box.slices], atol=1e-14)


def test_the_mean_level_over_the_usable_pixels():
    polynomial = BackgroundPolynomial(SHAPE, 1)
    coefficients = np.array([2.0, 0.0, 1.0])
    usable = X > 0
    assert polynomial.mean(usable) @ coefficients == pytest.approx(2.0 + X[usable].mean())
    assert polynomial.mean(np.ones(SHAPE)) == pytest.approx([1.0, 0.0, 0.0], abs=1e-14)


def test_an_image_of_one_row():
    polynomial = BackgroundPolynomial((1, 5), 1)
    np.testing.assert_allclose(polynomial.image(np.array([1.0, 7.0, 2.0])), [[-1.0, 0.0, 1.0, 2.0, 3.0]], atol=1e-14)
