"""Detection in an image whose depth changes by a factor 4: the left half has an rms of 1, the right half of 4."""

from __future__ import annotations

import numpy as np
import pytest
from detection_field import SHAPE, gaussian, make_wcs
from unblend.detection import sources
from unblend.detection.detection_image import detection_image
from unblend.detection.stack import relative_noise_map, stack_images

STEP = 110
RMS = np.where(np.arange(SHAPE[1]) < STEP, 1.0, 4.0) * np.ones((SHAPE[0], 1))
WEIGHT = RMS**-2
NO_MASK = np.zeros(SHAPE, dtype=bool)
DEEP, SHALLOW = RMS == 1.0, RMS == 4.0
# The same three galaxies on either side; the faint one has S/N 22 in its segment on the left and 5 on the right.
PLACES = [(40.0, 45.0, 3000.0), (100.0, 60.0, 1500.0), (160.0, 40.0, 230.0)]
LIGHT = sum(gaussian(y, x + shift, flux, 2.5) for y, x, flux in PLACES for shift in (0.0, STEP))


def draw(seed: int, light: np.ndarray | float = LIGHT) -> np.ndarray:
    return 3.0 + light + RMS * np.random.default_rng(seed).normal(size=SHAPE)


IMAGE = draw(1)


def run(
    image: np.ndarray, weight: np.ndarray | None, mask: np.ndarray = NO_MASK, **settings: float
) -> sources.DetectedSources:
    weights, relative = ({}, None) if weight is None else ({"a": weight}, relative_noise_map(weight)[0])
    stack = stack_images({"a": image}, {"a": mask}, weights)
    return sources.detect(stack, image, mask, make_wcs(), relative_noise=relative, **({"fwhm_pixels": 3.3} | settings))


def near(catalogue: np.ndarray, y: float, x: float) -> np.ndarray:
    return catalogue[np.hypot(catalogue["y"] - y, catalogue["x"] - x) < 3.0]


def test_the_error_of_the_stack_follows_the_map() -> None:
    stack = stack_images({"a": IMAGE}, {}, {"a": WEIGHT})
    # The robust scatter of 44 000 pixels is good to 0.6 %, clipping at 3 sigma costs as much.
    assert stack.error[DEEP] == pytest.approx(1.0, rel=0.03)
    assert stack.error[SHALLOW] == pytest.approx(4.0, rel=0.03)
    assert stack.noise_scale["a"] == pytest.approx(1.0, rel=0.03)
    assert stack.background["a"] == pytest.approx(3.0, abs=0.05)
    assert stack.warnings == []


def test_equal_galaxies_have_an_snr_that_differs_by_the_depth() -> None:
    # Segments end at the same surface brightness at a threshold of 6 sigma on the left and 1.5 on the right.
    for y, x, _ in PLACES[:2]:
        (deep,), (shallow,) = (
            near(run(IMAGE, WEIGHT, threshold=t).catalogue, y, x + shift) for t, shift in ((6.0, 0.0), (1.5, STEP))
        )
        assert deep["flux_err"] == pytest.approx(np.sqrt(deep["area"]), rel=0.03)
        assert shallow["flux_err"] == pytest.approx(4.0 * np.sqrt(shallow["area"]), rel=0.03)
        assert deep["snr"] / shallow["snr"] == pytest.approx(4.0, rel=0.12)


def test_the_least_snr_drops_the_faint_galaxy_on_the_shallow_side_alone() -> None:
    y, x, _ = PLACES[2]
    found = run(IMAGE, WEIGHT, min_snr=10.0).catalogue
    assert len(found) == 5
    assert near(found, y, x).size == 1
    assert near(found, y, x + STEP).size == 0
    assert near(run(IMAGE, WEIGHT, min_snr=3.0).catalogue, y, x + STEP).size == 1


