"""Real galaxies on JWST F444W and the same light in a band of known truth. Skipped where the data are absent.

A clumpy merger, a face-on disc and compact galaxies: their fluxes in apertures are those of the data's README, measured
with photutils. The IRAC image was made from the F444W image, so that every source has its F444W flux there.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import yaml
from astropy.table import Table
from test_example import ROOT, snakemake
from unblend.core.flags import Flag
from unblend.io.files import read_json
from unblend.io.images import read_array

pytestmark = [pytest.mark.integration]
DATA = Path(os.environ.get("UNBLEND_TEST_DATA", ROOT.parent / "shared/data")) / "uds-jwst"
MERGER = ((34.300805, -5.107708), (34.300975, -5.107542), (34.300512, -5.107704), (34.300582, -5.107357))
DISC = (34.302543, -5.107911)
COMPACT = {
    (34.302139, -5.107859): 211.0,
    (34.301524, -5.108091): 146.9,
    (34.301543, -5.108386): 77.3,
    (34.301193, -5.109274): 25.2,
    (34.301026, -5.109419): 23.4,
}
BEYOND_EDGE = (34.3001, -5.1083)
"""A bright source beyond the edge of F444W; the source of the catalogue beside it carries its light in IRAC."""


@pytest.fixture(scope="module")
def results(tmp_path_factory) -> Path:
    if not DATA.is_dir():
        pytest.skip(f"{DATA} is not here")
    folder = tmp_path_factory.mktemp("uds")
    config = yaml.safe_load((DATA / "config.yaml").read_text())
    (folder / "config.yaml").write_text(yaml.safe_dump({**config, "data_dir": str(DATA)}))
    snakemake(folder, "results/catalogue.fits")
    return folder / "results"


@pytest.fixture(scope="module")
def catalogue(results) -> Table:
    return Table.read(results / "catalogue.fits")


def distances(catalogue: Table, place: tuple[float, float]) -> np.ndarray:
    east = (catalogue["ra"] - place[0]) * np.cos(np.deg2rad(place[1]))
    return np.asarray(3600.0 * np.hypot(east, catalogue["dec"] - place[1]))


def row_at(catalogue: Table, place: tuple[float, float]) -> int:
    distance = distances(catalogue, place)
    assert distance.min() < 0.2
    return int(np.argmin(distance))


def test_the_files_of_a_fit_have_the_chi2_of_imfit(results):
    """The error image is that of the last fit, also of the group whose sky was held and whose misfit is noise there."""
    fits = {path.parent: read_json(path)["fit"] for path in results.glob("imfit/*/fit.json")}
    assert any(member["flags"] & Flag.SKY_HELD for fit in fits.values() for member in fit["members"])
    for folder, fit in fits.items():
        names = ("imfit_bestfit_res.fits", "error.fits", "mask.fits")
        residual, error, mask = (read_array(str(folder / name)) for name in names)
        assert np.sum((residual / error)[mask == 0] ** 2) == pytest.approx(fit["chi2"], rel=1e-3)


def test_a_merger_has_the_flux_of_its_growth_curve(catalogue):
    rows = sorted({row_at(catalogue, place) for place in MERGER})
    # 688 to 720 at radii of 2 to 3.5"
    assert catalogue["flux_f444w"][rows].sum() == pytest.approx(720.0, rel=0.05)


def test_compact_galaxies_have_the_flux_of_their_apertures(catalogue):
    ratios = [catalogue["flux_f444w"][row_at(catalogue, place)] / flux for place, flux in COMPACT.items()]
    # apertures of 1.2" hold some 2 % less than all of the light, and a neighbour's wings
    assert abs(np.median(ratios) - 1.0) < 0.03 and max(abs(np.array(ratios) - 1.0)) < 0.10


def test_a_disc_has_the_flux_of_its_growth_curve(catalogue):
    assert catalogue["flux_f444w"][row_at(catalogue, DISC)] == pytest.approx(150.0, rel=0.1)


def test_the_sky_of_the_disc_and_of_no_other_is_held_to_its_growth_curve(catalogue):
    """With a free sky the disc has 258, with that around its cutout 160."""
    held, beyond = (catalogue["flag"] & int(flag) > 0 for flag in (Flag.SKY_HELD, Flag.BEYOND_GROWTH_CURVE))
    assert held[row_at(catalogue, DISC)] and not beyond[row_at(catalogue, DISC)]
    assert not any((held | beyond)[row_at(catalogue, place)] for place in (*MERGER, *COMPACT))


def test_the_same_light_in_a_blurred_band_has_the_same_flux(catalogue):
    usable = distances(catalogue, BEYOND_EDGE) > 1.5
    truth, found = catalogue["flux_f444w"][usable], catalogue["flux_irac2"][usable]
    pulls = (found - truth) / np.hypot(catalogue["err_irac2"][usable], catalogue["err_f444w"][usable])
    assert usable.sum() >= 11 and np.abs(pulls).max() < 3.0 and np.sqrt(np.mean(pulls**2)) < 1.2
    bright = truth > 100.0
    assert np.median(found[bright] / truth[bright]) == pytest.approx(1.0, abs=0.02)


def test_a_shallow_band_is_shifted_and_measured(catalogue):
    """F770W, whose weight map is no inverse variance. Its search failed with the models of smooth galaxies alone."""
    assert not (catalogue["flag_f770w"] & int(Flag.SHIFT_FAILED)).any()
    assert catalogue["flux_f770w"][row_at(catalogue, (34.301524, -5.108091))] == pytest.approx(88.0, rel=0.05)
