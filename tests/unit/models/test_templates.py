from __future__ import annotations

import logging
import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
from template_battery import (
    SKY,
    Blur,
    Grid,
    Setup,
    Source,
    brute_force,
    check_template,
    measure,
    model_of,
    psf_of,
    template_image,
    wcs_of,
)
from unblend.core.shift_field import ShiftField
from unblend.core.types import Box, Model
from unblend.models.templates import TemplateEngine, fft_side

K_BAND = Grid(scale=0.15, side=41)
IRAC = Grid(scale=0.6, side=31)
NORTH_UP = np.array([[0.0, -1.0], [1.0, 0.0]])


def engine_of(grid=K_BAND, blur=None, shift=(0.0, 0.0)):
    return TemplateEngine(wcs_of(grid), (grid.side, grid.side), psf_of(blur or Blur()), shift)


# The reference ------------------------------------------------------------------------------------------------------


def test_brute_force_contains_all_the_flux_of_a_small_source():
    assert brute_force(Setup(Grid(side=51), Blur(2.5), Source(n=1, r_e=0.05))).sum() == pytest.approx(1.0, abs=1e-6)


def test_brute_force_of_a_point_is_the_error_function():
    from math import erf, sqrt

    grid = Grid(scale=0.15, side=41, phase=(0.0, 0.0))
    image = brute_force(Setup(grid, Blur(3.0), Source(r_e=0.0)))
    sigmas = [3.0 / 2.354820045 * factor for factor in (1, 2)]
    central = [erf(0.5 / sqrt(2) / sigma) ** 2 for sigma in sigmas]
    assert image[20, 20] == pytest.approx(0.8 * central[0] + 0.2 * central[1], rel=1e-6)


def test_brute_force_and_galsim_agree_where_both_can_draw():
    # GalSim is an independent reference
    setup = Setup(K_BAND, Blur(1.2, 3.0, "optical"), Source(n=2.5, r_e=0.3))
    check_template(setup)
    check_template(setup, moffat=True)


# The battery --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [0.5, 1.0, 2.5, 4.0, 6.0])
@pytest.mark.parametrize(("r_e", "q"), [(0.05, 0.6), (0.2, 0.2)])
@pytest.mark.parametrize("grid", [Grid(scale=0.06, side=41), K_BAND], ids=["hst", "k"])
def test_profiles(grid, n, r_e, q):
    check_template(Setup(grid, Blur(3.0), Source(n=n, r_e=r_e, q=q)))


@pytest.mark.parametrize("n", [0.5, 1.0, 4.0])
def test_large_profiles_run_off_the_image(n):
    check_template(Setup(replace(K_BAND, side=31), Blur(3.0), Source(n=n, r_e=1.0, q=0.5)))


@pytest.mark.parametrize("n", [0.5, 1.0, 2.5, 4.0])
def test_galsim(n):
    check_template(Setup(K_BAND, Blur(3.4), Source(n=n, r_e=0.2, q=0.5)), moffat=True)


@pytest.mark.parametrize("n", [1.0, 4.0])
def test_irac_with_an_oversampled_psf(n):
    check_template(Setup(IRAC, Blur(1.7 / 0.6, 3.0), Source(n=n, r_e=0.3)), moffat=True)


@pytest.mark.parametrize("n", [0.5, 2.5])
def test_rebinning_keeps_small_sources(n):
    # 0.012 arcsec in pixels of 0.6: blocks of 0.12 arcsec would be too coarse for r_e = 0.05
    check_template(Setup(IRAC, Blur(1.7 / 0.6, 3.0), Source(n=n, r_e=0.05)), pixel=5e-4, flux=5e-4)


def test_random_phases_and_position_angles():
    rng = np.random.default_rng(5)
    for _ in range(5):
        phase = tuple(rng.uniform(-0.5, 0.5, 2))
        source = Source(n=rng.uniform(0.5, 4), r_e=rng.uniform(0.1, 0.3), q=rng.uniform(0.2, 1), pa=rng.uniform(0, 180))
        check_template(Setup(replace(K_BAND, phase=phase), Blur(3.0), source))


