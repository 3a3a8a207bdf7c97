"""The first hour of a new user: files as the archives give them, `./unblend new`, `check`, `run`, and right fluxes."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
import pytest
import smallfield
from astropy.table import Table
from instrument_fields import INSTRUMENTS, UJY_PER_FLUX, write_instrument

ROOT = Path(__file__).resolve().parents[2]
BLENDED = "spherex"
"""The instrument whose pixels are as large as the distances of the galaxies: the errors cover the differences."""

pytestmark = pytest.mark.integration


def unblend(*words, cwd, code=0):
    done = subprocess.run([ROOT / "unblend", *map(str, words)], cwd=cwd, capture_output=True, text=True, timeout=900)
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("first-hour")
    for seed, name in enumerate(INSTRUMENTS):
        write_instrument(folder / "images", INSTRUMENTS[name], seed)
    told = unblend("new", "field", "images", "--yes", cwd=folder)
    assert "It has no mistakes. Run it: ./unblend run field" in told
    checked = unblend("check", "field", cwd=folder)
    assert "no mistakes" in checked
    assert all(f"bands.{instrument.band}.zero_point: " in checked for instrument in INSTRUMENTS.values())
    unblend("run", "field", "--cores", 2, cwd=folder)
    return folder


def test_fluxes_of_an_untouched_configuration(finished):
    """Median within 1 % and pulls of the order of 1, in microjansky, from the units of eight instruments."""
    table = Table.read(finished / "field/results/catalogue.fits")
    wcs = smallfield.wcs_of(smallfield.SHARP)
    galaxies = smallfield.SMALL.galaxies
    ra, dec = wcs.pixel_to_world_values([g.x for g in galaxies], [g.y for g in galaxies])
    rows = [int(np.argmin(np.hypot(table["ra"] - a, table["dec"] - d))) for a, d in zip(ra, dec, strict=True)]
    assert len(set(rows)) == len(table) == len(galaxies)
    true = np.array([g.flux * UJY_PER_FLUX for g in galaxies])
    for name, instrument in INSTRUMENTS.items():
        flux, error = (np.array(table[f"{kind}_{instrument.band}_ujy"])[rows] for kind in ("flux", "err"))
        assert np.sqrt(np.mean(((flux - true) / error) ** 2)) < 1.8, name
        if name != BLENDED:
            # 1 %, and what the noise of the shallower images allows (1.25: the error of a median)
            allowed = 0.01 + 2.0 * 1.25 * np.median(error / true) / np.sqrt(len(true))
            assert abs(np.median(flux / true) - 1.0) < allowed, name
    assert all(table.meta[f"ZPFR{number}"] for number in range(1, len(INSTRUMENTS) + 1))


def test_a_product_is_made_beside_another_configuration_in_the_order_that_one_types(finished):
    (finished / "field/other.yaml").write_text((finished / "field/config.yaml").read_text())
    told = unblend("run", "field", "--configfile", "other.yaml", "results/catalogue.fits", "-n", cwd=finished)
    assert "Nothing to be done" in told
