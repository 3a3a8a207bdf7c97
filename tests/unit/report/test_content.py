from __future__ import annotations

import base64
import io

import numpy as np
import pytest
from field_products import COARSE, SCALE, SHARP, TARGET, write_products
from matplotlib.image import imread
from page_pixels import from_levels
from unblend.core.coordinates import pixel_to_sky
from unblend.report.band_images import page_image, read_band_image, same_grid, used_part
from unblend.report.content import read_field
from unblend.report.sections import (
    colour_choice,
    colour_scales,
    shift_numbers,
    target_of,
    time_list,
)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("field")
    field = write_products(folder)
    content, images, pictures = read_field(field.spec, folder / "results")
    return folder, field, content, images, pictures


def test_sources_are_in_the_order_of_the_catalogue(made):
    _, _, content, _, _ = made
    sources = content["sources"]
    assert sources["id"] == [1, 2, 3, 4, 5, 6] and content["target"] == TARGET
    assert sources["n"] == [1.0] * 5 + [None] and sources["functions"][-1] == "PointSource"
    # r_e = 5 +- 0.5 pixels of the stack
    assert sources["r_e_arcsec"][0] == pytest.approx(5 * SCALE) and sources["r_e_err"][0] == pytest.approx(0.5 * SCALE)
    assert sources["group"] == [1, 1, 3, 4, 5, 6]


def test_fluxes_of_a_band(made):
    _, _, content, _, _ = made
    blue, coarse = content["bands"][0]["columns"], content["bands"][3]["columns"]
    assert blue["flux"] == [0.0] * 5 + [-4.0] and blue["snr"] == [0.0] * 5 + [-0.5] and blue["mag"] == [None] * 6
    assert coarse["flux"][:3] == [None, 2000.0, pytest.approx(4000 / 3, rel=1e-4)] and coarse["snr"][1] == 250.0
    assert coarse["ujy"][1] == 2000.0  # the zero point is that of microjansky
    assert coarse["worst"][1] == 1 and coarse["correlation"][1] == -0.25


def test_positions_of_sources_in_a_rotated_band(made):
    _, field, content, _, _ = made
    sharp, coarse = content["bands"][1], content["bands"][3]
    assert sharp["x"] == pytest.approx(field.x, abs=0.01) and sharp["y"] == pytest.approx(field.y, abs=0.01)
    # rotated by 180 degrees, with pixels five times as large
    size = field.side / 5
    assert coarse["x"] == pytest.approx(size - 0.5 - (field.x + 0.5) / 5, abs=0.01)
    assert coarse["y"] == pytest.approx(size - 0.5 - (field.y + 0.5) / 5, abs=0.01)
    # d(east)/dx has opposite signs in both bands
    assert sharp["jacobian"][0][1] == pytest.approx(-SCALE) and coarse["jacobian"][0][1] == pytest.approx(5 * SCALE)


def test_positions_include_the_shift_of_the_band(made):
    folder, field, _, _, _ = made
    green = read_band_image(folder / "results", "green", field.spec["bands"]["green"]["image"], 8)
    shifted = page_image(np.zeros(green.shape), np.zeros(green.shape), green.wcs, (0.12, -0.06), 8)
    ra, dec = pixel_to_sky(green.wcs, np.array([20.0]), np.array([30.0]))
    y, x = shifted.positions(ra, dec)
    assert (y[0], x[0]) == pytest.approx((20.0 - 1.0, 30.0 + 2.0), abs=1e-6)


def test_a_tile_and_the_residual_make_the_image_without_neighbours(made):

    def values(content):
        return from_levels(np.rint(imread(io.BytesIO(content))[::-1] * 255).astype(int))

    _, _, content, images, _ = made
    y0, x0, text = content["bands"][1]["tiles"][1]
    tile = values(base64.b64decode(text))
    window = (slice(y0, y0 + tile.shape[0]), slice(x0, x0 + tile.shape[1]))
    # the tile contains only the target: image and residual differ by its light
    light = values(images["band:green:image"])[window] - values(images["band:green:residual"])[window]
    sigma = content["bands"][1]["sigma"]
    # levels differ by 0.2 sigma in the noise and by 5 % for bright pixels, and three of them are rounded
    assert np.nanmax(np.abs(light - tile) - 0.06 * np.abs(tile)) < 0.4
    peak = 2000.0 / (2 * np.pi * 2.5**2) / sigma
    assert tile.max() == pytest.approx(peak, rel=0.05)
    assert content["bands"][0]["tiles"][:5] == [None] * 5  # no flux, no tile