@pytest.mark.parametrize(
    "changes",
    [
        {"rotation": 33.0},
        {"rotation": 20.0, "flipped": True},
        {"rotation": -70.0, "shear": 0.1},
        {"sip": 2e-5, "rotation": -40.0},
        {"sip": 1e-4},
        {"shift": (0.21, -0.13), "rotation": 15.0},
        {"shift": (-0.4, 0.3), "flipped": True},
    ],
    ids=["rotated", "flipped", "sheared", "sip", "strong sip", "shifted", "shifted and flipped"],
)
def test_world_coordinates(changes):
    check_template(Setup(replace(K_BAND, **changes), Blur(3.0), Source(n=1.0, r_e=0.3, q=0.4)))


@pytest.mark.parametrize(
    "blur",
    [
        Blur(3.0, 1.5),
        Blur(2.0, 2.0),
        Blur(1.5, 2.5),
        Blur(1.2, 3.0),
        Blur(3.0, 1.0, "optical"),
        Blur(2.0, 2.0, "optical"),
        Blur(1.2, 3.0, "optical"),
        Blur(3.0, even=True),
        Blur(3.0, offset=(0.4, -0.3)),
        Blur(3.0, offset=(1.3, -0.7)),
        Blur(1.5, 3.0, even=True, offset=(-0.25, 2.4)),
    ],
    ids=str,
)
@pytest.mark.parametrize("r_e", [0.0, 0.2], ids=["point", "galaxy"])
def test_psfs(blur, r_e):
    check_template(Setup(K_BAND, blur, Source(n=1.5, r_e=r_e)))


@pytest.mark.parametrize("phase", [(0.0, 0.0), (0.5, 0.5), (0.37, -0.21)])
def test_point_sources(phase):
    check_template(Setup(replace(K_BAND, phase=phase), Blur(3.0), Source(r_e=0.0)))


@pytest.mark.parametrize(
    "source",
    [
        Source(pixel=0.02),
        Source(pixel=0.04, rotation=25.0),
        Source(pixel=0.06, rotation=25.0),
        Source(pixel=0.04, offset=(0.3, -0.4), even=True),
        Source(n=4.0, offset=(0.3, -0.4), even=True),
    ],
    ids=["0.02", "0.04 rotated", "0.06 rotated", "0.04 off-centre, even", "n = 4 off-centre, even"],
)
def test_the_users_own_models(source):
    check_template(Setup(K_BAND, Blur(3.0), source))


def test_the_reference_pixel_of_a_model_may_lie_anywhere():
    model = model_of(Source(pixel=0.04))
    away = np.array([12.0, -7.0])
    east, north = model.pixel_to_sky @ away / 3600.0
    moved = replace(
        model,
        centre=(model.centre[0] + away[0], model.centre[1] + away[1]),
        sky=(SKY[0] + east / np.cos(np.deg2rad(SKY[1])), SKY[1] + north),
    )
    # 1e-6: the tangent plane over half an arcsecond
    setup = Setup(K_BAND, Blur(3.0), Source(pixel=0.04))
    near, far = template_image(setup, psf_of(setup.blur), model), template_image(setup, psf_of(setup.blur), moved)
    np.testing.assert_allclose(far, near, atol=1e-6 * near.max())


@pytest.mark.parametrize(
    ("grid", "source"),
    [
        (Grid(scale=0.03, side=41), Source(n=6.0, r_e=0.05, pixel=0.012)),
        (IRAC, Source(n=6.0, r_e=0.2, q=0.2)),
        (Grid(scale=1.2, side=25), Source(n=6.0, r_e=0.05, q=0.6)),
    ],
)
def test_the_limits_of_pixels_do_not_concern_profiles(grid, source):
    """Cusps that alias on the pixels of a model, and light beyond its stamp: below for models that are only pixels."""
    errors = measure(Setup(grid, Blur(1.7 / 0.6), source), model=model_of(source, profile=True))
    assert errors.pixel < 5e-4 and abs(errors.flux) < 5e-4


# Known limits -------------------------------------------------------------------------------------------------------


