from __future__ import annotations

import numpy as np
import pytest
from unblend.core.types import Box
from unblend.field.fitted_background import background_cards, background_terms, fitted_background
from unblend.io.tables import columns, write_table
from unblend.photometry.background_polynomial import BackgroundPolynomial

SHAPE = (12, 17)


def write(folder, header):
    write_table(folder / "fluxes.fits", columns(id=np.array([1])), header=header, name="FLUXES")


@pytest.mark.parametrize("order", [0, 1, 5])
def test_the_background_is_that_of_the_fit(tmp_path, order):
    polynomial = BackgroundPolynomial(SHAPE, order)
    coefficients = np.arange(1.0, 1.0 + len(polynomial.terms))
    cards = background_cards(polynomial, coefficients, 0.1 * coefficients)
    write(tmp_path, {"BACKGR": 1.0, **cards})
    np.testing.assert_allclose(fitted_background(tmp_path, SHAPE), polynomial.image(coefficients), rtol=1e-12)
    terms = background_terms(cards)
    assert [term[:2] for term in terms] == list(polynomial.terms)
    assert [term[2] for term in terms] == coefficients.tolist() and terms[0][3] == pytest.approx(0.1)


def test_a_band_without_terms_has_its_level(tmp_path):
    write(tmp_path, {"BACKGR": 0.25})
    np.testing.assert_array_equal(fitted_background(tmp_path, SHAPE), np.full(SHAPE, 0.25))
    assert background_terms({"BACKGR": 0.25}) == []


@pytest.mark.parametrize(
    "cards", [{"BACKGR": 0.25}, background_cards(BackgroundPolynomial(SHAPE, 2), *np.ones((2, 6)))]
)
def test_the_background_of_a_part_is_that_of_the_whole(tmp_path, cards):
    write(tmp_path, {"BACKGR": 1.0, **cards})
    box = Box(2, 5, 9, 17)
    np.testing.assert_array_equal(
        fitted_background(tmp_path, SHAPE, box), fitted_background(tmp_path, SHAPE)[box.slices]
    )
