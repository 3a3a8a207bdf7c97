"""The mask of a detection image: bad regions, pixels that are not finite, pixels without data."""

from __future__ import annotations

import numpy as np
from fit_members import stack_wcs
from unblend.field.detection_mask import detection_mask


def test_regions_unknown_pixels_and_pixels_without_weight_are_masked(tmp_path):
    image = np.random.default_rng(1).normal(1.0, 0.1, (80, 100))
    image[10, 20], weight = np.nan, np.ones(image.shape)
    weight[30, 40], weight[31, 40] = 0.0, np.nan
    (tmp_path / "bad.reg").write_text("image\ncircle(61,51,2)\n")
    mask = detection_mask(str(tmp_path / "bad.reg"), stack_wcs(), image, weight)
    assert mask[10, 20] and mask[30, 40] and mask[31, 40] and mask[50, 60]
    # a circle of 2 pixels covers 13
    assert np.count_nonzero(mask) == 3 + 13
    assert not detection_mask(str(tmp_path / "none.reg"), stack_wcs(), np.nan_to_num(image, nan=1.0)).any()
