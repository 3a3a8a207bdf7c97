"""Weight maps of every kind as inverse variance."""

from __future__ import annotations

import numpy as np
import pytest
from astropy.io import fits
from unblend.core.errors import InputError
from unblend.field.weight_maps import checked_weight, read_weight
from unblend.io.images import write_image


@pytest.mark.parametrize(("kind", "expected"), [("weight", 4.0), ("variance", 0.25), ("rms", 0.0625)])
def test_every_kind_becomes_inverse_variance_and_pixels_without_data_zero(tmp_path, kind, expected):
    values = np.full((3, 4), 4.0)
    values[0] = [0.0, -1.0, np.nan, np.inf]
    write_image(tmp_path / "map.fits", values)
    found = read_weight({"file": str(tmp_path / "map.fits"), "kind": kind}, (3, 4))
    np.testing.assert_array_equal(found[0], 0.0)
    np.testing.assert_array_equal(found[1:], expected)


def test_a_map_of_another_shape_is_refused(tmp_path):
    write_image(tmp_path / "map.fits", np.ones((3, 4)))
    with pytest.raises(InputError, match=r"map.fits has 4 x 3 pixels and its image 5 x 3: the weight map must lie"):
        read_weight({"file": str(tmp_path / "map.fits"), "kind": "rms"}, (3, 5))


# Maps of another kind than the one given -----------------------------------------------------------------------------

RNG = np.random.default_rng(7)
NOISE = 0.003 * np.where(np.arange(120) < 60, 1.0, 2.0) * np.ones((100, 1))
IMAGE = 0.05 + NOISE * RNG.normal(size=NOISE.shape)
MAPS = {"rms": NOISE, "variance": NOISE**2, "weight": NOISE**-2.0}


def weight_file(folder, **extensions):
    hdus = [fits.ImageHDU(data.astype(np.float32), name=name) for name, data in extensions.items()]
    fits.HDUList([fits.PrimaryHDU(), *hdus]).writeto(folder / "w.fits")
    return str(folder / "w.fits")


@pytest.mark.parametrize("given", MAPS)
@pytest.mark.parametrize("true", MAPS)
def test_a_map_of_another_kind_is_refused_and_named(tmp_path, given, true):
    weight = {"file": weight_file(tmp_path, MAP=MAPS[true]), "kind": given}
    if given == true:
        np.testing.assert_allclose(checked_weight(weight, IMAGE, "k"), MAPS["weight"], rtol=1e-6)
        return
    words = rf"bands.k.weight: .*w.fits \(extension 1, MAP\), taken as .* \(kind: {given}\), gives a typical noise of "
    with pytest.raises(InputError, match=words + rf".* the scatter of the pixels, 0.00\d+; as .* Set kind: {true}\."):
        checked_weight(weight, IMAGE, "k")


def test_a_map_that_fits_one_half_of_the_image_alone_is_refused(tmp_path):
    noise = np.where(np.arange(120) < 60, 1.0, 3.0) * np.ones((100, 1))
    image = noise * np.random.default_rng(1).normal(size=noise.shape)
    weight = {"file": weight_file(tmp_path, WHT=noise**-2), "kind": "rms"}  # right where the noise is 1
    with pytest.raises(InputError, match=r"Set kind: weight\."):
        checked_weight(weight, image, "k")


@pytest.mark.parametrize("factor", [0.1, 0.3, 3.0, 10.0, 1853.0, 1e-6])
def test_weights_may_have_any_unit(tmp_path, factor):
    """Counts of exposures and drizzled weights are inverse variances up to a factor."""
    weight = {"file": weight_file(tmp_path, WHT=factor**-2 * MAPS["weight"]), "kind": "weight"}
    assert checked_weight(weight, IMAGE, "k").min() > 0


