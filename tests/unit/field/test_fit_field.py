from __future__ import annotations

import numpy as np
import pytest
from astropy.wcs import WCS
from unblend.core.coordinates import pixel_to_sky
from unblend.core.errors import InputError
from unblend.core.field_psf import FieldPsf, NearestPoint
from unblend.core.types import Box, Model, cut
from unblend.field.fit_field import FitField
from unblend.fits.fit_psf import as_psf
from unblend.fits.imfit_config import Block, Function, Parameter
from unblend.fits.result import GroupFit, MemberFit
from unblend.io.files import write_json
from unblend.io.images import write_image
from unblend.io.models import read_model, write_model
from unblend.io.psfs import write_psf
from unblend.models.subtraction import subtract_models

SHAPE = (40, 50)
WHOLE = Box.of_shape(SHAPE)
GROUPS = {
    "1": {"members": [1, 3], "box": [5, 5, 25, 25], "neighbours": [2], "digest": "a"},
    "2": {"members": [2], "box": [5, 22, 25, 42], "neighbours": [1], "digest": "b"},
}
PLACES = {1: (14.0, 14.0), 3: (20.0, 10.0), 2: (15.0, 27.0)}


def stack_wcs():
    wcs = WCS(naxis=2)
    wcs.wcs.ctype, wcs.wcs.crval, wcs.wcs.crpix = ["RA---TAN", "DEC--TAN"], [53.0, -27.8], [25.0, 20.0]
    wcs.wcs.cd = np.diag([-0.06, 0.06]) / 3600.0
    return wcs


def psf():
    y, x = np.indices((15, 15)) - 7.0
    data = np.exp(-(y**2 + x**2) / (2 * 1.5**2))
    return data / data.sum()


@pytest.fixture
def field(tmp_path):
    stack = np.zeros(SHAPE)
    segments = np.zeros(SHAPE, dtype=np.int32)
    for i, (y, x) in PLACES.items():
        box = Box.around(y, x, 4)
        segments[box.slices] = i
        stack[box.slices] += 100.0 * i * psf()[3:12, 3:12]
    mask = np.zeros(SHAPE, dtype=bool)
    mask[:2] = True
    stack[0, 0] = np.nan
    write_image(tmp_path / "det_stack.fits", stack, wcs=stack_wcs())
    write_image(tmp_path / "det_error.fits", np.full(SHAPE, 2.0))
    write_image(tmp_path / "det_seg.fits", segments)
    write_image(tmp_path / "imfit" / "mask.fits", mask)
    write_psf(tmp_path / "imfit" / "psf.fits", as_psf(psf()))
    write_json(tmp_path / "imfit" / "groups.json", {"psf": "p", "groups": GROUPS})
    return FitField(tmp_path)


def custom_file(field, source, scale=1.0):
    """Write a point at the source's place as a user's model; return what a job spec says of it."""
    ra, dec = pixel_to_sky(stack_wcs(), *PLACES[source])
    to_sky = 0.012 * np.array([[0.0, -1.0], [1.0, 0.0]])
    model = Model(np.array([[scale]]), (0.0, 0.0), (float(ra[0]), float(dec[0])), to_sky, scale, pixel_integrated=False)
    path = field.results / f"custom-{source}.fits"
    write_model(path, model)
    return {str(source): {"custom": {"file": str(path), "digest": "d"}}}


def point_fit(source, flux):
    """Return the fit of one point source at its place."""
    y, x = PLACES[source]
    block = Block(
        Parameter("Y0", y), Parameter("X0", x), (Function("PointSource", (Parameter("I_tot", flux),)),), source
    )
    sky = Parameter("I_sky", 0.0)
    member = MemberFit(source, (block,), (block,), (block,))
    return GroupFit(Box(*GROUPS[str(source)]["box"]), (member,), sky, sky, 1.0, 100, 3, True, "LM", 5)


def test_the_pixels_of_a_group(field):
    data = field.data("1", {})
    assert data.box == Box(5, 5, 25, 25) and data.members == (1, 3) and data.subtracted == ()
    np.testing.assert_array_equal(data.image, field.stack(WHOLE)[5:25, 5:25])
    assert (data.error == 2.0).all() and set(np.unique(data.segments)) == {0, 1, 2, 3}
    assert data.mask.dtype == bool and not data.mask.any()


