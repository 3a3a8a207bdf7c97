from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from unblend.core import coordinates
from unblend.simulation import fields
from unblend.simulation.fields import BandSpec, FieldSpec, PsfComponent
from unblend.simulation.population import Part, SimulatedSource, sky_at

CENTRE = (53.0873, -27.84)
ROUND = (PsfComponent(1.0, 0.2),)
ODD = (
    PsfComponent(0.8, 1.7, beta=3.0),
    PsfComponent(0.2, 1.5, q=0.5, pa_deg=30.0, east_arcsec=1.0, north_arcsec=0.4),
)
SHARP = BandSpec("sharp", 1.5, 0.06, (201, 201), ROUND, zero_point_ab=25.0, depth_ab=26.0, psf_shape=(31, 31))
BLURRED = BandSpec(
    "blurred",
    3.6,
    0.6,
    (41, 43),
    ODD,
    zero_point_ab=21.58,
    depth_ab=25.0,
    rotation_deg=172.0,
    phase_pixels=(0.3, -0.2),
    shift_arcsec=(0.15, -0.3),
    noise_sigma_pixels=0.6,
    psf_shape=(25, 25),
)


def star(east: float = 0.0, north: float = 0.0, mag: float = 22.0) -> SimulatedSource:
    return SimulatedSource(*sky_at(CENTRE, east, north), {"sharp": mag, "blurred": mag}, kind="star")


def galaxy(**shape: float) -> SimulatedSource:
    return SimulatedSource(*CENTRE, {"sharp": 20.0, "blurred": 20.0}, **shape)  # type: ignore[arg-type]


def moments(stamp: np.ndarray) -> tuple[float, float, float, float, float]:
    """Return the centroid (y, x) and the second moments yy, xx, yx of a stamp."""
    y, x = np.indices(stamp.shape)
    total = stamp.sum()
    cy, cx = (y * stamp).sum() / total, (x * stamp).sum() / total
    dy, dx = y - cy, x - cx
    return cy, cx, *(float((a * stamp).sum() / total) for a in (dy * dy, dx * dx, dy * dx))  # type: ignore[return-value]


@pytest.mark.parametrize(
    ("rotation", "flipped", "up", "right"),
    [
        (0.0, False, (0, 1), (-1, 0)),  # north up, east left
        (0.0, True, (0, 1), (1, 0)),  # east right
        (90.0, False, (1, 0), (0, 1)),  # +Y points east
    ],
)
def test_band_wcs_is_rotated_and_flipped(rotation, flipped, up, right):
    wcs = fields.band_wcs(replace(SHARP, rotation_deg=rotation, flipped=flipped), CENTRE)
    jacobian = coordinates.sky_jacobian(wcs, 100.0, 100.0) / 0.06
    assert jacobian[:, 0] == pytest.approx(up, abs=1e-6)
    assert jacobian[:, 1] == pytest.approx(right, abs=1e-6)


def test_band_wcs_moves_the_centre_by_the_phase():
    y, x = coordinates.sky_to_pixel(fields.band_wcs(BLURRED, CENTRE), *[np.array([c]) for c in CENTRE])
    assert (y[0], x[0]) == pytest.approx((20.3, 20.8), abs=1e-8)


@pytest.mark.parametrize(
    "shape", [{"n": 0.5, "r_e_arcsec": 0.3}, {"n": 4.0, "r_e_arcsec": 0.2, "q": 0.6, "pa_deg": 30.0}]
)
def test_the_stamp_of_a_source_contains_its_light(shape):
    spec = replace(SHARP, shape=(601, 601))
    _, stamp = fields.draw_source(galaxy(**shape), spec, fields.band_wcs(spec, CENTRE))
    # the stamp contains 99.9 % of the profile
    assert stamp.sum() == pytest.approx(1.0, abs=1.0e-3)


@pytest.mark.parametrize("spec", [SHARP, BLURRED, replace(BLURRED, flipped=True, rotation_deg=20.0)])
def test_light_lands_at_the_sky_position_plus_the_shift(spec):
    spec = replace(spec, psf=ROUND) if spec.name == "sharp" else replace(spec, psf=(PsfComponent(1.0, 1.7),))
    wcs, source = fields.band_wcs(spec, CENTRE), star(1.1, -0.7)
    box, stamp = fields.draw_source(source, spec, wcs)
    y, x = coordinates.sky_to_pixel(wcs, np.array([source.ra]), np.array([source.dec]))
    cy, cx = moments(stamp)[:2]
    expected = y[0] + spec.shift_arcsec[1] / spec.pixel_arcsec, x[0] + spec.shift_arcsec[0] / spec.pixel_arcsec
    assert (cy + box.y0, cx + box.x0) == pytest.approx(expected, abs=1e-4)  # the stamp contains the whole PSF