@pytest.mark.parametrize(("factor", "good"), [(0.1, True), (0.3, True), (3.0, True), (1000.0, False), (1e-4, False)])
def test_a_noise_map_in_other_units_is_refused(tmp_path, factor, good):
    weight = {"file": weight_file(tmp_path, ERR=factor * MAPS["rms"]), "kind": "rms"}
    if good:
        checked_weight(weight, IMAGE, "k")
        return
    words = r"which is (1/)?[\d.e+]+ (times|of) the scatter of the pixels, 0\.004\d*; expected the noise of a pixel"
    with pytest.raises(InputError, match=words):
        checked_weight(weight, IMAGE, "k")


def test_an_image_given_as_a_map_is_refused_and_the_map_named(tmp_path):
    path = weight_file(tmp_path, SCI=IMAGE - 0.05, ERR=MAPS["rms"], VAR_POISSON=MAPS["variance"], WHT=MAPS["weight"])
    with pytest.raises(InputError, match=r"w.fits \(extension 1, SCI\) is negative in \d\d% of its pixels") as caught:
        checked_weight({"file": path, "kind": "weight"}, IMAGE, "k")
    assert str(caught.value).endswith(f"Did you mean {path}[ERR] (kind: rms) or {path}[WHT] (kind: weight)?")


def test_negative_pixels_that_are_no_fault(tmp_path):
    values = MAPS["weight"].copy()
    values[:30] = -1.0
    values[-1, ::2] = -0.01 * np.arange(60)
    values[-1, 0] = -1.0
    few = MAPS["weight"].copy()
    few[0] = -np.arange(120.0)
    for number, data in enumerate((np.where(values < 0, -1.0, values), few)):
        (tmp_path / str(number)).mkdir()
        found = checked_weight({"file": weight_file(tmp_path / str(number), W=data), "kind": "weight"}, IMAGE, "k")
        np.testing.assert_array_equal(found == 0, data <= 0)


def test_a_map_without_a_positive_pixel(tmp_path):
    with pytest.raises(InputError, match=r"\(extension 1, DQ\) has no positive pixel; expected a map of the inverse"):
        checked_weight({"file": weight_file(tmp_path, DQ=np.zeros(NOISE.shape)), "kind": "weight"}, IMAGE, "k")


def test_crowded_sources_and_correlated_noise_do_not_refuse_a_map(tmp_path):
    from scipy.ndimage import gaussian_filter

    smooth = gaussian_filter(RNG.normal(size=NOISE.shape), 1.0)
    crowded = 0.003 * 8.0 * gaussian_filter(RNG.exponential(size=NOISE.shape) ** 3, 2.0)
    for number, image in enumerate((0.003 * smooth, crowded + 0.003 * RNG.normal(size=NOISE.shape))):
        (tmp_path / str(number)).mkdir()
        for kind, data in MAPS.items():
            path = tmp_path / str(number) / kind
            path.mkdir()
            checked_weight({"file": weight_file(path, MAP=data), "kind": kind}, image, "k")


@pytest.mark.parametrize(("kind", "mark"), [("rms", 1e9), ("variance", 1e30), ("weight", 1e-12), ("rms", 1.0)])
def test_a_noise_that_marks_pixels_without_data_gives_no_weight(tmp_path, kind, mark):
    """They had a little weight: a source on such pixels alone was measured, 7170 ± 8900 in place of 60."""
    values = MAPS[kind].copy()
    values[:30] = mark
    found = checked_weight({"file": weight_file(tmp_path, MAP=values), "kind": kind}, IMAGE, "k")
    np.testing.assert_array_equal(found[:30], 0.0)
    np.testing.assert_allclose(found[30:], MAPS["weight"][30:], rtol=1e-6)


def test_a_part_that_is_much_noisier_keeps_its_weight(tmp_path):
    noise = NOISE * np.where(np.arange(100) < 30, 25.0, 1.0)[:, np.newaxis]
    image = noise * np.random.default_rng(1).normal(size=noise.shape)
    found = checked_weight({"file": weight_file(tmp_path, MAP=noise), "kind": "rms"}, image, "k")
    np.testing.assert_allclose(found, noise**-2, rtol=1e-6)


