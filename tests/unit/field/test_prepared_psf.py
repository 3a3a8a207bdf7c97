"""The PSF of a job: its sampling must agree with the header, and every pixel must be known."""

from __future__ import annotations

import logging

import numpy as np
import pytest
from astropy.io import fits
from unblend.core.errors import InputError
from unblend.field.prepared_psf import prepared_psf

IMAGE_PIXEL = 0.06
"""Arcsec."""


@pytest.fixture
def spec(tmp_path):
    """Return a function that writes an image and a PSF with the given cards, and returns the job spec."""
    y, x = np.mgrid[:61, :61] - 30.0

    def write(oversampling=3.0, psf=None, **cards):
        header = fits.Header({"CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CRPIX1": 30.0, "CRPIX2": 30.0})
        header.update({"CRVAL1": 53.0, "CRVAL2": -27.8, "CDELT1": -IMAGE_PIXEL / 3600, "CDELT2": IMAGE_PIXEL / 3600})
        fits.writeto(tmp_path / "image.fits", np.zeros((60, 60)), header, overwrite=True)
        data = np.exp(-(y**2 + x**2) / 50.0) if psf is None else psf
        fits.writeto(tmp_path / "psf.fits", data, fits.Header(cards), overwrite=True)
        return {
            "name": "k", "kind": "effective", "oversampling": oversampling, "sum": "unit", "centre": "centroid",
            "psf": {"file": str(tmp_path / "psf.fits")}, "image": {"file": str(tmp_path / "image.fits")},
        }  # fmt: skip

    return write


@pytest.mark.parametrize(
    "cards",
    [
        {},
        {"PIXELSCL": 0.02},
        {"PIXSCALE": 0.0201},
        {"CDELT1": -0.02 / 3600, "CDELT2": 0.02 / 3600},
        {"CD1_1": -0.02 / 3600, "CD2_2": 0.02 / 3600},
        {"OVERSAMP": 3},
        # the size of the pixel decides: in the second image of an STPSF file OVERSAMP is that of the first
        {"PIXELSCL": 0.02, "OVERSAMP": 5},
        {"PIXELSCL": "unknown", "PIXSCALE": 0.0, "CDELT2": 1.0},
        {"SECPIX": "0.02"},
        {"CDELT1": -0.02, "CDELT2": 0.02, "CUNIT1": "arcsec", "CUNIT2": "arcsec"},
        {"DET_SAMP": "3"},
        {"EXTNAME": "OVERSAMP"},
    ],
)
def test_a_header_that_agrees_or_has_no_sampling_is_accepted(spec, cards):
    psf, (width,) = prepared_psf(spec(**cards))
    assert psf.oversampling == 3.0 and width == pytest.approx(2.3548 * 5.0, rel=0.01)


@pytest.mark.parametrize(
    ("cards", "found"),
    [
        ({"PIXELSCL": 0.012}, "has pixels of 0.0120 arcsec by its header \\(PIXELSCL\\), and the image of 0.0600"),
        ({"PIXSCALE": 0.06}, "has pixels of 0.0600 arcsec"),
        ({"CDELT1": -0.012 / 3600, "CDELT2": 0.012 / 3600}, "has pixels of 0.0120 arcsec"),
        ({"CD1_1": 0.0, "CD1_2": 0.012 / 3600, "CD2_2": 0.0}, "has pixels of 0.0120 arcsec"),
        ({"OVERSAMP": 5}, "has OVERSAMP = 5 by its header"),
        ({"DET_SAMP": "5"}, "has DET_SAMP = 5 by its header"),
        ({"PIXSCAL1": 0.012, "PIXSCAL2": 0.012}, r"has pixels of 0.0120 arcsec by its header \(PIXSCAL1\)"),
    ],
)
def test_a_header_that_disagrees_is_refused(spec, cards, found):
    with pytest.raises(InputError, match=found) as error:
        prepared_psf(spec(**cards))
    expected = 1.0 if "PIXSCALE" in cards else 5.0
    assert f"psf_oversampling of band k is 3: set it to {expected:.3f}, or correct the header." in str(error.value)