def test_the_target_is_read_from_the_products_of_the_bands(made):
    folder, _, _, _, _ = made
    assert target_of(folder / "results", ["green"]) == TARGET
    assert target_of(folder / "results", []) is None


def test_monte_carlo_and_shift(made):
    _, _, content, _, _ = made
    found = content["bands"][3]
    assert found["noise"] == {"rms": 1.0, "lag": 0.1, "background": 1.5, "masked_fraction": 0.052}
    assert sum(found["simulated"]["pooled"]) == 6 * 20 and sum(found["simulated"]["target"]) == 20
    assert found["circles"] == [[pytest.approx(found["height"] / 2), pytest.approx(found["width"] / 2), 4.0]]
    assert found["shift"]["grid"]["best"] == [0.01, -0.02] and "fits better" in found["shift"]["recommendation"]
    assert content["bands"][0]["shift"]["grid"] is None
    nothing = {"shift_arcsec": [0.0, 0.1], "message": "too few", "grid": None, "offsets": None}
    assert shift_numbers(nothing)["message"] == "too few" and shift_numbers(nothing)["common"] is None


def test_the_colour_image_uses_three_bands_on_the_grid_of_the_stack(made):
    folder, field, content, _, _ = made
    assert content["colour"]["bands"] == list(SHARP)
    green, red, coarse = (
        read_band_image(folder / "results", b, field.spec["bands"][b]["image"], 8) for b in ("green", "red", COARSE)
    )
    assert same_grid(green, red) and not same_grid(green, coarse)
    waves = {"a": 1.6, "b": 0.8, "c": 1.2, "d": 2.2}
    assert colour_choice(dict.fromkeys("abcd", True), waves) == ["b", "a", "d"]
    assert colour_choice(dict.fromkeys("abcd", True), {**waves, "a": None}) == ["a", "c", "d"]
    assert colour_choice({"a": True, "b": True, "c": False}, waves) == []


def test_the_median_bright_source_is_white():
    fluxes = np.array([(100.0, 50.0, 200.0), (100.0, 50.0, 200.0), (0.0, 9.0, 1.0)],
                      dtype=[(f"flux_{b}", float) for b in "abc"])  # fmt: skip
    catalogue = np.zeros(3, dtype=[*fluxes.dtype.descr, *[(f"err_{b}", float) for b in "abc"]])
    for name in fluxes.dtype.names:
        catalogue[name], catalogue[name.replace("flux", "err")] = fluxes[name], 1.0
    assert colour_scales(catalogue, list("abc")) == [0.5, 1.0, 0.25]
    catalogue["flux_a"] = 0.0
    assert colour_scales(catalogue, list("abc")) == [1.0, 1.0, 1.0]


def test_a_page_image_is_in_units_of_the_noise(made):
    folder, field, _, _, _ = made
    green = read_band_image(folder / "results", "green", field.spec["bands"]["green"]["image"], 8)
    residual = np.random.default_rng(1).normal(scale=3.0, size=green.shape)
    made_image = page_image(np.full(green.shape, 6.0), residual, green.wcs, (0.0, 0.0), 8)
    # the MAD of 10 000 pixels is known to 1.2 %
    assert made_image.sigma == pytest.approx(3.0, rel=0.05)
    np.testing.assert_allclose(made_image.image, 6.0 / made_image.sigma)
    assert made_image.record["sigma"] == made_image.sigma and made_image.record["binned"] == made_image.factor == 1
    # 2 sigma are fainter than the lower limit of the black level
    assert made_image.record["high"] == 30.0
    assert made_image.scale == pytest.approx(SCALE) and set(made_image.pngs) == {"image", "residual"}


def test_images_are_cropped_if_most_of_them_is_masked():
    residual = np.full((100, 200), np.nan)
    residual[40:61, 50:101] = 0.0
    # a margin of 4 % of the longer side of 50 pixels, and one pixel
    corner, window = used_part(residual)
    assert corner == (37, 47) and residual[window].shape == (27, 57)
    residual[:, :120] = 0.0
    assert used_part(residual) == ((0, 0), (slice(0, 100), slice(0, 200)))
    assert used_part(np.full((3, 4), np.nan)) == ((0, 0), (slice(0, 3), slice(0, 4)))


def test_times_are_summed_by_rule_without_bands_that_no_longer_exist(made):
    folder, _, _, _, _ = made
    assert time_list(folder / "results", ["green"]) == [
        {"rule": "extract_fluxes", "jobs": 1, "clock": 10.0, "processor": 2.0, "memory": 100},
        {"rule": "detect_sources", "jobs": 1, "clock": 3.5, "processor": 2.0, "memory": 100},
    ]
    assert time_list(folder, []) == []