def test_a_tile_may_have_no_weight_but_a_wrong_map_is_named(tmp_path):
    """The corner of a mosaic that was not observed; messages name the user's map, not the part that was cut."""
    for name in ("whole", "part", "wrong"):
        (tmp_path / name).mkdir()
    whole = weight_file(tmp_path / "whole", WHT=np.ones(IMAGE.shape))
    part = {"file": weight_file(tmp_path / "part", W=np.zeros(IMAGE.shape)), "kind": "weight", "whole": whole}
    assert not checked_weight(part, IMAGE, "k").any()
    wrong = weight_file(tmp_path / "wrong", W=-np.arange(1.0, IMAGE.size + 1).reshape(IMAGE.shape))
    with pytest.raises(InputError, match=r"whole/.*WHT\) is negative in 100%"):
        checked_weight({**part, "file": wrong}, IMAGE, "k")


# Exposure times and coverages: weights in any unit --------------------------------------------------------------------

FRAMES = 1.0 + np.arange(200) // 20 * np.ones((160, 1))
"""A coverage of 1 to 10 frames."""


def counted(folder, values, image, kind="weight", name="COV"):
    """Return what the check of a map warns of."""
    warnings = []
    checked_weight({"file": weight_file(folder, **{name: values}), "kind": kind}, image, "k", warn=warnings.append)
    return warnings


@pytest.mark.parametrize("scatter", [1e-3, 0.2, 1.0, 3.0, 9.0, 15625.0])
@pytest.mark.parametrize("seconds", [1.0, 93.6])
def test_a_coverage_is_a_weight_whatever_the_unit_of_the_image(tmp_path, scatter, seconds):
    """Its values may agree by chance with the scatter, as if they were the noise."""
    image = scatter * FRAMES**-0.5 * np.random.default_rng(3).normal(size=FRAMES.shape)
    assert counted(tmp_path, seconds * FRAMES, image) == []


@pytest.mark.parametrize("scatter", [0.01, 12.0, 144.0])
def test_a_constant_coverage_has_no_kind(tmp_path, scatter):
    values = np.full(FRAMES.shape, 12.0)
    values[:20] = 0.0
    assert counted(tmp_path, values, scatter * np.random.default_rng(3).normal(size=FRAMES.shape)) == []


@pytest.mark.parametrize(("power", "unit"), [(0.5, 3e4), (1.0, 1e-6)])
def test_weights_that_rise_with_the_noise_are_a_warning_in_any_unit(tmp_path, power, unit):
    """A map of the noise in other units, or an image of counts with its exposure times."""
    image = FRAMES**0.5 * np.random.default_rng(3).normal(size=FRAMES.shape)
    (warning,) = counted(tmp_path, unit * FRAMES**power, image)
    assert "(extension 1, COV) gives a smaller noise to the parts of the image that are noisier" in warning
    assert "set kind: rms or kind: variance" in warning and "divide it by the map" in warning


def test_a_noise_that_falls_where_the_image_is_noisier_is_a_warning(tmp_path):
    """Twice the coverage, given as noise: within a factor of 4 everywhere."""
    image = FRAMES**-0.5 * np.random.default_rng(3).normal(size=FRAMES.shape)
    (warning,) = counted(tmp_path, 0.5 + 0.05 * FRAMES, image, kind="rms")
    assert warning.endswith("exposure times or coverages, set kind: weight.")


def test_a_map_of_flags_is_refused_and_the_weights_beside_it_named(tmp_path):
    flags = np.zeros(FRAMES.shape)
    flags[::7, ::5], flags[3], flags[:, 9] = 4.0, 1024.0, 1028.0
    path = weight_file(tmp_path, DQ=flags, COVERAGE=FRAMES)
    image = np.random.default_rng(3).normal(size=FRAMES.shape)
    words = r"w.fits \(extension 1, DQ\) has 4 distinct integer values, 0 in 9\d% .* looks like a map of flags"
    with pytest.raises(InputError, match=words) as caught:
        checked_weight({"file": path, "kind": "weight"}, image, "k")
    assert str(caught.value).endswith(f"Did you mean {path}[COVERAGE] (kind: weight)?")
