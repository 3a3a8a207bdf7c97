from __future__ import annotations

import numpy as np
import pytest
from astropy.io import fits
from unblend.core.errors import InputError
from unblend.plan.found_psfs import found_psf, psf_advice, psf_candidates


def gaussian(fwhm_pixels, side=41):
    axis = np.arange(side) - (side - 1) / 2
    profile = np.exp(-4.0 * np.log(2.0) * (axis / fwhm_pixels) ** 2)
    return np.outer(profile, profile)


def write(path, fwhm_pixels, **cards):
    fits.PrimaryHDU(gaussian(fwhm_pixels), fits.Header(cards)).writeto(path)
    return str(path)


@pytest.mark.parametrize(
    ("files", "image", "band", "expected"),
    [
        (["f444w-psf.fits", "f770w-psf.fits"], "f444w-sci.fits", "f444w", ["f444w-psf.fits"]),
        (["PSF_NIRCam_F200W.fits", "other_psf.fits"], "jw_f200w_i2d.fits", "f200w", ["PSF_NIRCam_F200W.fits"]),
        (["irac_ch2_warm_psf.fits", "irac_ch1_psf.fits"], "m.fits", "irac-ch1", ["irac_ch1_psf.fits"]),
        (["I1_prf.fits"], "m.fits", "irac-ch1", ["I1_prf.fits"]),
        (["ks_psf.fits", "k_psf.fits"], "im.fits", "ks", ["ks_psf.fits"]),
        (["wfc3_ir_f160w00_psf.fits", "acs_f606w00_psf.fits"], "j8_drc.fits", "f606w", ["acs_f606w00_psf.fits"]),
        (["IRAC.2.EXTPRF.5X.fits", "IRAC.1.EXTPRF.5X.fits"], "m.fits", "irac-ch1", ["IRAC.1.EXTPRF.5X.fits"]),
        (["apex_sh_IRACPC2_col129_row129_x100.fits", "I1_hdr_warm_psf.fits"], "mosaic.fits", "irac-ch2",
         ["apex_sh_IRACPC2_col129_row129_x100.fits"]),
        (["psf-HSC-I-9813.fits", "psf-HSC-R-9813.fits"], "c.fits", "hsc-i", ["psf-HSC-I-9813.fits"]),
    ],
)  # fmt: skip
def test_candidates_by_name(files, image, band, expected):
    assert psf_candidates(files, image, band) == expected


def test_the_file_named_like_the_image_comes_first():
    files = ["psf_f814w.fits", "hlsp_x_f814w_v1_psf.fits"]
    assert psf_candidates(files, "hlsp_x_f814w_v1_drz.fits", "f814w")[0] == "hlsp_x_f814w_v1_psf.fits"


@pytest.mark.parametrize(
    ("cards", "sampling"),
    [
        ({"PIXELSCL": 0.015}, 4.0),
        ({"PIXSCALE": 0.06}, 1.0),
        ({"CD1_2": 0.0, "CD2_2": 0.02 / 3600}, 3.0),
        ({"OVERSAMP": 5}, 5.0),
    ],
)
def test_sampling_of_the_header(tmp_path, cards, sampling):
    psf = found_psf(write(tmp_path / "psf.fits", 8.0, **cards), 0.06, "f200w", "jwst nircam")
    assert psf.oversampling == sampling and psf.certain and psf.kind == "effective"
    assert psf.fwhm_arcsec == pytest.approx(8.0 * 0.06 / sampling, rel=0.02)


@pytest.mark.parametrize(
    ("fwhm_pixels", "band", "instrument", "sampling"),
    [
        (2.9, "f814w", "hst acs", 1.0),  # drizzled: 0.09" for the telescope, 0.115" here
        (4.2, "f444w", "jwst nircam", 1.0),
        (8.4, "f444w", "jwst nircam", 2.0),
        (4.2, "ks", "vista", 1.0),
        (4.2, "f444w", "", 1.0),
    ],
)
def test_likely_sampling_without_a_header(tmp_path, fwhm_pixels, band, instrument, sampling):
    psf = found_psf(write(tmp_path / "psf.fits", fwhm_pixels), 0.04, band, instrument)
    assert psf.oversampling == sampling and not psf.certain and "no pixel size in its header" in psf.reason