def test_the_slope_of_the_sky_is_subtracted(field):
    field.groups["1"]["sky"] = [0.5, 0.01, 0.1, -0.2]
    data = field.data("1", {})
    y, x = np.mgrid[5:25, 5:25]
    np.testing.assert_allclose(data.image, field.stack(WHOLE)[5:25, 5:25] - 0.1 * (y - 14.5) + 0.2 * (x - 14.5))
    assert data.sky_around.value == 0.5 and data.sky_around.error == 0.01


def test_a_cutout_reaches_off_the_image(field):
    field.groups["1"]["box"] = [-3, -2, 6, 7]
    data = field.data("1", {})
    assert data.image.shape == (9, 9) and np.isnan(data.image[:3]).all() and np.isnan(data.image[:, :2]).all()
    assert data.mask[:5].all() and not data.mask[5:, 2:].any() and (data.segments[:3] == 0).all()


def test_cut_by_hand():
    array = np.arange(6).reshape(2, 3)
    assert cut(array, Box(-1, 1, 2, 4), 9).tolist() == [[9, 9, 9], [1, 2, 9], [4, 5, 9]]
    assert (cut(array, Box(10, 10, 12, 12), 7) == 7).all() and (cut(array, Box(-5, -5, -2, -2), 7) == 7).all()


def test_source_noise_needs_a_gain(field):
    assert (field.error(WHOLE) == 2.0).all()
    noisy = FitField(field.results, gain=4.0).error(WHOLE)
    y, x = (int(v) for v in PLACES[2])
    # that of the smoothed image, of which a pixel has 16 % of its own light
    peak = field.stack(WHOLE)[y, x] / 4.0
    assert 4.0 + 0.15 * peak < noisy[y, x] ** 2 < 4.0 + peak
    assert noisy[39, 49] == 2.0 and noisy[0, 0] == 2.0


def test_a_custom_model_is_scaled_and_taken_off(field):
    # a unit of 7: the scale of the user's picture does not matter
    data = field.data("1", custom_file(field, 1, scale=7.0))
    assert data.members == (3,) and data.subtracted == (1,)
    y, x = (int(v) - 5 for v in PLACES[1])
    # the light of 3 in the segment of 1 is a thousandth of it
    assert abs(data.image[y, x]) < 0.02 * field.stack(WHOLE)[y + 5, x + 5]
    # nine pixels away, 6 sigma of the PSF, nothing has changed
    np.testing.assert_allclose(data.image[18:, :5], field.stack(WHOLE)[23:25, 5:10], atol=1e-3)


def test_a_custom_model_without_usable_pixels_has_no_light(field):
    files = custom_file(field, 1)
    write_image(field.folder / "mask.fits", np.ones(SHAPE, dtype=bool))
    np.testing.assert_array_equal(field.custom_light(1, files["1"]["custom"]["file"], Box(5, 5, 25, 25)), 0.0)


def test_bad_errors_do_not_spoil_a_custom_model(field):
    path = custom_file(field, 1)["1"]["custom"]["file"]
    good = field.custom_light(1, path, Box(5, 5, 25, 25))
    error = field.error(WHOLE)
    error[10, 10:13] = np.nan, 0.0, np.inf
    write_image(field.results / "det_error.fits", error)
    bad = field.custom_light(1, path, Box(5, 5, 25, 25))
    assert np.isfinite(bad).all() and bad.sum() == pytest.approx(good.sum(), rel=0.02) and good.sum() > 50.0


def test_a_custom_model_has_the_flux_that_is_subtracted_from_the_stack(field):
    """One function scales it, for the fits and for the residual of all fits."""
    error = field.error(WHOLE)
    error[10:14, 10:20], error[18] = 7.0, np.nan
    write_image(field.results / "det_error.fits", error)
    path = custom_file(field, 1, scale=7.0)["1"]["custom"]["file"]
    models = [(1, read_model(path), False)]
    stack = field.stack(WHOLE)
    residual = subtract_models(stack.copy(), field.engine, models, field.flux_of)
    light = field.custom_light(1, path, WHOLE)
    good = np.isfinite(stack)
    np.testing.assert_allclose((stack - residual)[good], light[good], atol=1e-12)
    assert light.sum() > 50.0


