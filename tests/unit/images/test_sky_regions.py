"""Pixels drawn as regions on the sky cover the same pixels again, on any grid."""

from __future__ import annotations

import numpy as np
import pytest
from astropy.wcs import WCS
from unblend.core.types import Box
from unblend.images.masks import circles, region_mask
from unblend.images.sky_regions import sky_box, sky_circle, sky_ellipse
from unblend.io.regions import parse_regions

SHAPE = (60, 70)
CD = {
    "straight": [[-0.2, 0.0], [0.0, 0.2]],
    "turned": [[-0.16, 0.12], [0.12, 0.16]],
    "mirrored": [[0.16, 0.12], [-0.12, 0.16]],
}


@pytest.fixture(params=[(kind, system) for kind in CD for system in ("ICRS", "FK5")], ids="-".join)
def wcs(request: pytest.FixtureRequest) -> WCS:
    kind, system = request.param
    result = WCS(naxis=2)
    result.wcs.ctype, result.wcs.crval, result.wcs.crpix = ["RA---TAN", "DEC--TAN"], [53.0, -27.8], [33.0, 31.0]
    result.wcs.cd, result.wcs.radesys = np.array(CD[kind]) / 3600, system
    return result


def test_a_circle(wcs: WCS) -> None:
    region = sky_circle(wcs, 20.3, 40.6, 7.0, "a")
    assert (region.kind, region.frame, region.text) == ("circle", "icrs", "a")
    # 1e-4: the pixel's size varies by 1e-8 over the field, the inversion of the WCS is exact
    assert circles([region], wcs)[0] == pytest.approx((20.3, 40.6, 7.0), abs=1e-4)


def test_an_ellipse(wcs: WCS) -> None:
    (expected,), _ = parse_regions("image;ellipse(41.6,21.3,9.1,4.2,33)")
    mine = sky_ellipse(wcs, 20.3, 40.6, (9.1, 4.2), 33.0)
    assert np.array_equal(region_mask([mine], wcs, SHAPE), region_mask([expected], wcs, SHAPE))


def test_a_box_of_pixels(wcs: WCS) -> None:
    mask = np.zeros(SHAPE, dtype=bool)
    mask[10:25, 30:52] = True
    assert np.array_equal(region_mask([sky_box(wcs, Box(10, 30, 25, 52))], wcs, SHAPE), mask)
