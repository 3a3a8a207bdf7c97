"""A rotation and a wrong pixel scale are measured with their errors, however large; nothing else is taken for one."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from template_battery import SKY, Blur, Grid, psf_of, wcs_of
from unblend.core.shift_field import ShiftField
from unblend.models.rendering import sersic_model
from unblend.registration.band_shift import Registration
from unblend.registration.large_offsets import offset_shares
from unblend.registration.rotation import find_rotation

GRID = Grid(scale=0.15, side=151)
SHAPE = (GRID.side, GRID.side)
# not on a regular grid, which fits again after a rotation
PLACES = np.random.default_rng(4).uniform(-8.5, 8.5, (60, 2))
PLACES = np.array([p for k, p in enumerate(PLACES) if np.hypot(*(PLACES[:k] - p).T).min(initial=9.0) > 3.0])[:14]


def band_with(matrix, noise=1.0, flux=1500.0, shift=(0.0, 0.0)):
    """Return a band whose light is at matrix · (y, x) about the centre, and at a shift (dy, dx) in pixels."""
    turn = np.array([[0.0, -0.06], [0.06, 0.0]])
    models = {
        i: sersic_model(
            n=1.0, r_e=4.0, ell=0.2, pa=20.0 * i, flux=1.0, pixel_to_sky=turn, oversampling=3,
            sky=(SKY[0] + east / 3600.0 / np.cos(np.deg2rad(SKY[1])), SKY[1] + north / 3600.0),
        )
        for i, (east, north) in enumerate(PLACES, start=1)
    }  # fmt: skip
    sizes = dict.fromkeys(models, 0.3)
    band = Registration(np.zeros(SHAPE), np.full(SHAPE, noise**-2), wcs_of(GRID), psf_of(Blur(3.0)), models, sizes)
    half = GRID.side // 2
    # the terms of the field are 1, y / half, x / half
    terms = np.column_stack([shift, half * (np.array(matrix) - np.eye(2))])
    truth = ShiftField(1, (0.0, 0.0, 2.0 * half, 2.0 * half), terms, np.zeros((2, 3, 3)))
    image = noise * np.random.default_rng(2).normal(size=SHAPE)
    for template in replace(band, shift_field=truth).templates((0.0, 0.0)):
        image[template.box.slices] += flux * template.data
    return replace(band, image=image)


def found(matrix, **field):
    band = band_with(matrix, **field)
    templates, solution = band.solved((0.0, 0.0))
    shares = offset_shares(band.image - solution.background_image, band.weight, templates, 14)
    return find_rotation(band, (0.0, 0.0), band.offsets((0.0, 0.0), templates, solution), shares)


def turned(degrees, scale=1.0):
    """Return a rotation from X to Y as a matrix for (y, x)."""
    c, s = scale * np.cos(np.radians(degrees)), scale * np.sin(np.radians(degrees))
    return [[c, s], [-s, c]]


@pytest.mark.parametrize(("degrees", "scale"), [(0.4, 1.0), (-2.0, 1.0), (0.0, 1.03), (5.0, 0.96)])
def test_rotation_and_scale_are_measured(degrees, scale):
    rotation = found(turned(degrees, scale), shift=(0.3, -1.2))
    assert rotation is not None and rotation.used == len(PLACES)
    assert abs(rotation.angle_deg - degrees) < max(4.0 * rotation.angle_err_deg, 0.005) < 0.1
    for value, error in zip(rotation.stretch, rotation.stretch_err, strict=True):
        assert abs(value - (scale - 1.0)) < max(4.0 * error, 1e-4) < 2e-3
    assert ("rotation" in str(rotation)) == (degrees != 0.0)
    assert ("too large" in str(rotation), "too small" in str(rotation)) == (scale > 1.0, scale < 1.0)
    assert "along" not in str(rotation)


def test_a_wrong_scale_of_one_axis_is_named():
    said = str(found([[1.0, 0.0], [0.0, 0.97]]))
    assert said.startswith("pixels that the header makes 3.0") and said.endswith(" % too small along X")


def test_shifts_stars_of_their_own_motion_and_faint_bands_are_no_rotation():
    assert found(np.eye(2)) is None
    assert found(np.eye(2), shift=(4.0, -3.0)) is None
    assert found(turned(2.0), flux=30.0) is None
    band = band_with(np.eye(2))
    moved = band.templates((0.6, 0.0))[0]
    band.image[moved.box.slices] += 30000.0 * moved.data
    templates, solution = band.solved((0.0, 0.0))
    shares = offset_shares(band.image, band.weight, templates, 14)
    assert find_rotation(band, (0.0, 0.0), band.offsets((0.0, 0.0), templates, solution), shares) is None
    assert find_rotation(band, (0.0, 0.0), None, {}) is None