def test_a_custom_model_off_the_stack(field):
    to_sky = 0.012 * np.array([[0.0, -1.0], [1.0, 0.0]])
    write_model(field.results / "far.fits", Model(np.ones((3, 3)), (1.0, 1.0), (54.0, -27.8), to_sky, 9.0))
    assert not field.custom_light(1, str(field.results / "far.fits"), Box(5, 5, 25, 25)).any()


def test_neighbours_are_taken_off_with_their_first_pass(field):
    field.keep("2", "first", "key", point_fit(2, 200.0))
    data = field.data("1", {})
    less = field.less_neighbours(data, "1", {})
    # box 1 ends at column 25, which the light of 2 at column 27 reaches
    taken = data.image - less.image
    assert taken[10, 19] > 1.0 and abs(taken[:, :5]).max() < 1e-6
    assert less.members == data.members


def test_custom_models_of_neighbours_are_taken_off_too(field):
    files = custom_file(field, 2)
    empty = point_fit(2, 200.0)
    field.keep("2", "first", "key", GroupFit(**{**empty.__dict__, "members": ()}))
    data = field.data("1", {})
    assert (data.image - field.less_neighbours(data, "1", files).image)[10, 19] > 1.0


def test_results_are_kept_under_their_key(field):
    fit = point_fit(2, 200.0)
    assert not field.is_current("2", "first", "key")
    field.keep("2", "first", "key", fit)
    assert field.is_current("2", "first", "key") and not field.is_current("2", "first", "other")
    assert not field.is_current("2", "second", "key")
    assert field.result("2", "first") == fit
    field.path("2", "first").write_text("{half")
    assert not field.is_current("2", "first", "key")
    with pytest.raises(InputError, match=r"2/first.json: this stored fit is damaged; delete the file and run again."):
        field.result("2", "first")


def test_a_fit_that_ran_out_of_time_holds_up_to_its_limit(field):
    field.keep("2", "first", "key", point_fit(2, 200.0), timed_out_at_s=600.0)
    field.keep("1", "second", "key", point_fit(1, 100.0))
    assert field.is_current("2", "first", "key", 600.0) and field.is_current("2", "first", "key", 10.0)
    assert not field.is_current("2", "first", "key", 601.0)
    assert field.is_current("1", "second", "key", 600.0)
    # 1 and 2 are neighbours: another first pass of 2, another second pass of 1
    field.keep("2", "first", "key", point_fit(2, 201.0))
    assert field.is_current("2", "first", "key", 601.0)
    assert not field.is_current("1", "second", "key", 601.0)


def test_temporary_files_of_killed_processes_are_removed(field):
    folder = field.folder / "2"
    (folder / "indiv").mkdir(parents=True)
    for name in (".fit.77.json", "fit.json", "indiv/.mask_2.77.fits", "indiv/mask_2.fits"):
        (folder / name).touch()
    field.remove_temporary_files("2")
    assert sorted(path.name for path in folder.rglob("*.*")) == ["fit.json", "mask_2.fits"]
    field.remove_temporary_files("5")


def test_overrides(field, tmp_path):
    path = tmp_path / "3.dat"
    path.write_text("n 4 fixed\n")
    kinds = {"override": {"file": str(path), "digest": "d"}}
    assert list(field.overrides({"3": kinds})) == [3]
    # a custom model takes precedence over an override; an empty file has no effect
    assert field.overrides({"3": {**kinds, **custom_file(field, 3)["3"]}}) == {}
    path.write_text("# nothing yet\n")
    assert field.overrides({"3": kinds}) == {}


def test_a_group_has_the_psf_of_the_middle_of_its_cutout(field):
    narrow = np.zeros((15, 15))
    narrow[7, 7] = 1.0
    boxes = {name: field.box(name) for name in field.groups}
    points = np.array([[(box.y0 + box.y1 - 1) / 2, (box.x0 + box.x1 - 1) / 2] for box in boxes.values()])
    psfs = tuple(as_psf(narrow if k else psf()) for k in range(len(points)))
    write_psf(field.folder / "psf.fits", FieldPsf(psfs, NearestPoint(points)))
    fresh = FitField(field.results)
    for k, name in enumerate(boxes):
        expected = narrow if k else psf().astype(np.float32)
        np.testing.assert_array_equal(fresh.psf_of(name), expected)
