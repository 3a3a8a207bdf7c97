"""The core of a cluster: thirty galaxies that overlap, fitted by IMFIT."""

from __future__ import annotations

import numpy as np
import pytest
from galaxy_stamps import fitting_psf, galaxy
from unblend.core.flags import Flag
from unblend.core.types import Box
from unblend.fits.group_data import GroupData
from unblend.fits.passes import fit_first_pass, fit_second_pass

pytestmark = pytest.mark.integration

SIDE = 100
"""6 arcsec at 0.06 arcsec a pixel."""


def cluster_core() -> tuple[list, GroupData]:
    """Return the truth and the group of galaxies with half-light radii of 0.2 to 0.35", none nearer than 0.63"."""
    rng = np.random.default_rng(11)
    places: list[np.ndarray] = []
    while len(places) < 30:
        place = rng.uniform(8, SIDE - 9, 2)
        if all(np.hypot(*(place - other)) > 10.5 for other in places):
            places.append(place)
    fluxes = np.sort(10 ** rng.uniform(2.9, 3.8, 30))[::-1]
    shapes = zip(
        rng.uniform(0.8, 3.0, 30), rng.uniform(3.0, 6.0, 30), rng.uniform(0.0, 0.6, 30), rng.uniform(0, 180, 30),
        strict=True,
    )  # fmt: skip
    truth = [(*place, flux, *shape) for place, flux, shape in zip(places, fluxes, shapes, strict=True)]
    lights = np.array([galaxy(*t, shape=(SIDE, SIDE)) for t in truth])
    image = lights.sum(axis=0) + rng.normal(0.0, 1.0, (SIDE, SIDE))
    segments = np.where(lights.max(axis=0) > 1.5, lights.argmax(axis=0) + 1, 0)
    return truth, GroupData(Box(0, 0, SIDE, SIDE), image, np.ones(image.shape), segments, tuple(range(1, 31)))


def test_a_group_of_thirty_finishes_and_is_right() -> None:
    truth, data = cluster_core()
    psf = fitting_psf()
    fit = fit_second_pass(data, psf, fit_first_pass(data, psf))
    assert fit.converged and fit.solver == "LM source by source"
    # 10⁴ pixels less 211 parameters: four sigma are 0.06
    assert fit.reduced_chi2 == pytest.approx(1.0, abs=0.06)
    assert not any(member.flags & (Flag.FIT_REPLACED | Flag.CENTRE_ASTRAY) for member in fit.members)
    pulls = []
    for member, (y, x, flux, n, r_e, *_) in zip(fit.members, truth, strict=True):
        found = member.sersic
        assert np.hypot(found.y - y, found.x - x) < 0.5
        assert abs(found.total_flux / flux - 1.0) < 0.5
        error = np.sqrt(np.diag(member.covariance))
        pulls += [
            (found.x - x) / error[0],
            (found.y - y) / error[1],
            (found.n - n) / error[4],
            (found.r_e - r_e) / error[6],
        ]
    # 120 pulls: the robust sigma of independent ones scatters by 0.1
    assert 0.7 < 1.4826 * np.median(np.abs(pulls)) < 1.3