@pytest.mark.xfail(strict=True, reason="a PSF array of FWHM 2 pixels is aliased: 1.1e-2 of the peak between pixels")
def test_limit_undersampled_psf():
    check_template(Setup(replace(K_BAND, phase=(0.5, 0.5)), Blur(2.0), Source(r_e=0.0)), moffat=True)


@pytest.mark.xfail(strict=True, reason="a Moffat sampled with FWHM 2.5 pixels is aliased, too: 3e-3 of the peak")
def test_limit_barely_sampled_psf():
    check_template(Setup(replace(K_BAND, phase=(0.5, 0.5)), Blur(2.5), Source(r_e=0.0)), moffat=True)


@pytest.mark.xfail(strict=True, reason="0.4 band pixels per model pixel alias the cusp of n = 6: 1.7e-3 of the peak")
def test_limit_coarse_pixels_for_a_cusp():
    check_template(Setup(Grid(scale=0.03, side=41), Blur(3.0), Source(n=6.0, r_e=0.05, pixel=0.012)))


@pytest.mark.xfail(strict=True, reason="the stamp of n = 6, r_e = 0.2 arcsec holds 97.5 %: 3.4e-3 in pixels of 0.6")
def test_limit_light_beyond_the_stamp():
    check_template(Setup(IRAC, Blur(1.7 / 0.6), Source(n=6.0, r_e=0.2, q=0.2)))


def test_the_limits_do_not_bias_the_flux():
    # a flux fitted with the template that lacks 2 % of the light in its far wings
    assert abs(measure(Setup(IRAC, Blur(1.7 / 0.6), Source(n=6.0, r_e=0.2, q=0.2))).flux) < 5e-4
    assert abs(measure(Setup(IRAC, Blur(1.7 / 0.6), Source(n=6.0, r_e=0.05, q=0.6))).flux) < 1e-3


def test_a_coarse_model_is_blurred_and_not_a_lattice_of_points(caplog):
    # pixels of 0.15 arcsec in a band of 0.06: kept spatial frequencies beyond its own would be spikes 3 × the peak
    setup = Setup(Grid(side=51), Blur(3.0), Source(n=1.0, r_e=0.4, pixel=0.15, rotation=25.0))
    with caplog.at_level(logging.WARNING, logger="unblend"):
        errors = measure(setup)
    assert errors.pixel < 0.03 and abs(errors.flux) < 0.005 and abs(errors.light) < 1e-3
    assert "source 1: the pixels of its model are 2.50 of those of the band" in caplog.text


# Invariants ---------------------------------------------------------------------------------------------------------


def test_templates_have_unit_flux_for_any_unit_of_the_model():
    model = model_of(Source(n=1.0, r_e=0.1))
    engine = engine_of()
    one = engine.template(1, model)
    other = engine.template(1, replace(model, data=7.0 * model.data, total=7.0 * model.total))
    np.testing.assert_allclose(other.data, one.data, atol=1e-12)
    # the stamp holds 99.9 % or more of the light
    assert 0.999 < one.data.sum() <= 1.0 + 1e-9


def test_truncated_wings_do_not_change_the_scale():
    whole = model_of(Source(n=4.0, r_e=0.1))
    cut = replace(whole, data=whole.data[110:-110, 70:-70], centre=(whole.centre[0] - 110, whole.centre[1] - 70))
    a, b = (template_image(Setup(K_BAND), psf_of(Blur()), model) for model in (whole, cut))
    # the pixels left hold less light, 0.76 %, all from the wings: the core must not be scaled up by it
    assert whole.data.sum() - cut.data.sum() > 0.007 * whole.total
    assert abs(a.max() / b.max() - 1.0) < 3e-3


def test_a_shift_of_whole_pixels_moves_the_template():
    grid = replace(K_BAND, phase=(0.2, 0.3), side=121)
    model = model_of(Source(r_e=0.1))
    still = engine_of(grid).template(1, model)
    moved = engine_of(grid, shift=(2 * 0.15, -3 * 0.15)).template(1, model)
    assert moved.box == still.box.shifted(-3, 2)
    # the pixel size is that of the middle of the image: 1e-9 there, times gradients
    np.testing.assert_allclose(moved.data, still.data, atol=1e-6 * still.data.max())


