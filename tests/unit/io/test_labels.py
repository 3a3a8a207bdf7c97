"""Segmentation maps of other programs: what is read, and what is refused in one sentence."""

from __future__ import annotations

import numpy as np
import pytest
from astropy.io import fits
from unblend.core.errors import InputError
from unblend.core.strips import ALL, Workspace
from unblend.io.labels import MAX_ID, open_segmentation


def write(path, data, **header):
    fits.PrimaryHDU(np.asarray(data), fits.Header(header)).writeto(path, overwrite=True)
    return str(path)


def read_segmentation(name, work=None):
    with open_segmentation(name, work) as labels:
        return labels[ALL]


@pytest.mark.parametrize("kind", ["u1", "i2", "u2", "i4", "u4", "i8", ">i4", "f4", "f8"])
def test_labels_of_any_type_are_kept(tmp_path, kind):
    labels = read_segmentation(write(tmp_path / "s.fits", np.array([[0, 7, 7], [0, 0, 201]], dtype=kind)))
    assert labels.dtype == np.int32 and labels.tolist() == [[0, 7, 7], [0, 0, 201]]


def test_windows_of_a_map(tmp_path):
    with open_segmentation(write(tmp_path / "s.fits", np.arange(20.0).reshape(4, 5))) as labels:
        assert labels.shape == (4, 5) and labels[1:3, 2:4].tolist() == [[7, 8], [12, 13]]


def test_large_labels(tmp_path):
    name = write(tmp_path / "s.fits", np.array([[0, MAX_ID]], dtype="i8"))
    assert read_segmentation(name).tolist() == [[0, MAX_ID]]


def test_an_extension_by_name(tmp_path):
    hdus = [fits.PrimaryHDU(), fits.ImageHDU(np.ones((2, 2)) * 0.5, name="SCI"), fits.ImageHDU(np.eye(2), name="SEG")]
    fits.HDUList(hdus).writeto(tmp_path / "s.fits")
    assert read_segmentation(f"{tmp_path}/s.fits[SEG]").tolist() == [[1, 0], [0, 1]]
    with pytest.raises(InputError, match=r"s.fits has pixels that are no whole numbers .* give the extension"):
        read_segmentation(f"{tmp_path}/s.fits")


@pytest.mark.parametrize(
    ("value", "what"),
    [(np.nan, "NaN or blank"), (np.inf, "NaN or blank"), (-3, "negative"), (1.5, "no whole numbers"),
     (3e9, "above 2000000000")],
)  # fmt: skip
def test_values_that_are_no_labels(tmp_path, value, what):
    data = np.array([[0.0, 1.0, 1.0], [0.0, 0.0, value]])
    with pytest.raises(InputError) as caught:
        read_segmentation(write(tmp_path / "s.fits", data))
    assert str(caught.value) == (
        f"{tmp_path}/s.fits has pixels that are {what} (1 in all), the first at x = 3, y = 2; expected the ID of a "
        "source (1 to 2000000000), or 0 for the sky. Correct these pixels, or give the extension of the segmentation "
        "map."
    )


@pytest.mark.parametrize("rows", [1, 2, None])
def test_wrong_pixels_are_counted_through_all_strips(tmp_path, rows):
    data = np.array([[0.0, 1.0], [0.0, 2.5], [-1.0, 2.0], [-3.0, 3.5], [np.inf, 0.0]])
    name, work = write(tmp_path / "s.fits", data), Workspace(rows=rows)
    with pytest.raises(InputError, match=r"NaN or blank \(1 in all\), the first at x = 1, y = 5;"):
        read_segmentation(name, work)
    data[4, 0] = 0.0
    with pytest.raises(InputError, match=r"negative \(2 in all\), the first at x = 1, y = 3;"):
        read_segmentation(write(tmp_path / "s.fits", data), work)
    data[data < 0] = 0.0
    with pytest.raises(InputError, match=r"no whole numbers \(2 in all\), the first at x = 2, y = 2;"):
        read_segmentation(write(tmp_path / "s.fits", data), work)


def test_blank_pixels_of_integers(tmp_path):
    name = write(tmp_path / "s.fits", np.array([[0, -99]], dtype="i4"), BLANK=-99)
    with pytest.raises(InputError, match=r"has pixels that are NaN or blank \(1 in all\), the first at x = 2, y = 1;"):
        read_segmentation(name)


def test_a_map_without_any_label(tmp_path):
    with pytest.raises(InputError, match=r"s.fits has no source: all of its pixels are 0; expected the ID of a source"):
        read_segmentation(write(tmp_path / "s.fits", np.zeros((3, 3), dtype="i2")))
