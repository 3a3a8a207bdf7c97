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
MEASURED = ("jwst", "hst", "hsc", "muse")
"""Instruments whose fluxes are compared with the truth, all in one field."""

pytestmark = pytest.mark.integration


def unblend(*words, cwd, code=0):
    done = subprocess.run([ROOT / "unblend", *map(str, words)], cwd=cwd, capture_output=True, text=True, timeout=900)
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.mark.parametrize("name", [name for name in INSTRUMENTS if name not in MEASURED])
def test_new_fields_pass_the_check_untouched(tmp_path, name):
    write_instrument(tmp_path / "images", INSTRUMENTS["jwst"], 1)
    write_instrument(tmp_path / "images", INSTRUMENTS[name], 2)
    told = unblend("new", "field", "images", "--yes", cwd=tmp_path)
    assert "It has no mistakes. Run it: ./unblend run field" in told
    checked = unblend("check", "field", cwd=tmp_path)
    assert "no mistakes" in checked and f"bands.{INSTRUMENTS[name].band}.zero_point: " in checked


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("first-hour")
    for seed, name in enumerate(MEASURED):
        write_instrument(folder / "images", INSTRUMENTS[name], seed)
    unblend("new", "field", "images", "--yes", cwd=folder)
    unblend("check", "field", cwd=folder)
    unblend("run", "field", "--cores", 2, cwd=folder)
    return folder


def test_fluxes_of_an_untouched_configuration(finished):
    """Median within 1 % and pulls of the order of 1, in microjansky, from the units of four instruments."""
    table = Table.read(finished / "field/results/catalogue.fits")
    wcs = smallfield.wcs_of(smallfield.SHARP)
    galaxies = smallfield.SMALL.galaxies
    ra, dec = wcs.pixel_to_world_values([g.x for g in galaxies], [g.y for g in galaxies])
    rows = [int(np.argmin(np.hypot(table["ra"] - a, table["dec"] - d))) for a, d in zip(ra, dec, strict=True)]
    assert len(set(rows)) == len(table) == len(galaxies)
    true = np.array([g.flux * UJY_PER_FLUX for g in galaxies])
    for name in MEASURED:
        band = INSTRUMENTS[name].band
        flux, error = (np.array(table[f"{kind}_{band}_ujy"])[rows] for kind in ("flux", "err"))
        assert abs(np.median(flux / true) - 1.0) < 0.01, band
        assert np.sqrt(np.mean(((flux - true) / error) ** 2)) < 1.8, band
    assert all(table.meta[f"ZPFR{number}"] for number in range(1, 5))


def test_a_product_is_made_beside_another_configuration_in_the_order_that_one_types(finished):
    (finished / "field/other.yaml").write_text((finished / "field/config.yaml").read_text())
    told = unblend("run", "field", "--configfile", "other.yaml", "results/catalogue.fits", "-n", cwd=finished)
    assert "Nothing to be done" in told
