"""The table of the images that `./unblend check` prints."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
from astropy.io import fits
from unblend.plan.input_table import describe_images

CARDS = {"CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CRVAL1": 53.0, "CRVAL2": -27.8, "CRPIX1": 20.0, "CRPIX2": 20.0,
         "CD1_1": -2e-5, "CD2_2": 2e-5, "CD1_2": 0.0, "CD2_1": 0.0, "BUNIT": "uJy"}  # fmt: skip


def test_the_zero_points_are_those_that_are_used(tmp_path):
    path = tmp_path / "k.fits"
    fits.writeto(path, np.random.default_rng(1).normal(size=(60, 60)), fits.Header(CARDS))
    given = {"read": "auto", "own": 25.94, "none": None}
    bands = {
        name: SimpleNamespace(
            name=name, mosaic=None, zero_point=value, wavelength=None, saturation=None, weight=None, rms=None
        )
        for name, value in given.items()
    }
    inputs = SimpleNamespace(image=lambda band: str(path), weight=lambda band: None)
    config = SimpleNamespace(bands=bands, detection=SimpleNamespace(bands=["own"]))
    lines, warnings = describe_images(SimpleNamespace(config=config, inputs=inputs), dict.fromkeys(given, 0.2))
    at = lines[0].index("zero point")
    assert [line[at:].split()[0] for line in lines[1:]] == ["23.90", "25.94", "-"] and warnings == []
