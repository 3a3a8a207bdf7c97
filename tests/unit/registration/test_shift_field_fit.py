"""The order and the values of a field of shifts, with outliers, and its errors."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from template_battery import SKY, Blur, Grid, psf_of, wcs_of
from unblend.core.errors import ShiftError
from unblend.core.shift_field import ShiftField
from unblend.core.types import Model
from unblend.models.rendering import sersic_model
from unblend.registration.band_shift import Registration
from unblend.registration.offsets import Offsets
from unblend.registration.shift_field_fit import fit_shift_field, measure_field

FIELDS = {
    0: lambda v, u: (0.1 + 0.0 * v, -0.2 + 0.0 * u),
    1: lambda v, u: (0.1 * v, -0.2 * u),
    2: lambda v, u: (0.25 * v**2 + 0.05 * u, 0.2 * v * u),
    3: lambda v, u: (0.2 * v**3, 0.1 * u**3 + 0.1 * v * u**2),
}
SCATTER = 0.01


def measured(order, seed, number=60, outliers=0):
    """Return offsets with errors of 0.003 to 0.03 pixels and a scatter of 0.01, their places, and the true shifts."""
    random = np.random.default_rng([seed, order])
    y, x = random.uniform(0.0, 100.0, (2, number))
    true = np.array(FIELDS[order](y / 50.0 - 1.0, x / 50.0 - 1.0))
    error = 0.01 * random.uniform(0.3, 3.0, number)
    dy, dx = true + random.normal(0.0, np.hypot(error, SCATTER), (2, number))
    dy[:outliers] += random.uniform(0.3, 2.0, outliers)
    return Offsets(np.arange(number), dy, dx, error, error, np.full(number, 50.0)), y, x, true


@pytest.mark.parametrize("outliers", [0, 6])
@pytest.mark.parametrize("order", FIELDS)
def test_the_true_order_is_chosen_and_the_field_is_within_its_errors(order, outliers):
    chosen, pulls, scatter = [], [], []
    for seed in range(8):
        offsets, y, x, true = measured(order, seed, outliers=outliers)
        found = fit_shift_field(offsets, y, x)
        chosen.append(found.field.order)
        if found.field.order != order:
            continue
        values = np.array([found.field.at(*place) for place in zip(y, x, strict=True)]).T
        terms = found.field.terms(y, x)
        pulls.append((values - true) / np.sqrt(np.einsum("nt,atu,nu->an", terms, found.field.covariance, terms)))
        assert (
            set(range(outliers)) <= found.outliers and len(found.outliers) <= outliers + 6
        )  # a tenth of them by chance
        scatter.append(found.scatter)
    assert sum(number == order for number in chosen) >= 7
    # one value is known to 0.005, errors of sources being larger than their scatter
    assert np.mean(scatter) == pytest.approx(SCATTER, abs=0.004)
    # 16 independent fits of both axes: sigma of the rms is 0.2 for a constant, less for more terms
    assert 0.5 < np.sqrt(np.mean(np.square(pulls))) < 1.5


def test_a_constant_shift_with_a_large_scatter_stays_constant():
    """45 sources scatter by more than their errors; an order must not be judged without the sources it rejects."""
    random = np.random.default_rng(1)
    for _ in range(50):
        y, x = random.uniform(0.0, 200.0, (2, 45))
        error = 10.0 ** random.uniform(-2.5, -0.7, 45)
        dy, dx = 0.05 * random.normal(size=(2, 45)) + error * random.normal(size=(2, 45))
        found = fit_shift_field(Offsets(np.arange(45), dy, dx, error, error, np.full(45, 50.0)), y, x)
        assert found.field.order == 0


def test_few_sources_have_a_low_order():
    offsets, y, x, _ = measured(2, 1, number=8)
    assert fit_shift_field(offsets, y, x).field.order == 0


def test_faint_sources_are_not_used():
    offsets, y, x, _ = measured(0, 1, number=8)
    faint = Offsets(*(getattr(offsets, name) for name in ("ids", "dy", "dx", "err_dy", "err_dx")), np.full(8, 5.0))
    with pytest.raises(ShiftError, match="signal-to-noise of 10"):
        fit_shift_field(faint, y, x)


def test_the_field_of_a_drawn_band_is_found():
    """36 galaxies of S/N 300 and a field of ±0.4 pixels: 0.01 pixels a source."""
    grid = Grid(scale=0.15, side=201)
    stack = np.array([[0.0, -0.06], [0.06, 0.0]])
    east, north = (values.ravel() for values in np.meshgrid(*2 * (np.linspace(-12.0, 12.0, 6),)))
    models = {
        i: sersic_model(
            n=1.0, r_e=4.0, ell=0.2, pa=20.0 * i, flux=1.0, pixel_to_sky=stack, oversampling=5,
            sky=(SKY[0] + e / 3600.0 / np.cos(np.deg2rad(SKY[1])), SKY[1] + n / 3600.0),
        )
        for i, (e, n) in enumerate(zip(east, north, strict=True), start=1)
    }  # fmt: skip
    shape, area = (grid.side, grid.side), (20.0, 20.0, 180.0, 180.0)
    true = ShiftField(1, area, np.array([[0.1, 0.3, 0.0], [-0.2, 0.1, 0.4]]), np.zeros((2, 3, 3)))
    band = Registration(
        np.zeros(shape), np.ones(shape), wcs_of(grid), psf_of(Blur(3.0)), models, dict.fromkeys(models, 0.3)
    )
    image = np.random.default_rng(4).normal(size=shape)
    for template in replace(band, shift_field=true).templates((0.0, 0.0)):
        image[template.box.slices] += 1500.0 * template.data
    found, with_it = measure_field(replace(band, image=image), (0.0, 0.0))
    assert found.field.order == 1 and found.used >= 33
    for place in ((30.0, 40.0), (100.0, 100.0), (170.0, 60.0)):
        assert found.field.at(*place) == pytest.approx(true.at(*place), abs=0.02)
    left = with_it.offsets((0.0, 0.0), *with_it.solved((0.0, 0.0)))
    assert abs(np.median(left.dy)) < 0.01 and np.abs(left.dx).max() < 0.1
    # no source is a star
    assert with_it.offsets((0.0, 0.0), *with_it.solved((0.0, 0.0)), of_points=True) is None


@pytest.mark.parametrize("moved", [0.0, 0.3, 1.5])
def test_a_star_that_has_moved_is_local_and_no_part_of_the_field(moved):
    """A star of S/N 300 among 16 galaxies without a field; it has moved by `moved` pixels along y."""
    grid = Grid(scale=0.15, side=141)
    east, north = (values.ravel() for values in np.meshgrid(*2 * (np.linspace(-8.0, 8.0, 4),)))
    stack = np.array([[0.0, -0.06], [0.06, 0.0]])
    models = {}
    for i, (e, n) in enumerate(zip(east, north, strict=True), start=1):
        sky = (SKY[0] + e / 3600.0 / np.cos(np.deg2rad(SKY[1])), SKY[1] + n / 3600.0)
        models[i] = sersic_model(n=1.0, r_e=4.0, ell=0.2, pa=20.0 * i, flux=1.0, pixel_to_sky=stack, oversampling=5,
                                 sky=sky)  # fmt: skip
    star = 17
    models[star] = Model(np.ones((1, 1)), (0.0, 0.0), SKY, stack, 1.0)
    shape = (grid.side, grid.side)
    band = Registration(np.zeros(shape), np.ones(shape), wcs_of(grid), psf_of(Blur(3.0)), models,
                        dict.fromkeys(range(1, star), 0.3), points=frozenset({star}))  # fmt: skip
    image = np.random.default_rng(4).normal(size=shape)
    elsewhere = replace(band, shift_field=ShiftField.constant((moved, 0.0), (0.0, 0.0)))
    for template in [*band.templates((0.0, 0.0))[:-1], elsewhere.templates((0.0, 0.0))[-1]]:
        image[template.box.slices] += 1500.0 * template.data
    found, _ = measure_field(replace(band, image=image), (0.0, 0.0))
    assert (star in found.outliers) == (moved > 0.0)
    assert found.field.order == 0 and np.abs(found.field.coefficients).max() < 0.03
