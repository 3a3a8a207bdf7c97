"""A band that cannot be measured fully costs neither the other bands nor the catalogue, and the run reports it."""

from __future__ import annotations

import numpy as np
import pytest
from harness import Field
from smallfield import BLURRED, SHARP
from unblend.core.flags import Flag
from unblend.report.run_warnings import read_warnings

pytestmark = pytest.mark.integration


def band(field: Field, name: str, column: str) -> np.ndarray:
    return np.asarray(field.table("catalogue.fits")[f"{column}_{name}"])


def test_a_band_whose_shift_cannot_be_measured_is_not_shifted(field):
    field.edit_config(lambda c: c["bands"][BLURRED].update(shift="auto", astrometry={"references": [999]}))
    found = field.run()
    assert "Source 999 in astrometry.references does not exist" in found.messages
    assert "The band is not shifted, and its fluxes have the flag shift_failed" in found.messages
    assert (band(field, BLURRED, "flag") & int(Flag.SHIFT_FAILED) > 0).all()
    assert not (band(field, SHARP, "flag") & int(Flag.SHIFT_FAILED)).any()
    assert np.isfinite(band(field, BLURRED, "flux")).all() and np.isfinite(band(field, BLURRED, "err")).all()
    # nothing is known of the error of a shift that was not found; that of the other band is given
    assert np.isnan(band(field, BLURRED, "err_shift")).all() and not band(field, SHARP, "err_shift").any()


def test_a_band_without_an_empty_circle_keeps_its_formal_errors(field):
    before = band(field, BLURRED, "err")
    (field / "none.reg").write_text('icrs\ncircle(10.0,10.0,1")\n')
    field.edit_config(lambda c: c["bands"][BLURRED].update(sim_regions="none.reg"))
    found = field.run()
    assert "no empty circle" in found.messages
    assert np.isnan(band(field, BLURRED, "err_sim")).all()
    assert band(field, BLURRED, "err") == pytest.approx(before, rel=0.3)


@pytest.mark.parametrize("value", [np.inf, -np.inf])
def test_an_infinite_pixel_is_not_observed(field, value):
    from astropy.io import fits

    before = band(field, BLURRED, "flux")
    with fits.open(field / f"{BLURRED}.fits", mode="update") as image:
        image[0].data[3, 3] = value
    field.run()
    assert band(field, BLURRED, "flux") == pytest.approx(before, rel=0.05, abs=3 * band(field, BLURRED, "err").max())


@pytest.mark.parametrize("fault", ["all NaN", "constant", "masked"])
def test_a_band_without_usable_pixels_has_no_fluxes_and_the_others_have(field, fault):
    from astropy.io import fits

    before = band(field, SHARP, "flux")
    if fault == "masked":
        (field / f"{BLURRED}-bad.reg").write_text("image\ncircle(30,30,1000)\n")
    else:
        with fits.open(field / f"{BLURRED}.fits", mode="update") as image:
            image[0].data[:] = np.nan if fault == "all NaN" else 7.0
    found = field.run()
    assert np.isnan(band(field, BLURRED, "flux")).all() and np.isnan(band(field, BLURRED, "err")).all()
    assert (band(field, BLURRED, "flag") & int(Flag.NO_PIXELS) > 0).all()
    assert band(field, SHARP, "flux") == pytest.approx(before, rel=1e-6)
    assert f"bands.{BLURRED}" in found.messages and f"no flux    {BLURRED}" in found.messages
    assert (field / "results/report/index.html").exists()
    # no warning of a Python package, which would say nothing to a user
    assert not [w.sentence for w in read_warnings(field / "results") if w.sentence.startswith("RuntimeWarning")]
