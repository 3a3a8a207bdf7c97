from __future__ import annotations

import pytest
from unblend.core.filters import wavelength_um


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("f814w", 0.814),  # ACS: nanometres
        ("hst-f606w", 0.606),
        ("f160w", 1.60),  # WFC3/IR: hundredths of a micrometre
        ("F444W", 4.44),
        ("nircam_f090w", 0.90),
        ("miri.F1000W", 10.0),
        ("f850lp", 0.85),
        ("f322w2", 3.22),
        ("Ks", 2.15),
        ("irac-ch2", 4.50),
        ("ch1", 3.56),
        ("subaru-z", 0.90),
        ("hsc-r2", 0.62),
        ("muse", None),
        ("205", None),  # EAZY's number of a filter
        ("", None),
    ],
)
def test_wavelengths_of_names(name, expected):
    assert wavelength_um(name) == expected
