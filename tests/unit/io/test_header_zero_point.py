from __future__ import annotations

import math
import os
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from image_headers import CD, tan_header
from unblend.core.errors import InputError
from unblend.io.header_zero_point import adopted_zero_point, read_zero_point, stated_zero_points

DATA = Path(os.environ.get("UNBLEND_TEST_DATA", Path(__file__).resolve().parents[4] / "shared/data"))
ACS = {"PHOTFLAM": 7.0331e-20, "PHOTPLAM": 8045.53, "INSTRUME": "ACS", "BUNIT": "ELECTRONS/S"}
"""F814W of ACS/WFC; its AB zero point in the tables of STScI is 25.94."""


def zero_point(header, **options):
    return adopted_zero_point(stated_zero_points(header, **options), "image.fits")


# Units --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("unit", "value"), [("Jy", 8.9), ("uJy", 23.9), ("nJy", 31.4), ("10*nJy", 28.9), ("nmgy", 22.5)]
)
def test_flux_densities(unit, value):
    found = zero_point({"BUNIT": unit})
    assert found.value_ab == pytest.approx(value, abs=1e-9) and found.source == f"BUNIT = {unit!r}"


def test_surface_brightness_with_the_area_of_a_pixel():
    """A pixel of NIRCam's long channel at 0.03 arcsec, where the archive's images have the zero point 28.09."""
    area = (0.03 / 206264.806) ** 2
    for header, wcs in [({"PIXAR_SR": area}, None), ({}, lambda: area), ({"PIXAR_SR": area}, lambda: 1.01 * area)]:
        found = zero_point({"BUNIT": "MJy/sr", **header}, wcs_area_sr=wcs)
        assert found.value_ab == pytest.approx(28.0865, abs=1e-3)
    assert "PIXAR_SR" in found.source


def test_an_area_left_from_before_a_resampling_is_refused():
    with pytest.raises(InputError, match=r"1e-13 sr by PIXAR_SR and 2e-13 sr by the WCS, 0.75 mag apart"):
        zero_point({"BUNIT": "MJy/sr", "PIXAR_SR": 1e-13}, wcs_area_sr=lambda: 2e-13)


def test_surface_brightness_without_an_area():
    def no_wcs():
        raise InputError("no WCS")

    with pytest.raises(InputError, match="neither PIXAR_SR nor a usable WCS"):
        zero_point({"BUNIT": "MJy/sr"}, wcs_area_sr=no_wcs)


def test_flux_per_wavelength_needs_a_wavelength():
    unit = {"BUNIT": "10**(-20)*erg/s/cm**2/Angstrom"}
    value = -2.5 * math.log10(1e-20 * 6664.0**2 / 2.99792458e18) - 48.6
    assert zero_point(unit, wavelength_um=0.6664).value_ab == pytest.approx(value, abs=1e-6)
    assert zero_point({**unit, "PHOTPLAM": 6664.0}).value_ab == pytest.approx(value, abs=1e-6)
    with pytest.raises(InputError, match="give wavelength"):
        zero_point(unit)


# Sensitivities ------------------------------------------------------------------------------------------------------


def test_hubble_st_to_ab():
    found = zero_point(ACS)
    assert found.value_ab == pytest.approx(25.94, abs=0.01)
    assert "PHOTFLAM = 7.0331e-20" in found.source and "ELECTRONS/S" in found.source
    # the formula of the ACS Data Handbook
    assert found.value_ab == pytest.approx(
        -2.5 * math.log10(7.0331e-20) - 21.1 - 5 * math.log10(8045.53) + 18.692, abs=2e-3
    )


def test_electrons_are_divided_by_the_exposure_time():
    counts = zero_point({**ACS, "BUNIT": "ELECTRONS", "EXPTIME": 100.0})
    assert counts.value_ab - zero_point(ACS).value_ab == pytest.approx(5.0)
    with pytest.raises(InputError, match="no EXPTIME"):
        zero_point({**ACS, "BUNIT": "ELECTRONS"})


def test_sensitivity_without_a_unit_is_refused_with_the_value():
    with pytest.raises(InputError, match=r"give 25\.9\d* for counts per second, but no BUNIT"):
        zero_point({key: value for key, value in ACS.items() if key != "BUNIT"})