@pytest.mark.parametrize("cards", [{"PIXELSCL": 0.02, "CDELT2": 0.06 / 3600}, {"PIXSCALE": 0.06, "SECPIX": 0.02}])
def test_a_header_with_two_sizes_of_pixels_is_refused(spec, cards):
    with pytest.raises(InputError, match=r"has pixels of 0\.0200 arcsec by \w+ of its header and of 0\.0600 arcsec by"):
        prepared_psf(spec(**cards))


def test_a_size_in_another_unit_is_the_mistake_of_the_header(spec):
    with pytest.raises(InputError, match=r"of band k is 3: correct the header \(CDELT and CD are in deg"):
        prepared_psf(spec(CDELT1=-0.02, CDELT2=0.02))


def test_an_oversampled_extension_needs_its_sampling(spec):
    """STPSF writes the oversampled PSF first: it is the one that a file without an extension means."""
    with pytest.raises(InputError, match=r'is the extension OVERDIST, whose pixels .* name .*psf\.fits\[DET_DIST\]"'):
        prepared_psf(spec(oversampling=1.0, EXTNAME="OVERDIST"))


def test_the_cards_of_the_oversampled_image_do_not_count_on_the_pixels_of_the_detector(spec):
    psf, _ = prepared_psf(spec(oversampling=1.0, EXTNAME="DET_SAMP", OVERSAMP=4, DET_SAMP=4))
    assert psf.oversampling == 1.0


def test_the_psf_of_the_stack_has_no_oversampling_of_its_own(spec):
    given = {**spec(oversampling=1.0, PIXELSCL=0.02), "name": "models.psf"}
    with pytest.raises(InputError, match=r"models.psf: .* Name a band in models.psf, with this PSF and psf_over"):
        prepared_psf(given)


def test_an_optical_psf_on_the_pixels_of_its_image_is_warned_of(spec, caplog):
    for oversampling, kind, said in ((1.0, "optical", True), (1.0, "effective", False), (3.0, "optical", False)):
        caplog.clear()
        prepared_psf({**spec(oversampling=oversampling), "kind": kind})
        assert ("psf_kind is optical, and the PSF has only 1 pixels per image pixel" in caplog.text) == said


def test_unknown_pixels_are_refused_with_their_number(spec):
    psf = np.ones((9, 9))
    psf[4, 3:5] = np.nan
    with pytest.raises(InputError, match=r"psf.fits has 2 of 81 pixels that are not finite"):
        prepared_psf(spec(psf=psf))


def test_the_sum_of_the_file_stands_in_the_log_and_is_kept_on_request(spec, caplog):
    y, x = np.mgrid[:61, :61] - 30.0
    data = np.exp(-(y**2 + x**2) / 50.0)
    given = spec(psf=0.94 * data / data.sum())
    with caplog.at_level(logging.INFO, logger="unblend"):
        assert prepared_psf(given)[0].psfs[0].data.sum() == pytest.approx(1.0, abs=1e-12)
        assert prepared_psf({**given, "sum": "given"})[0].psfs[0].data.sum() == pytest.approx(0.94, abs=1e-9)
    assert "sum of the file 0.94 (set to 1)" in caplog.text
    assert "sum of the file 0.94 (kept)" in caplog.text


def test_the_fwhm_in_arcsec_stands_in_the_log(spec, caplog):
    with caplog.at_level(logging.INFO, logger="unblend"):
        prepared_psf(spec(oversampling=3.0))
    # a sigma of 5 PSF pixels of 0.02 arcsec, counted on a grid of an eighth of a pixel
    assert "k: FWHM of the PSF 0.236 arcsec (11.78 PSF pixels, oversampling 3)" in caplog.text