def test_noise_is_detected_as_often_on_either_side() -> None:
    count = np.zeros(2, dtype=int)
    for seed in range(5):
        found = run(draw(seed, 0.0), WEIGHT, threshold=1.5, min_area=8, min_snr=0.0).catalogue
        count += np.count_nonzero(found["x"] < STEP), np.count_nonzero(found["x"] >= STEP)
    assert count.sum() > 300
    assert abs(count[0] - count[1]) < 4.0 * np.sqrt(count.sum())
    # Without the map nothing but the shallow half is detected.
    blind = run(draw(0, 0.0), None, threshold=1.5, min_area=8, min_snr=0.0).catalogue
    assert np.count_nonzero(blind["x"] >= STEP) > 10 * max(np.count_nonzero(blind["x"] < STEP), 1)


def test_the_smoothed_image_has_unit_noise_on_either_side_and_on_the_step() -> None:
    columns = {"left": slice(10, STEP - 8), "step": slice(STEP - 3, STEP + 3), "right": slice(STEP + 8, -10)}
    images = [detection_image(stack_images({"a": draw(s, 0.0)}, {}, {"a": WEIGHT}), 3.3)[0] for s in range(12)]
    scatter = {name: np.std([image[10:-10, part] for image in images]) for name, part in columns.items()}
    # On the step 12 images have 14 000 pixels, 15 per independent patch: 2.3 %.
    assert scatter == pytest.approx({"left": 1.0, "step": 1.0, "right": 1.0}, abs=0.07)


@pytest.mark.parametrize("factor", [10.0, 0.1, 1e6])
def test_the_scale_of_the_map_does_not_matter_but_that_of_a_noise_is_warned_of(factor: float) -> None:
    right, wrong = (stack_images({"a": IMAGE}, {}, {"a": WEIGHT * f}, in_image_units=["a"]) for f in (1.0, factor))
    assert wrong.error == pytest.approx(right.error, rel=1e-9)
    assert wrong.data == pytest.approx(right.data, rel=1e-9)
    first, second = (run(IMAGE, WEIGHT * f) for f in (1.0, factor))
    assert np.array_equal(first.segments, second.segments)
    assert second.catalogue["flux_err"] == pytest.approx(first.catalogue["flux_err"], rel=1e-9)
    assert wrong.noise_scale["a"] == pytest.approx(right.noise_scale["a"] * factor**0.5)
    (warning,) = wrong.warnings
    assert "image a scatter by" in warning and "check bands.a.weight" in warning
    assert not stack_images({"a": IMAGE}, {}, {"a": WEIGHT * factor}).warnings


@pytest.mark.parametrize("level", [0.37, 1.0, 25.0])
def test_a_constant_map_is_the_same_as_none(level: float) -> None:
    image = LIGHT + 3.0 + np.random.default_rng(4).normal(size=SHAPE)
    other = image + np.random.default_rng(5).normal(0.0, 2.0, size=SHAPE)
    mask = NO_MASK.copy()
    mask[95:120, 80:100] = True
    constant = np.full(SHAPE, level)
    images, masks = {"a": image, "b": other}, {"a": mask, "b": mask}
    without, flat = stack_images(images, masks), stack_images(images, masks, {"a": constant, "b": constant})
    assert np.nanmax(np.abs(without.data - flat.data)) < 1e-6
    assert flat.error[~mask] == pytest.approx(without.error[~mask], rel=1e-6)
    first, second = (detection_image(stack, 3.3)[0] for stack in (without, flat))
    assert np.abs(first - second).max() < 1e-6
    found, again = run(image, None, mask), run(image, constant, mask)
    assert np.array_equal(found.segments, again.segments)
    for name in found.catalogue.dtype.names:
        assert again.catalogue[name] == pytest.approx(found.catalogue[name], rel=1e-6)


def test_pixels_without_weight_are_masked() -> None:
    weight = WEIGHT.copy()
    weight[30:50, 35:55] = 0.0
    weight[0, 0], weight[0, 1] = np.nan, -1.0
    hot = np.where(weight > 0, IMAGE, 1e6)
    stack = stack_images({"a": hot}, {}, {"a": weight})
    assert np.array_equal(np.isnan(stack.data), ~(weight > 0))
    assert np.array_equal(np.isinf(stack.error), ~(weight > 0))
    result = run(hot, weight)
    assert (result.segments[~(weight > 0)] == 0).all()
    assert (result.snr[~(weight > 0)] == 0).all()
    assert result.catalogue["flux"].max() < 3500


