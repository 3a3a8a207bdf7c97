from __future__ import annotations

import pytest
from unblend.plan.file_roles import belongs_to, kind_of, role_of, stem_of, words_of


@pytest.mark.parametrize(
    ("name", "role"),
    [
        ("f444w.fits", "image"), ("a/hlsp_x_acs_f814w_v1_drz.fits.gz", "image"), ("mosaic.fits", "image"),
        ("jw01837-o004_t004_nircam_clear-f200w_i2d.fits", "image"), ("ks-weight.fits", "weight"),
        ("hlsp_x_acs_f814w_v1_wht.fits", "weight"), ("mosaic_unc.fits", "weight"), ("mosaic_cov.fits", "weight"),
        ("f444w-psf.fits", "psf"), ("psf_f444w.fits", "psf"), ("PSF_NIRCam_F200W.fits", "psf"),
        ("irac_ch1_prf.fits", "psf"), ("f814w_psf-matched_drz.fits", "image"), ("f814w_seg.fits", "other"),
        ("tile_ctx.fits", "other"), ("apex_sh_IRACPC2_col129_row129_x100.fits", "psf"),
        ("IRAC.1.EXTPRF.5X.070704.fits", "psf"), ("apex_laboca_map.fits", "image"),
    ],
)  # fmt: skip
def test_roles_by_the_words_of_a_name(name, role):
    assert role_of(name) == role


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("a_wht.fits", "weight"), ("a-ivar.fits", "weight"), ("a_conf.fits", "weight"), ("a_cov.fits", "weight"),
        ("a_exp.fits", "weight"), ("a_rms.fits", "rms"), ("a_unc.fits", "rms"), ("a_err.fits", "rms"),
        ("a_var.fits", "variance"), ("weight_a_rms.fits", "rms"),
    ],
)  # fmt: skip
def test_kinds_of_maps(name, kind):
    assert kind_of(name) == kind


@pytest.mark.parametrize(
    ("other", "image"),
    [
        ("hlsp_x_f814w_v1_wht.fits", "hlsp_x_f814w_v1_drz.fits"),
        ("f444w-wht.fits", "f444w-sci.fits"),
        ("ks-weight.fits.gz", "ks.fits"), ("mosaic_cov.fits", "mosaic.fits"), ("mosaic_psf.fits", "mosaic.fits"),
        ("legacysurvey-0744-invvar-r.fits.fz", "legacysurvey-0744-image-r.fits.fz"),
        ("SPITZER_I1_4958976_0000_5_E8600003_mcov.fits", "SPITZER_I1_4958976_0000_5_E8600001_maic.fits"),
        ("EUC_MER_MOSAIC-VIS-RMS_TILE102-1D0E59_20241018T142710.276857Z_00.00.fits",
         "EUC_MER_BGSUB-MOSAIC-VIS_TILE102-ACBD03_20241018T142710.276838Z_00.00.fits"),
    ],
)  # fmt: skip
def test_files_that_belong_together(other, image):
    assert belongs_to(other, image)


@pytest.mark.parametrize(
    ("other", "image"),
    [
        ("f444w-wht.fits", "f770w-sci.fits"),
        ("tile_12_wht.fits", "tile_13_sci.fits"),
        ("EUC_MER_MOSAIC-NIR-Y-RMS_TILE102-1D0E59.fits", "EUC_MER_BGSUB-MOSAIC-VIS_TILE102-ACBD03.fits"),
        ("field_102018_wht.fits", "field_102019_sci.fits"),
    ],
)
def test_files_that_do_not(other, image):
    assert not belongs_to(other, image)


def test_a_name_that_says_only_what_a_file_holds():
    assert words_of("mosaic") == ["mosaic"] and stem_of("a/B.FITS.gz") == "B"
    assert belongs_to("mosaic.fits", "mosaic.fits")
