"""What a group is left with when its fit crashes or runs out of time, on a small field of galaxies."""

from __future__ import annotations

import faulthandler
import math
import os
import signal

import numpy as np
import pytest
from astropy.wcs import WCS
from galaxy_stamps import BOX, fitting_psf, galaxy, group
from unblend.core.field_psf import FieldPsf
from unblend.core.flags import Flag
from unblend.field.fit_field import FitField
from unblend.field.fit_folder import write_group_files
from unblend.fits.fit_psf import as_psf
from unblend.fits.model_image import model_of
from unblend.fits.passes import fit_first_pass, replacement_fit
from unblend.fits.table import fit_table
from unblend.io.files import read_json, write_json
from unblend.run.fit_batch import fit_batch
from unblend.run.fit_fallbacks import fallbacks_of_first_pass, fallbacks_of_second_pass

TRUTH = (24.3, 20.6, 3000.0, 1.0, 4.0, 0.4, 30.0)
MEMBERS = {"members": [1], "box": [BOX.y0, BOX.x0, BOX.y1, BOX.x1], "neighbours": []}
SPEC = {"groups": {"1": {"key": "k1", "user_files": {}}}, "timeout_s": 2.0}


@pytest.fixture(scope="module")
def data():
    return group([galaxy(*TRUTH)])


@pytest.fixture(scope="module")
def first(data):
    return fit_first_pass(data, fitting_psf())


@pytest.fixture
def field(tmp_path, data, first, monkeypatch):
    """A field of one group whose first pass has converged."""
    write_json(tmp_path / "imfit/groups.json", {"groups": {"1": MEMBERS}})
    monkeypatch.setattr(FitField, "psf", FieldPsf.of(as_psf(fitting_psf())))
    monkeypatch.setattr(FitField, "load", lambda self: None)
    monkeypatch.setattr(FitField, "data", lambda self, group, user_files: data)
    field = FitField(tmp_path)
    field.keep("1", "first", "k1", first)
    return field


def crash(*_):
    faulthandler.disable()
    os.kill(os.getpid(), signal.SIGSEGV)


def compute(*_):
    while True:
        pass


def second(field, data, fit, write=None):
    """Run the second pass with `fit`, and return what is stored."""

    def write_files(group, found):
        write_group_files(field.folder / group, data, field.psf_of("1"), found)

    fallbacks = fallbacks_of_second_pass(field, SPEC, lambda group: data, write or write_files)
    fit_batch(field, SPEC, "second", fit, fallbacks)
    return field.result("1", "second")


@pytest.mark.parametrize(("fit", "flag"), [(compute, Flag.FIT_TIMED_OUT), (crash, Flag.FIT_RETRIED)])
def test_a_second_pass_that_fails_leaves_the_first(field, data, first, fit, flag, caplog):
    found = second(field, data, fit)
    member = found.member(1)
    assert member.sersic == first.member(1).sersic and member.flags == flag
    assert found.converged and member.chi2_segment == pytest.approx(1.0, abs=0.3) and len(member.covariance) == 7
    assert read_json(field.path("1", "second")).get("timed_out_at_s") == (2.0 if fit is compute else None)
    assert "its models are those of the first pass" in caplog.text
    # IMFIT's files, the table and the models can be made from it
    assert (field.folder / "1/imfit_bestfit.dat").exists() and (field.folder / "1/fit.sh").exists()
    wcs = WCS(naxis=2)
    wcs.wcs.ctype, wcs.wcs.crval, wcs.wcs.cd = ["RA---TAN", "DEC--TAN"], [53.0, -27.8], np.diag([-2e-5, 2e-5])
    row = fit_table({1: found}, {1: [1]}, set(), wcs, {1: 3.0})[0]
    assert row["flux"] == pytest.approx(TRUTH[2], rel=0.05) and row["flag"] == flag and row["n_err"] > 0
    assert np.isfinite(row["covariance"]).all()
    assert model_of(member, wcs, 3).data.max() > 0


def test_without_a_covariance_where_it_crashes_too(field, data, first, monkeypatch):
    monkeypatch.setattr("unblend.fits.passes.parameter_covariance", crash)
    found = second(field, data, crash)
    assert found.member(1).sersic == first.member(1).sersic and found.member(1).covariance == ()
    assert found.member(1).flags == Flag.FIT_RETRIED and (field.folder / "1/imfit_bestfit.dat").exists()


def test_without_files_where_these_crash_too(field, data, first):
    old = field.folder / "1/imfit_bestfit_res.fits"
    old.parent.mkdir(exist_ok=True)
    old.touch()
    found = second(field, data, compute, write=crash)
    assert not old.exists()
    assert found.member(1).sersic == first.member(1).sersic and found.member(1).flags == Flag.FIT_TIMED_OUT


def test_a_first_pass_without_convergence_leaves_the_moments(field, data, caplog):
    field.keep("1", "first", "k1", replacement_fit(data, fitting_psf()))
    found = second(field, data, compute)
    assert "its models come from the moments" in caplog.text
    assert math.isnan(found.chi2) and found.member(1).flags == Flag.FIT_REPLACED | Flag.FIT_TIMED_OUT
    assert (field.folder / "1/imfit_bestfit.dat").exists()


@pytest.mark.parametrize(("fit", "flag"), [(compute, Flag.FIT_TIMED_OUT), (crash, Flag(0))])
def test_a_first_pass_that_fails_leaves_the_moments(field, data, fit, flag):
    field.path("1", "first").unlink()
    fit_batch(field, SPEC, "first", fit, fallbacks_of_first_pass(field, SPEC))
    found = field.result("1", "first")
    assert not found.converged and found.member(1).flags == Flag.FIT_REPLACED | flag