def test_the_size_of_the_image_does_not_change_the_template():
    # a larger image gives the same template, at the same place relative to the sky
    small, large = Grid(scale=0.15, side=101), Grid(scale=0.15, side=301)
    model = model_of(Source(r_e=0.1))
    a, b = engine_of(small).template(1, model), engine_of(large).template(1, model)
    assert b.box == a.box.shifted(100, 100)
    np.testing.assert_allclose(a.data, b.data, atol=1e-12)


def test_the_order_of_the_calls_does_not_matter():
    engine = engine_of()
    models = [model_of(Source(r_e=r_e)) for r_e in (0.1, 0.5, 0.2)]
    forward = [engine.template(k, model).data for k, model in enumerate(models)]
    backward = [engine.template(k, model).data for k, model in reversed(list(enumerate(models)))][::-1]
    for a, b in zip(forward, backward, strict=True):
        np.testing.assert_array_equal(a, b)


# Places off the image, sizes ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "sky",
    [(SKY[0] + 0.1, SKY[1]), (SKY[0] + 180.0, -SKY[1]), (SKY[0], SKY[1] + 90.0), (np.nan, SKY[1]), (SKY[0], np.nan)],
    ids=["360 arcsec away", "behind the sky", "90 degrees away", "ra NaN", "dec NaN"],
)
def test_a_source_off_the_image_has_an_empty_template(sky):
    template = engine_of().template(3, replace(model_of(Source()), sky=sky))
    assert template.id == 3 and template.box.is_empty and template.data.size == 0 and template.coverage == 0.0


def test_partly_off_the_image():
    model = model_of(Source(n=1.0, r_e=0.1, q=1.0))
    grid = replace(K_BAND, phase=(0.0, 0.0))
    half = replace(model, sky=(SKY[0] - 20.5 * 0.15 / 3600 / np.cos(np.deg2rad(SKY[1])), SKY[1]))
    template = engine_of(grid).template(1, half)
    # the centre lies on the right edge of the image (east is left): half of a symmetric source is seen
    assert template.box.x1 == 41 and template.box.y0 >= 0
    assert template.coverage == pytest.approx(0.5, abs=2e-3)
    assert template.data.sum() == pytest.approx(0.5, abs=2e-3)
    assert engine_of(grid).template(1, model).coverage == pytest.approx(1.0, abs=2e-3)


def test_a_one_pixel_model():
    # a point of one pixel; and the same pixel as light spread over it, 0.02 arcsec wide, which the band cannot resolve
    point = Model(np.array([[2.0]]), (0.0, 0.0), SKY, 0.02 * NORTH_UP, 2.0, pixel_integrated=False)
    setup = Setup(K_BAND, Blur(3.0), Source(r_e=0.0))
    check_template(setup, model=point)
    check_template(setup, model=replace(point, pixel_integrated=True), pixel=2e-3)


def test_the_memory_does_not_depend_on_the_size_of_the_image():
    grid = Grid(scale=0.06, side=5000)
    engine = TemplateEngine(wcs_of(grid), (5000, 5000), psf_of(Blur()))
    model = model_of(Source())
    engine.template(1, model)
    tracemalloc.start()
    template = engine.template(1, model)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert max(template.box.shape) < 130
    assert peak < 10e6  # a plane of the image would be 200 MB


def test_a_huge_model_is_transformed_in_pieces(monkeypatch):
    from unblend.models import templates

    model = model_of(Source(n=1.0, r_e=0.5))
    whole = engine_of().template(1, model)
    monkeypatch.setattr(templates, "POINTS_AT_ONCE", 1000)
    pieces = engine_of().template(1, model)
    # the tolerance of the non-uniform FFT
    np.testing.assert_allclose(pieces.data, whole.data, atol=1e-6 * whole.data.max())


def test_phases_of_the_spectrum_shift_the_stamp():
    grid = replace(K_BAND, phase=(0.0, 0.0))
    spectrum = engine_of(grid).spectrum(model_of(Source()))
    still, moved = spectrum.stamp(), spectrum.stamp((1.0, -2.0))
    # one whole pixel up and two to the left, but for what wraps around the edge of the stamp
    np.testing.assert_allclose(moved[1:, :-2], still[:-1, 2:], atol=1e-5 * still.max())
    assert spectrum.box.shape == still.shape == spectrum.sides


