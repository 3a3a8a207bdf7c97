from __future__ import annotations

import pytest

pytest.importorskip("dust_extinction")

from unblend.photometry.galactic_extinction import extinction_per_reddening


@pytest.mark.parametrize(
    ("wavelength_um", "expected", "tolerance"),
    [
        # Fitzpatrick (1999), table 3: A/E(B-V) at 0.547, 0.600 and 1.22 micrometres for R_V = 3.1
        (0.547, 3.055, 0.02),
        (0.600, 2.688, 0.02),
        (1.220, 0.829, 0.02),
        # Indebetouw et al. (2005), in the plane of the Galaxy: 0.56 and 0.43 of A(K) = 0.36 E(B-V); others find less
        (3.55, 0.20, 0.08),
        (4.50, 0.15, 0.08),
    ],
)
def test_values_of_the_literature(wavelength_um, expected, tolerance):
    assert extinction_per_reddening(wavelength_um, "F99", 3.1) == pytest.approx(expected, abs=tolerance)


@pytest.mark.parametrize("law", ["F99", "F19", "CCM89", "O94", "G23"])
def test_every_law_is_known_from_0_12_to_30_micrometres(law):
    found = [extinction_per_reddening(um, law, 3.1) for um in (0.12, 0.55, 3.19, 3.21, 29.9)]
    assert found[1] == pytest.approx(3.1, rel=0.05) and found[0] > 7 and 0 < found[4] < found[3] < 0.3
    # the laws meet at 3.2 micrometres within 0.1 mag at E(B-V) = 1
    assert found[2] == pytest.approx(found[3], abs=0.1)
    assert extinction_per_reddening(850.0, law, 3.1) is None
    assert extinction_per_reddening(0.09, law, 3.1) is None


def test_r_v_changes_the_extinction():
    assert extinction_per_reddening(0.55, "F99", 5.0) == pytest.approx(5.0, rel=0.03)
