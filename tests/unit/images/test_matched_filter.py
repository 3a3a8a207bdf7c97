"""The matched filter has the S/N that a Gaussian source of its width has."""

from __future__ import annotations

import numpy as np
import pytest
from unblend.images.matched_filter import matched_filter

SIDE, FWHM = 101, 3.4
Y, X = np.indices((SIDE, SIDE))


def test_the_filter_is_calibrated_for_white_noise_and_for_a_source_of_its_width():
    rng = np.random.default_rng(2)
    error = np.where(X < 50, 1.0, 3.0)
    snr = matched_filter(error * rng.normal(size=(SIDE, SIDE)), error, FWHM)
    assert np.std(snr[10:-10, 10:-10]) == pytest.approx(1.0, abs=0.05)  # 800 independent values
    sigma = FWHM / 2.3548
    blob = 100.0 / (2 * np.pi * sigma**2) * np.exp(-((Y - 50) ** 2 + (X - 50) ** 2) / (2 * sigma**2))
    peak = matched_filter(blob, np.ones((SIDE, SIDE)), FWHM).max()
    assert peak == pytest.approx(100.0 / np.sqrt(4 * np.pi) / sigma, rel=0.02)  # 100 √Σ P²


def test_pixels_without_data_have_no_signal():
    assert not matched_filter(np.ones((5, 5)), np.full((5, 5), np.inf), FWHM).any()