def test_folded_spectra_sample_pixel_centres():
    spectrum = engine_of(blur=Blur(1.2, 3.0)).spectrum(model_of(Source(r_e=0.05)))
    assert spectrum.fold == 3
    assert spectrum.values.shape == tuple(3 * side for side in spectrum.sides)
    assert spectrum.stamp().shape == spectrum.sides


@pytest.mark.parametrize("blur", [Blur(), Blur(1.2, 3.0)], ids=["sampled", "undersampled"])
@pytest.mark.parametrize("phase", [(0.37, -0.21), (17.3, 4.0)], ids=["inside", "on the edge"])
def test_gradients_are_those_of_central_differences(blur, phase):
    grid, step = replace(K_BAND, phase=phase), 0.02
    smooth, knot = model_of(Source(r_e=0.2)), np.zeros((9, 9))
    knot[1, 6] = 0.2
    detail = Model(knot, (4.0, 4.0), smooth.sky, 0.05 * NORTH_UP, 0.2)
    model = replace(smooth, data=smooth.data / smooth.total, total=1.0, detail=detail)
    gradients = engine_of(grid, blur).gradients(7, model)
    for axis, gradient in enumerate(gradients):
        ends = []
        for sign in (1.0, -1.0):
            shift = [0.0, 0.0]
            shift[1 - axis] = sign * step * grid.scale
            ends.append(engine_of(grid, blur, shift).template(7, model))
        assert gradient.id == 7 and gradient.box == ends[0].box == ends[1].box
        assert gradient.detail_share == pytest.approx(ends[0].detail_share)
        for name in ("data", "detail"):
            expected = (getattr(ends[0], name) - getattr(ends[1], name)) / (2.0 * step)
            # third order of 0.02 pixels at a FWHM of 1.2
            np.testing.assert_allclose(getattr(gradient, name), expected, atol=3e-3 * np.abs(expected).max())


def test_gradients_of_a_source_off_the_image_are_empty():
    gradients = engine_of(replace(K_BAND, phase=(500.0, 0.0))).gradients(3, model_of(Source()))
    assert [gradient.box.is_empty for gradient in gradients] == [True, True]


def test_an_engine_with_another_psf_keeps_the_shift():
    engine = engine_of(shift=(0.3, -0.15))
    field = ShiftField.constant((0.5, 0.0))
    engine = TemplateEngine(engine.wcs, engine.shape, engine.psf, (0.3, -0.15), field)
    broad = engine.with_psf(psf_of(Blur(5.0)))
    model = model_of(Source())
    assert broad.position(model) == engine.position(model)
    assert broad.template(1, model).data.max() < engine.template(1, model).data.max()


@pytest.mark.parametrize(("least", "side"), [(1, 15), (15, 15), (16, 21), (22, 25), (101, 105)])
def test_fft_sides_are_odd_and_smooth(least, side):
    assert fft_side(least) == side


def test_clipping_keeps_the_box_and_the_data_together():
    engine = engine_of()
    stamp = np.arange(25.0).reshape(5, 5)
    template = engine.clipped(2, stamp, Box(-2, 38, 3, 43))
    assert template.box == Box(0, 38, 3, 41)
    np.testing.assert_array_equal(template.data, stamp[2:, :3])
    assert template.coverage == pytest.approx(template.data.sum() / stamp.sum())


def test_a_template_holds_the_light_that_the_stamp_of_the_psf_holds():
    # psf_sum: given: 94 % of the light is in the stamp, and the flux of the template is that of the whole galaxy
    psf = psf_of(Blur())
    partly = replace(psf, data=0.94 * psf.data)
    model = model_of(Source(n=1, r_e=0.1))
    whole, part = (TemplateEngine(wcs_of(K_BAND), (41, 41), p).template(1, model) for p in (psf, partly))
    np.testing.assert_allclose(part.data, 0.94 * whole.data, rtol=1e-12, atol=1e-15)
    assert part.coverage == pytest.approx(whole.coverage, abs=1e-12)