def test_counts_of_an_instrument_calibrated_in_electrons_are_refused():
    with pytest.raises(InputError, match="PHOTFLAM of ACS is for electrons"):
        zero_point({**ACS, "BUNIT": "COUNTS/S"})


def test_sensitivity_means_nothing_for_pixels_in_microjansky():
    assert zero_point({**ACS, "BUNIT": "uJy"}).value_ab == pytest.approx(23.9)


# Contradictions -----------------------------------------------------------------------------------------------------


def test_contradicting_keywords_are_both_named():
    with pytest.raises(InputError, match=r"two zero points, 31\.400 \(BUNIT = 'nJy'\) and 25\.000 \(MAGZERO = 25\)"):
        zero_point({"BUNIT": "nJy", "MAGZERO": 25.0})
    with pytest.raises(InputError, match=r"PHOTFLAM.*PHOTFNU"):
        zero_point({**ACS, "PHOTFNU": 1e-6})


def test_keywords_that_agree():
    assert zero_point({"BUNIT": "nJy", "MAGZERO": 31.4, "FLUXMAG0": 10 ** (0.4 * 31.4)}).source == "BUNIT = 'nJy'"


def test_a_keyword_that_cannot_be_used_does_not_spoil_one_that_can():
    assert zero_point({"BUNIT": "uJy", "MAGZP": 20.5, "PHOTSYS": "Vega"}).value_ab == pytest.approx(23.9)
    assert zero_point({"BUNIT": "10 ADU", "ABMAGZP": 27.0}).value_ab == 27.0


@pytest.mark.parametrize(
    ("header", "match"),
    [
        ({}, "no AB zero point found in its header: expected BUNIT .* Give zero_point as a number"),
        ({"BUNIT": "Jy/beam"}, "'Jy/beam' is not a unit of flux"),
        ({"BUNIT": "DN/s"}, "no AB zero point found"),
        ({"BUNIT": "DN", "MAGZP": 20.5, "TELESCOP": "WISE"}, "may be a Vega magnitude"),
        ({"BUNIT": "uJy", "BSOFTEN": 100.0}, "asinh"),
    ],
)
def test_no_guess(header, match):
    with pytest.raises(InputError, match=match):
        zero_point(header)


def test_all_that_a_header_states():
    found, reasons = stated_zero_points({**ACS, "MAGZERO": 26.5, "ZEROPOINT": 0.0})
    assert [round(z.value_ab, 2) for z in found] == [25.95, 26.5] and len(reasons) == 1
    assert "taken as AB" in str(found[1]) and "taken as AB" not in str(found[0])


# Files --------------------------------------------------------------------------------------------------------------


def test_file_with_the_unit_in_the_extension_and_comments(tmp_path):
    image = fits.ImageHDU(np.ones((4, 5)), tan_header(**CD, BUNIT="MJy/sr"), name="SCI")
    fits.HDUList([fits.PrimaryHDU(), image]).writeto(tmp_path / "sb.fits")
    assert read_zero_point(str(tmp_path / "sb.fits[SCI]")).value_ab == pytest.approx(25.472, abs=1e-3)

    header = tan_header(**CD)
    header["MAGZPT"] = (24.0, "Photometric ZP (mags) for default extinction")
    fits.PrimaryHDU(np.ones((4, 5)), header).writeto(tmp_path / "casu.fits")
    with pytest.raises(InputError, match="not for the pixels as they are"):
        read_zero_point(str(tmp_path / "casu.fits"))


@pytest.mark.skipif(not DATA.exists(), reason="the real images are not there")
def test_real_headers():
    assert read_zero_point(str(DATA / "uds-jwst/f770w-sci.fits")).value_ab == pytest.approx(28.9)
    # its ZP is of the counts before the image was scaled to 10 nJy
    with pytest.raises(InputError, match=r"28\.900 \(BUNIT = '10\.0\*nanoJansky'\) and 26\.529"):
        read_zero_point(str(DATA / "uds-jwst/f444w-sci.fits"))
    with pytest.raises(InputError, match="no BUNIT says"):
        read_zero_point(str(DATA / "hdfs/hst-f606w.fits"))
