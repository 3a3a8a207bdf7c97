"""The S/N image on which sources are detected."""

from __future__ import annotations

import numpy as np
import pytest
from detection_field import SHAPE, SOURCES, make_images
from unblend.detection.detection_image import detection_image, large_segment_warning, smoothing_warning
from unblend.detection.stack import stack_images


def test_detection_image_has_unit_noise_and_zero_sky_whatever_the_sources() -> None:
    snr, _ = detection_image(stack_images(make_images(), {}), 3.3)
    sky = np.ones(SHAPE, dtype=bool)
    y, x = np.indices(SHAPE)
    for sy, sx, _ in SOURCES:
        sky &= (y - sy) ** 2 + (x - sx) ** 2 > 15**2
    # 44 000 pixels, 15 per independent patch: 1.3 % for the rms, 0.02 for the mean.
    assert np.std(snr[sky]) == pytest.approx(1.0, abs=0.06)
    assert np.mean(snr[sky]) == pytest.approx(0.0, abs=0.06)


def test_sky_covered_by_one_image_only_has_the_same_level() -> None:
    images = make_images()
    images["b"][:, 150:] = np.nan
    snr, _ = detection_image(stack_images(images, {}), 3.3)
    right = snr[80:120, 160:]
    # 2400 pixels, 15 per patch: 0.08. Without a level of its own the part lies at -3.
    assert abs(np.median(right)) < 0.3


def test_sky_covered_by_one_image_only_has_the_same_noise() -> None:
    rng = np.random.default_rng(5)
    images = {name: rng.normal(size=(300, 300)) for name in ("a", "b")}
    images["b"][:, :90] = np.nan
    stack = stack_images(images, {name: ~np.isfinite(image) for name, image in images.items()})
    snr, _ = detection_image(stack, 2.5)
    for part in (snr[:, :80], snr[:, 100:]):
        assert np.median(part) == pytest.approx(0.0, abs=0.1) and part.std() == pytest.approx(1.0, abs=0.04)


def test_a_smoothing_in_pixels_in_place_of_arcsec_is_warned_of() -> None:
    said = smoothing_warning(2.5, 0.06)
    assert said is not None and said.startswith("detection.conv_fwhm is 2.5 arcsec, 42 pixels of the detection image")
    assert smoothing_warning(0.2, 0.03) is None and smoothing_warning(2.5, 0.2) is None


def test_a_source_that_covers_much_of_the_image_is_warned_of() -> None:
    segments, mask = np.zeros((20, 30), dtype=np.int32), np.zeros((20, 30), dtype=bool)
    segments[:4], segments[10:18, :15] = 1, 7
    assert large_segment_warning(segments, mask) is None  # 20 % each
    mask[:, 20:] = True  # a part that was not observed does not count
    said = large_segment_warning(segments, mask)
    assert said is not None and said.startswith("source 7 covers 30% of the detection image")
    assert large_segment_warning(0 * segments, mask) is None
    assert large_segment_warning(segments, np.ones_like(mask)) is None
