from __future__ import annotations

import numpy as np
import pytest
from unblend.core.errors import FailedBandError, InputError
from unblend.field.failed_band import PSF, check_band, failure_cards, failure_in, failure_of, write_failed_psf
from unblend.io.images import write_image
from unblend.io.psfs import read_psf

LONG = "bands.ü.weight: it's " + "a long way " * 40 + "to the \N{SNOWMAN}."


def test_a_reason_of_any_length_and_letters_is_kept(tmp_path):
    write_image(tmp_path / "mask.fits", np.ones((3, 4)), header=failure_cards(InputError(LONG)))
    assert failure_in(tmp_path / "mask.fits") == LONG


def test_a_product_with_content_or_none_has_no_reason(tmp_path):
    write_image(tmp_path / "mask.fits", np.ones((3, 4)))
    assert failure_in(tmp_path / "mask.fits") is None and failure_in(tmp_path / "gone.fits") is None


def test_a_band_fails_with_the_first_of_its_products(tmp_path):
    folder = tmp_path / "bands" / "ks"
    write_image(folder / "mask.fits", np.ones((3, 4)))
    check_band("ks", tmp_path)
    write_failed_psf(str(folder / PSF), InputError("no star."))
    assert failure_of("ks", tmp_path) == "no star." and failure_of("ks", tmp_path, ("mask.fits",)) is None
    with pytest.raises(FailedBandError, match=r"no star\."):
        check_band("ks", tmp_path)


def test_the_psf_of_a_failed_band_can_be_read(tmp_path):
    write_failed_psf(str(tmp_path / "psf.fits"), InputError("no star."))
    psf, header = read_psf(str(tmp_path / "psf.fits"))
    assert psf.at(0.0, 0.0).data.shape == (1, 1) and np.isnan(float(str(header["FWHM"])))