def test_position_angle_runs_from_north_to_east():
    wcs = fields.band_wcs(SHARP, CENTRE)
    _, stamp = fields.draw_source(galaxy(n=1.0, r_e_arcsec=0.4, q=0.4, pa_deg=45.0), SHARP, wcs)
    # north up, east left: a long axis towards north-east runs from lower right to upper left
    _, _, yy, xx, yx = moments(stamp)
    assert yx < -0.3 * xx
    assert yy == pytest.approx(xx, rel=1e-3)


def test_half_of_the_light_is_inside_the_ellipse_of_semi_major_r_e():
    spec = replace(SHARP, pixel_arcsec=0.03, psf=(PsfComponent(1.0, 0.03),))
    _, stamp = fields.draw_source(galaxy(n=1.0, r_e_arcsec=0.6, q=0.5, pa_deg=0.0), spec, fields.band_wcs(spec, CENTRE))
    y, x = (np.indices(stamp.shape).T - (np.array(stamp.shape) - 1) / 2).T * 0.03
    # PSF and pixel are a twentieth of r_e and move less than a hundredth of the light out of the ellipse
    assert stamp[y**2 + (x / 0.5) ** 2 < 0.6**2].sum() == pytest.approx(0.5, abs=0.01)


def test_clumps_share_the_light():
    parts = (Part(0.9, 0.0, 0.05, 0.3),)
    spec, wcs = SHARP, fields.band_wcs(SHARP, CENTRE)
    smooth = galaxy(n=1.0, r_e_arcsec=0.4)
    _, with_clump = fields.draw_source(replace(smooth, parts=parts), spec, wcs)
    _, without = fields.draw_source(smooth, spec, wcs)
    assert with_clump.sum() == pytest.approx(without.sum(), abs=2e-3)
    extra = with_clump - 0.7 * without
    assert moments(extra)[1] == pytest.approx((extra.shape[1] - 1) / 2 - 0.9 / 0.06, abs=0.2)  # east is left


@pytest.mark.parametrize("spec", [SHARP, BLURRED, replace(BLURRED, flipped=True)])
def test_the_psf_image_is_a_star_on_a_pixel(spec):
    spec = replace(spec, shift_arcsec=(0.0, 0.0), phase_pixels=(0.0, 0.0), shape=(41, 41))
    wcs = fields.band_wcs(spec, CENTRE)
    psf = fields.draw_psf(spec, wcs)
    _, stamp = fields.draw_source(star(), spec, wcs)
    half = psf.shape[0] // 2
    middle = (stamp.shape[0] - 1) // 2
    cut = stamp[middle - half : middle + half + 1, middle - half : middle + half + 1]
    # the PSF image is normalised to its sum; less than 3e-3 of the light of this Moffat profile is outside
    assert psf == pytest.approx(cut / cut.sum(), abs=1e-5 * psf.max() + 1e-6)


def test_oversampled_psf_includes_the_native_pixel():
    spec = replace(SHARP, psf_oversampling=3, psf_shape=(91, 91))
    wcs = fields.band_wcs(spec, CENTRE)
    fine, native = fields.draw_psf(spec, wcs), fields.draw_psf(SHARP, wcs)
    # every third sample from the centre (45 = 3 * 15) is the native PSF; a third of a pixel has a ninth of the area
    assert 9.0 * fine[0::3, 0::3] == pytest.approx(native, abs=2e-4 * native.max())


def test_psf_offset_moves_the_centroid_of_an_even_array():
    spec = replace(SHARP, psf_shape=(32, 32), psf_offset_pixels=(0.3, -0.2))
    cy, cx = moments(fields.draw_psf(spec, fields.band_wcs(spec, CENTRE)))[:2]
    assert (cy, cx) == pytest.approx((15.8, 15.3), abs=1e-4)


def test_correlated_noise_has_unit_rms():
    noise = fields.draw_correlated_noise(np.random.default_rng(5), (400, 400), 0.6)
    assert noise.std() == pytest.approx(1.0, abs=0.01)  # 160 000 pixels: 0.003
    assert 0.40 < np.mean(noise[:, 1:] * noise[:, :-1]) < 0.50


@pytest.mark.parametrize("sigma_pixels", [0.0, 0.6])
def test_flux_sigma_is_the_scatter_of_matched_filter_fluxes(sigma_pixels):
    y, x = np.mgrid[-10:11, -10:11]
    template = np.exp(-0.5 * (y**2 + x**2) / 2.0**2)
    template /= template.sum()
    rng = np.random.default_rng(6)
    draws = [2.0 * fields.draw_correlated_noise(rng, template.shape, sigma_pixels) for _ in range(1500)]
    fluxes = [np.sum(template * d) / np.sum(template**2) for d in draws]
    # the scatter of 1500 realizations is known to 1.8 %
    assert fields.flux_sigma(template, 2.0, sigma_pixels) == pytest.approx(np.std(fluxes), rel=0.06)


