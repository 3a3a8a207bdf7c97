"""Windows of images in open files are those of the whole image."""

from __future__ import annotations

import numpy as np
import pytest
from unblend.core.errors import InputError
from unblend.io.images import read_array, read_labels, write_image, write_strips
from unblend.io.open_images import open_image, open_labels


def test_windows_of_an_image_and_of_a_map(tmp_path):
    pixels = np.random.default_rng(1).normal(size=(20, 30))
    pixels[3, 4], pixels[5, 6] = np.nan, np.inf
    write_image(tmp_path / "image.fits", pixels)
    write_image(tmp_path / "map.fits", np.arange(600, dtype=np.int32).reshape(20, 30))
    whole, labels = read_array(str(tmp_path / "image.fits")), read_labels(str(tmp_path / "map.fits"))
    with open_image(str(tmp_path / "image.fits")) as image, open_labels(str(tmp_path / "map.fits")) as found:
        assert image.shape == found.shape == (20, 30)
        for window in (np.s_[2:9, 3:11], np.s_[0:20, 0:30], np.s_[15:40, 25:99], np.s_[:5, -4:]):
            np.testing.assert_array_equal(image[window], whole[window])
            np.testing.assert_array_equal(found[window], labels[window])
        assert image[5:5, 2:4].shape == (0, 2)
        assert image[0:2, 0:2].dtype == np.float64 and found[0:2, 0:2].dtype == np.int32


def test_a_missing_file_is_one_sentence(tmp_path):
    with pytest.raises(InputError, match="does not exist"), open_image(str(tmp_path / "none.fits")):
        pass


def test_an_image_in_strips_is_the_image(tmp_path):
    pixels = np.random.default_rng(2).normal(size=(23, 7)).astype("f4")
    write_strips(tmp_path / "strips.fits", (23, 7), "f4", np.array_split(pixels, 4), header={"BAND": "h", "NONE": None})
    write_image(tmp_path / "whole.fits", pixels, header={"BAND": "h"})
    assert (tmp_path / "strips.fits").read_bytes() == (tmp_path / "whole.fits").read_bytes()


def test_an_image_appears_whole_or_not_at_all(tmp_path):
    def strips():
        yield np.zeros((2, 7))
        raise RuntimeError("broken")

    with pytest.raises(RuntimeError, match="broken"):
        write_strips(tmp_path / "strips.fits", (23, 7), "f4", strips())
    assert list(tmp_path.iterdir()) == []
