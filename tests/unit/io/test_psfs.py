from __future__ import annotations

import numpy as np
from unblend.core.types import Psf
from unblend.io.psfs import read_psf, write_psf


def test_psf_round_trip(tmp_path):
    psf = Psf(np.random.default_rng(1).uniform(size=(5, 7)), (2.01, 2.99), 2.5, "optical", 0.97)
    write_psf(tmp_path / "psf.fits", psf)
    again, _ = read_psf(str(tmp_path / "psf.fits"))
    np.testing.assert_array_equal(again.data, psf.data)
    assert (again.centre, again.oversampling, again.kind, again.original_sum) == ((2.01, 2.99), 2.5, "optical", 0.97)


def test_further_header_cards_come_back(tmp_path):
    write_psf(tmp_path / "psf.fits", Psf(np.eye(3), (1.0, 1.0)), {"FWHM": 2.5, "ABSENT": None})
    _, header = read_psf(str(tmp_path / "psf.fits"))
    assert header["FWHM"] == 2.5 and "ABSENT" not in header
