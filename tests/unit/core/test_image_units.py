from __future__ import annotations

import pytest
from unblend.core.image_units import ImageUnit, image_unit

SR_PER_ARCSEC2 = 2.3504430539e-11
FLAM = "flux density per wavelength"


@pytest.mark.parametrize(
    ("text", "jy"),
    [
        ("Jy", 1.0), ("JY", 1.0), ("mJy", 1e-3), ("uJy", 1e-6), ("UJY", 1e-6), ("ujy", 1e-6), ("microJy", 1e-6),
        ("microJansky", 1e-6), ("nJy", 1e-9), ("nanoJansky", 1e-9), ("10 nJy", 1e-8), ("10*nJy", 1e-8),
        ("10.0*nanoJansky", 1e-8), ("1e-8 Jy", 1e-8), ("Jy/pixel", 1.0), ("uJy/pix", 1e-6), ("MJy", 1e6),
        ("erg/s/cm2/Hz", 1e23), ("10^-29 erg/s/cm2/Hz", 1e-6), ("W/m2/Hz", 1e26), (" 'nJy ' ", 1e-9),
    ],
)  # fmt: skip
def test_flux_densities(text, jy):
    assert image_unit(text) == ImageUnit("flux density", pytest.approx(jy))


def test_maggies_have_magnitude_zero():
    for text in ("nanomaggy", "nanomaggies", "nmgy"):
        unit = image_unit(text)
        assert unit.kind == "flux density" and unit.scale == pytest.approx(3.6308e-6, rel=1e-4)


@pytest.mark.parametrize(
    ("text", "jy_per_sr"),
    [
        ("MJy/sr", 1e6), ("MJY/SR", 1e6), ("MJy sr-1", 1e6), ("MJy/steradian", 1e6),
        ("uJy/arcsec2", 1e-6 / SR_PER_ARCSEC2), ("uJy/arcsec^2", 1e-6 / SR_PER_ARCSEC2), ("erg/s/cm2/Hz/sr", 1e23),
    ],
)  # fmt: skip
def test_surface_brightnesses(text, jy_per_sr):
    assert image_unit(text) == ImageUnit("flux density", pytest.approx(jy_per_sr), per_sr=True)


@pytest.mark.parametrize(
    ("text", "scale"),
    [
        ("erg/s/cm**2/Angstrom", 1.0), ("10**(-20)*erg/s/cm**2/Angstrom", 1e-20), ("10**-20 erg s-1 cm-2 A-1", 1e-20),
        ("(10**-20 erg) / (Angstrom s cm2)", 1e-20), ("1e-20 erg / (s cm2 Angstrom)", 1e-20), ("ergs/s/cm2/A", 1.0),
    ],
)  # fmt: skip
def test_fluxes_per_wavelength(text, scale):
    assert image_unit(text) == ImageUnit(FLAM, pytest.approx(scale))


@pytest.mark.parametrize("text", ["ELECTRONS/S", "electron/s", "e-/s", "E-/S", "electron s-1", "electrons/sec"])
def test_electron_rates(text):
    assert image_unit(text) == ImageUnit("counts per second", electrons=True)


@pytest.mark.parametrize("text", ["COUNTS/S", "counts s-1", "DN/s", "adu/s", "cps", "ct s**-1", "photons/second"])
def test_rates_of_digital_units(text):
    assert image_unit(text) == ImageUnit("counts per second")


@pytest.mark.parametrize(("text", "electrons"), [("ELECTRONS", True), ("ADU", False), ("count", False), ("DN", False)])
def test_counts(text, electrons):
    assert image_unit(text) == ImageUnit("counts", electrons=electrons)


@pytest.mark.parametrize("text", ["", None, "  "])
def test_no_unit(text):
    assert image_unit(text).kind == "none"


@pytest.mark.parametrize(
    "text", ["MJY", "mjy", "mjy/sr", "Jy/beam", "mag", "mag/arcsec2", "K", "1", "unknown", "10 ADU"]
)
def test_two_meanings_or_none(text):
    """Capitals throughout do not tell milli- from megajansky, and a beam is no pixel."""
    assert image_unit(text).kind == "unknown"