def test_a_sampling_that_the_width_alone_does_not_tell_is_named_as_such(tmp_path):
    psf = found_psf(write(tmp_path / "psf.fits", 14.4), 0.6, "irac-ch1", "spitzer irac")
    assert psf.oversampling == 5 and "4 and 6 are possible, too" in psf.reason


@pytest.mark.parametrize(
    ("name", "cards", "per_detector_pixel"),
    [
        ("IRAC.2.EXTPRF.5X.070704", {}, 5),
        ("apex_sh_IRAC2_col129_row129_x20", {}, 20),
        ("ch2_prf", {"PRFXRSMP": 10}, 10),
    ],
)
def test_prfs_of_irac_sample_the_pixel_of_the_detector(tmp_path, name, cards, per_detector_pixel):
    psf = found_psf(write(tmp_path / f"{name}.fits", 7.0, **cards), 0.6, "irac-ch2", "spitzer irac")
    assert psf.oversampling == pytest.approx(0.6 / 1.213 * per_detector_pixel, rel=1e-3) and psf.certain
    assert psf.fwhm_arcsec == pytest.approx(7.0 * 1.213 / per_detector_pixel, rel=0.02)


@pytest.mark.parametrize(
    ("cards", "kind", "certain"),
    [
        ({"X_CLOVER": 0.008, "SPHERICL": -0.013, "PIXSCALE": 0.015}, "optical", True),  # Tiny Tim, subsampled
        ({"X_CLOVER": 0.008, "SPHERICL": -0.013, "PIXSCALE": 0.06}, "effective", True),
        ({"PIXSCALE": 0.015}, "effective", False),
        ({"PIXSCALE": 0.06}, "effective", True),
    ],
)
def test_what_a_fine_psf_includes(tmp_path, cards, kind, certain):
    psf = found_psf(write(tmp_path / "f606w00_psf.fits", 8.0, **cards), 0.06, "f606w", "hst acs")
    assert (psf.kind, psf.kind_certain) == (kind, certain)


def test_stpsf(tmp_path):
    names = ["OVERSAMP", "DET_SAMP", "OVERDIST", "DET_DIST"]
    hdus = [
        fits.ImageHDU(gaussian(8.0), fits.Header({"PIXELSCL": scale}), name=name)
        for name, scale in zip(names, (0.015, 0.06, 0.015, 0.06), strict=True)
    ]
    fits.HDUList([fits.PrimaryHDU(hdus[0].data, hdus[0].header), *hdus[1:]]).writeto(tmp_path / "p.fits")
    psf = found_psf(str(tmp_path / "p.fits"), 0.06, "f200w", "jwst nircam")
    assert (psf.file, psf.oversampling, psf.kind) == (f"{tmp_path}/p.fits[OVERDIST]", 4.0, "optical")


def test_no_psf(tmp_path):
    fits.PrimaryHDU(np.zeros((20, 20))).writeto(tmp_path / "psf.fits")
    with pytest.raises(InputError, match="expected a positive PSF"):
        found_psf(str(tmp_path / "psf.fits"), 0.06, "k", "")


def test_advice_where_to_get_one():
    assert "STPSF" in psf_advice("f444w", "jwst nircam") and "Tiny Tim" in psf_advice("f814w", "hst acs")
    assert "PRF" in psf_advice("irac-ch1", "") and "PSF picker" in psf_advice("hsc-i", "")
    assert "PSFEx" in psf_advice("ks", "vista") and "psf: {stars: auto}" in psf_advice("ks", "vista")
