from __future__ import annotations

import numpy as np
import pytest
from unblend.field.page_size import PAGE_MEGAPIXELS, PAGE_SOURCES, needs_files, page_megapixels
from unblend.io.images import write_image


def test_many_sources_or_many_pixels_are_divided_into_files():
    assert not needs_files(PAGE_SOURCES, PAGE_MEGAPIXELS)
    assert needs_files(PAGE_SOURCES + 1, 0.1) and needs_files(1, PAGE_MEGAPIXELS + 0.1)


def test_the_pixels_are_those_of_the_stack_and_of_all_bands(tmp_path):
    for name, shape in (("stack", (20, 30)), ("k", (10, 10))):
        write_image(tmp_path / f"{name}.fits", np.zeros(shape))
    images = {"k": str(tmp_path / "k.fits"), "h": str(tmp_path / "k.fits")}
    assert page_megapixels(str(tmp_path / "stack.fits"), images, ["k", "h"]) == pytest.approx(800e-6)
