"""Stars become point sources, also where the PSF is not known well enough for their brightness."""

from __future__ import annotations

import pytest
from galaxy_stamps import fitting_psf, galaxy, group
from unblend.core.flags import Flag
from unblend.fits.fit_settings import DEFAULTS
from unblend.fits.passes import fit_first_pass
from unblend.fits.point_sources import is_unresolved


@pytest.mark.parametrize("r_e", [0.06, 0.1])
def test_a_bright_star_that_is_wider_than_its_psf_by_a_few_thousandths_is_a_point(r_e):
    """At S/N 3000 chi2 of a profile of that size is lower by many times what chance gives."""
    member = fit_first_pass(group([galaxy(24.3, 20.6, 20_000.0, 1.0, r_e, 0.05, 30.0)]), fitting_psf()).members[0]
    assert member.flags & Flag.POINT_SOURCE


def test_a_galaxy_of_a_third_of_a_pixel_is_none():
    data = group([galaxy(24.3, 20.6, 20_000.0, 1.0, 0.35, 0.2, 30.0)])
    member = fit_first_pass(data, fitting_psf()).members[0]
    assert is_unresolved(member, DEFAULTS) and not member.flags & Flag.POINT_SOURCE
    assert member.sersic is not None and member.sersic.r_e == pytest.approx(0.35, rel=0.1)
