"""Region files without effect."""

from __future__ import annotations

import numpy as np
from unblend.core.types import Region
from unblend.field.region_warnings import warning_off_image


def test_a_file_of_which_no_region_is_on_the_image_is_named():
    regions = [Region("circle", "sky", ((10.0, -30.0),), ((2.0, "arcsec"),))] * 2
    off = np.zeros((3, 4), dtype=bool)
    sentence = warning_off_image("k-bad.reg", regions, off, "k.fits")
    assert sentence is not None and sentence.startswith("k-bad.reg: none of its 2 regions covers a pixel of k.fits, ")
    off[1, 1] = True
    assert warning_off_image("k-bad.reg", regions, off, "k.fits") is None
    assert warning_off_image("k-bad.reg", [], None, "k.fits") is None
