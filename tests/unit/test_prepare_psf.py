"""The job that prepares a PSF: from the stars of the image, or from a file."""

from __future__ import annotations

import json
import re

import numpy as np
import prepare_fit_psf
import prepare_psf
import pytest
from astropy.io import fits
from star_field import StarField, encircled, moffat_psf, true_psf
from unblend.field.failed_band import failure_in
from unblend.io.images import read_header
from unblend.io.psfs import read_psf
from unblend.io.tables import read_table


@pytest.fixture
def prepare(tmp_path, monkeypatch):
    """Return a function that runs the job with a spec and returns the paths of the PSF and of its stars."""
    for script in (prepare_psf, prepare_fit_psf):
        monkeypatch.setattr(script, "record_work", lambda *what: None)

    def run(spec):
        (tmp_path / "spec.json").write_text(json.dumps(spec))
        psf, stars = tmp_path / "psf.fits", tmp_path / "psf_stars.fits"
        prepare_psf.main(str(tmp_path / "spec.json"), str(psf), str(stars))
        return psf, stars

    return run


@pytest.fixture
def spec(tmp_path):
    made = StarField(moffat_psf())
    made.add_galaxies(40, made.add_stars(12))
    return made.write(tmp_path / "k.fits")


def test_stars_give_a_psf_and_a_table_of_them(prepare, spec):
    psf_path, stars_path = prepare(spec)
    (psf,) = read_psf(str(psf_path))[0].psfs
    assert (psf.oversampling, psf.kind) == (2.0, "effective")
    radii = np.arange(0.5, psf.data.shape[0] / 4, 0.5)
    truth = true_psf(moffat_psf(), psf.data.shape[0], 2)
    np.testing.assert_allclose(encircled(psf.data, radii, 2), encircled(truth, radii, 2), atol=0.005)
    assert read_header(str(psf_path))["FWHM"] == pytest.approx(3.1, abs=0.15)
    assert stars_path.with_suffix(".png").read_bytes().startswith(b"\x89PNG")
    stars = read_table(stars_path)
    assert np.count_nonzero(np.char.strip(stars["state"].astype(str)) == "used") >= 8
    assert stars.dtype.names == ("ra", "dec", "x", "y", "snr", "half_light_radius", "weight", "residual", "fwhm", "ell",
                                 "pa", "state")  # fmt: skip


def test_the_fits_get_the_same_psf_without_the_pixel(prepare, spec, tmp_path):
    prepare(spec)
    prepare_fit_psf.main(str(tmp_path / "spec.json"), str(tmp_path / "fit.fits"))
    (fit,) = read_psf(str(tmp_path / "fit.fits"))[0].psfs
    assert (fit.oversampling, fit.kind) == (1.0, "optical") and fit.data.sum() == pytest.approx(1.0)


def test_the_psf_of_a_file_has_no_stars(prepare, spec, tmp_path):
    fits.writeto(tmp_path / "given.fits", true_psf(moffat_psf(), 41, 1))
    del spec["stars"]
    (tmp_path / "psf_stars.png").write_text("of an earlier run")
    _, stars = prepare({**spec, "psf": {"file": str(tmp_path / "given.fits")}, "oversampling": 1.0})
    assert not (tmp_path / "psf_stars.png").exists()
    assert read_table(stars).size == 0 and "state" in read_table(stars).dtype.names


def test_an_image_without_stars_is_one_sentence(prepare, spec, tmp_path):
    rng = np.random.default_rng(1)
    fits.writeto(tmp_path / "empty.fits", rng.normal(0, 1, (200, 200)), read_fits_header(spec), overwrite=True)
    psf, stars = prepare({**spec, "image": {"file": str(tmp_path / "empty.fits")}})
    assert re.search(r"0 stars of .*empty.fits can be used, expected at least 3", failure_in(psf))
    assert read_table(stars).size == 0 and not stars.with_suffix(".png").exists()


def read_fits_header(spec):
    return fits.getheader(spec["image"]["file"])
