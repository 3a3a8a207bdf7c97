"""Whole images in temporary files."""

from __future__ import annotations

import numpy as np
from unblend.io.scratch import DiskImage, on_disk


def test_windows_are_written_and_read_and_no_file_is_left(tmp_path):
    values = np.random.default_rng(1).normal(size=(20, 30))
    image = DiskImage(values.shape, np.float64, tmp_path)
    assert not image[:, :].any()
    image[3:9, 4:17] = values[3:9, 4:17]
    found = image[2:10, 4:17]
    np.testing.assert_array_equal(found[1:7], values[3:9, 4:17])
    assert not found[0].any() and not found[7].any()
    found[:] = 7.0  # a copy
    assert not image[2:3, 4:5].any()
    assert list(tmp_path.iterdir()) == []


def test_images_of_a_workspace_have_their_type(tmp_path):
    segments = on_disk(tmp_path).new((4, 5), np.int32)
    segments[:, :] = np.arange(20).reshape(4, 5)
    assert segments[1:2, :].dtype == np.int32 and segments[1:2, :].tolist() == [[5, 6, 7, 8, 9]]
    assert on_disk(tmp_path).new((0, 5), "u1")[:, :].shape == (0, 5)
