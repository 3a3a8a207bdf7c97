"""Two galaxies in one segment, through the whole workflow: the second detection gives both their fluxes."""

from __future__ import annotations

import numpy as np
import pytest
import smallfield
import yaml
from astropy.table import Table
from smallfield import BLURRED, SHARP, Galaxy, Layout
from test_example import snakemake
from unblend.core.coordinates import pixel_to_sky
from unblend.core.flags import Flag

pytestmark = pytest.mark.integration

GALAXIES = (
    Galaxy(34.2, 33.9, 60.0, (0.12, 0.08)),
    Galaxy(34.6, 101.8, 40.0, (0.13, 0.09)),
    Galaxy(36.0, 37.6, 25.0, (0.09, 0.08)),  # 0.25 arcsec from the first
)
LAYOUT = Layout(1, 2, GALAXIES)
PAIR_ID = 10_000_001


@pytest.mark.parametrize("mode", ["auto", "propose"])
def test_both_galaxies_of_a_pair_are_measured(tmp_path, mode):
    smallfield.write(tmp_path, LAYOUT)
    config = smallfield.config()
    config["detection"].update(second_pass=mode, deblend_contrast=0.5)
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config))
    (tmp_path / "mask_border.reg").write_text("")
    snakemake(tmp_path, "results/catalogue.fits")
    found = Table.read(tmp_path / "results/catalogue.fits")
    flag = dict(zip(found["id"].tolist(), found["flag"].tolist(), strict=True))
    if mode == "propose":
        # one source with the light of both
        assert set(flag) == {1, 2} and flag[1] & Flag.HIDDEN_NEIGHBOUR
        assert found["flux_blurred"][0] == pytest.approx(85.0, rel=0.05)
        return
    assert set(flag) == {1, 2, PAIR_ID} and flag[PAIR_ID] & Flag.SECOND_DETECTION
    wcs, true = smallfield.wcs_of(SHARP, LAYOUT), {1: GALAXIES[0], 2: GALAXIES[1], PAIR_ID: GALAXIES[2]}
    for row in found:
        galaxy = true[row["id"]]
        ra, dec = pixel_to_sky(wcs, np.array([galaxy.y]), np.array([galaxy.x]))
        assert (row["ra"], row["dec"]) == pytest.approx((ra[0], dec[0]), abs=0.1 / 3600), row["id"]
        for band in (SHARP, BLURRED):
            assert abs(row[f"flux_{band}"] - galaxy.flux) < 4.0 * row[f"err_{band}"], (row["id"], band)
