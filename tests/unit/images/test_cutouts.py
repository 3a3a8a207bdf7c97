from __future__ import annotations

import numpy as np
import pytest
from astropy.wcs import WCS
from unblend.core.errors import InputError
from unblend.core.types import Box
from unblend.images.cutouts import cutout_box


def grid(scale_y=0.1, scale_x=0.1):
    wcs = WCS(naxis=2)
    wcs.wcs.ctype, wcs.wcs.crval, wcs.wcs.crpix = ["RA---TAN", "DEC--TAN"], [53.0, -27.8], [51.0, 41.0]
    wcs.wcs.cd = np.diag([-scale_x, scale_y]) / 3600.0
    return wcs


TARGET = {"ra": 53.0, "dec": -27.8}


def test_the_box_is_centred_on_the_target():
    # the target is at (y, x) = (40, 50); 2 arcsec are 10 pixels on each side and the middle one
    assert cutout_box(grid(), (100, 100), TARGET, 2.0) == Box(30, 40, 51, 61)


def test_pixels_need_not_be_square():
    assert cutout_box(grid(scale_y=0.2), (100, 100), TARGET, 2.0) == Box(35, 40, 46, 61)


def test_the_box_is_clipped_to_the_mosaic():
    assert cutout_box(grid(), (45, 100), TARGET, 2.0) == Box(30, 40, 45, 61)
    assert cutout_box(grid(), (45, 60), TARGET, 1e4) == Box(0, 0, 45, 60)


@pytest.mark.parametrize("shape", [(30, 100), (100, 40)])
def test_a_target_outside_the_mosaic(shape):
    with pytest.raises(
        InputError, match=r"big.fits \(.* pixels\) does not cover the target .* at x=51.0 y=41.0\. Correct"
    ):
        cutout_box(grid(), shape, TARGET, 2.0, "big.fits")


def test_a_target_on_the_other_side_of_the_sky():
    with pytest.raises(InputError, match="does not cover the target"):
        cutout_box(grid(), (100, 100), {"ra": 233.0, "dec": 27.8}, 2.0)