def test_images_with_little_weight_are_not_used() -> None:
    images = {"a": IMAGE, "b": IMAGE}
    stack = stack_images(images, {}, {"a": np.where(DEEP, 1.0, 0.0)})
    assert list(stack.snr) == ["b"]
    assert "Detection image a is not used: 50%" in stack.warnings[0]
    with pytest.raises(Exception, match="no positive pixel"):
        stack_images(images, {}, {"a": np.zeros(SHAPE)})


def test_an_image_with_a_map_and_one_without() -> None:
    other = LIGHT + np.random.default_rng(6).normal(0.0, 2.0, size=SHAPE)
    stack = stack_images({"a": IMAGE, "b": other}, {}, {"a": WEIGHT})
    assert stack.error[DEEP] == pytest.approx((1.0 + 0.25) ** -0.5, rel=0.03)
    assert stack.error[SHALLOW] == pytest.approx((1.0 / 16.0 + 0.25) ** -0.5, rel=0.03)
    snr, _ = detection_image(stack, 3.3)
    sky = LIGHT < 0.01
    assert abs(np.median(snr[sky & DEEP]) - np.median(snr[sky & SHALLOW])) < 0.3


@pytest.mark.parametrize(("sigma", "flux", "offset"), [(6.0, 1e4, 8), (6.0, 1e5, 8), (10.0, 3e4, 14), (3.0, 3e4, 4)])
def test_a_galaxy_beside_the_step_stays_in_one_piece(sigma: float, flux: float, offset: int) -> None:
    image = draw(2, gaussian(100.0, STEP - 0.5 + offset, flux, sigma))
    found = run(image, WEIGHT).catalogue
    assert len(found) == 1
    assert (found["y"][0], found["x"][0]) == pytest.approx((100.0, STEP - 0.5 + offset), abs=1.0)


def test_the_shallow_part_does_not_determine_the_background_level() -> None:
    noise = np.where(np.arange(SHAPE[1]) < 80, 1.0, 40.0) * np.ones((SHAPE[0], 1))
    levels = []
    for seed in range(20):
        image = noise * np.random.default_rng(seed).normal(size=SHAPE)
        levels.append(stack_images({"a": image}, {}, {"a": noise**-2}).background["a"])
    # 16 000 deep pixels give the median to 0.010; rounding adds 0.4 at most, a thousandth of the typical noise: 0.02.
    assert np.std(levels) < 0.03


def test_a_local_mask_changes_nothing_elsewhere_bit_for_bit() -> None:
    bad = NO_MASK.copy()
    bad[39:42, 44:47] = True
    before, after = run(IMAGE, WEIGHT), run(IMAGE, WEIGHT, bad)
    far = ~NO_MASK
    far[15:65, 20:70] = False
    assert np.array_equal(before.segments[far], after.segments[far])
    assert np.array_equal(before.snr[far], after.snr[far])
    first, second = (stack_images({"a": IMAGE}, {"a": mask}, {"a": WEIGHT}) for mask in (NO_MASK, bad))
    assert first.data[far].tobytes() == second.data[far].tobytes()
    assert first.error[far].tobytes() == second.error[far].tobytes()


def test_the_edit_stage_finds_the_same_fluxes_from_the_segments() -> None:
    result, relative = run(IMAGE, WEIGHT), relative_noise_map(WEIGHT)[0]
    stack = stack_images({"a": IMAGE}, {}, {"a": WEIGHT})
    background, rms = sources.flux_level(IMAGE, NO_MASK, result.segments, relative)
    again = sources.measure(
        result.segments, stack, IMAGE, NO_MASK, make_wcs(), background=background, rms=rms, relative_noise=relative
    )
    assert again.tobytes() == result.catalogue.tobytes()