def test_flux_sigma_without_light_is_infinite():
    assert fields.flux_sigma(np.zeros((3, 3)), 1.0, 0.0) == np.inf


@pytest.mark.parametrize("band", [SHARP, BLURRED, replace(SHARP, psf_oversampling=3, psf_shape=(93, 93))])
def test_a_star_of_the_depth_has_five_sigma(band):
    band = replace(band, phase_pixels=(0.0, 0.0), shift_arcsec=(0.0, 0.0), shape=(41, 41))
    drawn = fields.draw_band(band, [star(mag=band.depth_ab)], CENTRE, np.random.default_rng(0))
    # PSF image and stamp differ by 1e-3 of the light at most
    assert drawn.snr[0] == pytest.approx(5.0, rel=5e-3)


def test_draw_band_adds_background_strip_and_nothing_off_the_image():
    band = replace(SHARP, background=3.0, noisy_columns=(0, 100, 2.0))
    drawn = fields.draw_band(band, [star(mag=20.0), star(east=60.0, mag=15.0)], CENTRE, np.random.default_rng(1))
    quiet = drawn.rms[0, -1]
    assert drawn.snr[1] == 0.0
    assert drawn.light.sum() == pytest.approx(band.flux(20.0), rel=1e-3)
    empty = drawn.image[:60] / quiet
    assert np.mean(empty[:, 101:]) == pytest.approx(3.0, abs=0.06)  # 6000 pixels: 0.013
    assert np.std(empty[:, :100]) == pytest.approx(2.0, abs=0.1)
    assert np.std(empty[:, 101:]) == pytest.approx(1.0, abs=0.05)


def test_draw_field_is_repeatable_and_its_bands_independent():
    spec = FieldSpec(CENTRE, (SHARP, BLURRED), "sharp", 8.0, n_galaxies=3, n_stars=1, faintest_ab=24.0)
    first = fields.draw_field(spec, np.random.default_rng(7))
    again = fields.draw_field(spec, np.random.default_rng(7))
    changed = fields.draw_field(replace(spec, bands=(SHARP, replace(BLURRED, depth_ab=20.0))), np.random.default_rng(7))
    for name in ("sharp", "blurred"):
        assert np.array_equal(first.bands[name].image, again.bands[name].image)
    assert np.array_equal(first.bands["sharp"].image, changed.bands["sharp"].image)
    assert not np.array_equal(first.bands["blurred"].image, changed.bands["blurred"].image)


def test_truth_table_describes_what_was_drawn():
    spec = FieldSpec(CENTRE, (SHARP, BLURRED), "sharp", 30.0, n_galaxies=0, special=(star(), star(9.0, 0.0, mag=23.0)))
    truth = fields.draw_field(spec, np.random.default_rng(8)).truth
    assert list(truth["id"]) == [1, 2] and list(truth["is_star"]) == [True, True]
    assert (truth["x"][0], truth["y"][0]) == pytest.approx((101.0, 101.0), abs=1e-6)  # FITS: 1-based
    assert list(truth["in_field"]) == [True, False]  # 9" east of a field 12" wide
    assert truth["edge_arcsec"] == pytest.approx([6.03, -2.97], abs=1e-4)  # 201 pixels of 0.06"
    assert truth["neighbour_arcsec"] == pytest.approx([9.0, 9.0], abs=1e-6)
    assert truth["flux_sharp"] == pytest.approx(10 ** (0.4 * (25.0 - np.array([22.0, 23.0]))))
    assert truth["snr_sharp"][1] == 0.0 < truth["snr_blurred"][1]


def test_a_measured_psf_gives_the_same_image_as_its_analytic_profile():
    fine = replace(SHARP, psf_oversampling=4, psf_shape=(120, 122), psf_offset_pixels=(1.3, -2.6), rotation_deg=20.0)
    wcs = fields.band_wcs(fine, CENTRE)
    centre = (119 / 2 + 1.3, 121 / 2 - 2.6)
    measured = replace(fine, measured_psf=7.0 * fields.draw_psf(fine, wcs), measured_centre=centre)
    np.testing.assert_allclose(fields.draw_psf(measured, wcs), fields.draw_psf(fine, wcs), atol=1e-12)
    source = galaxy(n=1.5, r_e_arcsec=0.3, q=0.5, pa_deg=30.0)
    (box, truth), (other, drawn) = (fields.draw_source(source, spec, wcs) for spec in (fine, measured))
    assert box == other
    # the stamp of the PSF ends at 15 pixels, where its light is 1e-7
    np.testing.assert_allclose(drawn, truth, atol=1e-4 * truth.max())
