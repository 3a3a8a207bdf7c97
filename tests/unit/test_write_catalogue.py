"""What the script adds to the columns of the products of bands and fits."""

from __future__ import annotations

import numpy as np
import pytest
from unblend.fits.table import TABLE_DTYPE
from unblend.io.files import write_json
from unblend.io.tables import columns, write_table
from unblend.photometry.catalogue import KINDS
from write_catalogue import SHAPE, one_band, shape_columns


def test_errors_of_shapes_are_in_the_units_of_the_shapes():
    fits = np.zeros(2, dtype=TABLE_DTYPE)
    fits["id"] = [7, 3]
    fits["r_e"], fits["r_e_err"], fits["r_e_arcsec"] = [5.0, np.nan], [0.5, np.nan], [0.3, np.nan]
    fits["pa"], fits["pa_err"] = 30.0, [2.0, np.nan]
    found = shape_columns(fits, np.array([3, 4, 7]))
    assert tuple(found) == SHAPE
    # a tenth of the radius; source 4 has no fit
    assert found["r_e_err_arcsec"] == pytest.approx([np.nan, np.nan, 0.03], nan_ok=True)
    assert found["pa_err"] == pytest.approx([np.nan, np.nan, 2.0], nan_ok=True)


@pytest.mark.parametrize("measured", [True, False])
def test_offsets_of_the_sources_that_have_one(tmp_path, measured):
    names = ("flux", "flux_err", "flux_err_isolated", *(f"flux_err_{kind}" for kind in KINDS), "chi2", "fracflux")
    ones = {name: np.ones(2) for name in (*names, "ap_flux", "ap_err", "correlation")}
    zeros = {name: np.zeros(2, dtype=int) for name in ("worst_neighbour", "flag")}
    write_table(tmp_path / "fluxes.fits", columns(id=np.array([1, 2]), **ones, **zeros))
    simulated = columns(id=np.array([1, 2]), flux_err_sim=np.ones(2))
    write_table(tmp_path / "monte_carlo.fits", simulated, header={"SCALE": 1.2})
    listed = {"id": [2], "dx_arcsec": [0.1], "dy_arcsec": [-0.2], "err_dx_arcsec": [0.01], "err_dy_arcsec": [0.02]}
    write_json(tmp_path / "astrometry.json", {"offsets": listed if measured else None})
    made, scale = one_band(tmp_path, np.array([1, 2]))
    assert scale == 1.2
    assert np.isnan(made["dx_arcsec"][0]) and made["dy_arcsec"][1] == pytest.approx(
        -0.2 if measured else np.nan, nan_ok=True
    )
