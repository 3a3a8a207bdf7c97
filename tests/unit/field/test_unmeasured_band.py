"""The products of a band without usable pixels have the form of all others, and nothing in them is a number."""

from __future__ import annotations

import numpy as np
import pytest
from detection_field import SHAPE, make_wcs
from unblend.core.errors import UnusableBandError
from unblend.core.flags import Flag
from unblend.field.unmeasured_band import write_no_fluxes, write_no_realizations, write_no_shift
from unblend.io.files import read_json, write_json
from unblend.io.images import read_array, write_image
from unblend.io.tables import read_table, read_table_header


@pytest.fixture
def spec(tmp_path):
    write_image(tmp_path / "k.fits", np.full(SHAPE, np.nan), wcs=make_wcs())
    write_json(tmp_path / "imfit/models.json", {"models": {"10": {}, "9": {}}})
    return {"band": "k", "image": {"file": str(tmp_path / "k.fits")}, "shift": "auto"}


def test_fluxes(spec, tmp_path, caplog):
    paths = {name: str(tmp_path / f"{name}.fits") for name in ("fluxes", "weight", "residual")}
    write_no_fluxes(spec, tmp_path, paths, UnusableBandError("bands.k: no pixel."), int(Flag.SHIFT_FAILED))
    table = read_table(paths["fluxes"])
    assert table["id"].tolist() == [9, 10] and np.isnan(table["flux"]).all() and np.isnan(table["chi2"]).all()
    assert table["flag"].tolist() == [int(Flag.NO_PIXELS | Flag.SHIFT_FAILED)] * 2
    assert not read_array(paths["weight"]).any() and np.isnan(read_array(paths["residual"])).all()
    assert len(read_table(tmp_path / "bands/k/band_only.fits")) == 0
    assert "bands.k: no pixel. All fluxes of this band are NaN." in caplog.text


def test_realizations(spec, tmp_path):
    write_no_realizations(spec, tmp_path, str(tmp_path / "mc.fits"), str(tmp_path / "mc.reg"))
    table = read_table(tmp_path / "mc.fits")
    assert table["id"].tolist() == [9, 10] and np.isnan(table["flux_err_sim"]).all()
    assert read_table_header(tmp_path / "mc.fits")["SCALE"] == 1.0


@pytest.mark.parametrize(("given", "shift", "failed"), [("auto", [0.0, 0.0], True), ([0.1, -0.2], [0.1, -0.2], False)])
def test_shift(spec, tmp_path, given, shift, failed):
    paths = tmp_path / "a.json", tmp_path / "r.fits"
    write_no_shift(spec | {"shift": given}, *map(str, paths), UnusableBandError("bands.k: no pixel."))
    found = read_json(paths[0])
    assert (found["shift_arcsec"], found["failed"], found["message"]) == (shift, failed, "bands.k: no pixel.")
    assert found["shift_error_arcsec"] is None
    assert np.isnan(read_array(str(paths[1]))).all()
