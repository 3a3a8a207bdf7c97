from __future__ import annotations

import base64
import io

import numpy as np
import pytest
from field_products import COMMON, LONG, SCALE, SHARP, TARGET
from matplotlib.image import imread
from page_pixels import from_levels


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
    # three times the error of 8; a source that is seen has none
    assert blue["limit"] == [pytest.approx(23.9 - 2.5 * np.log10(24.0), abs=0.01)] * 6 and coarse["limit"][1] is None
    assert (coarse["aperture"][1], coarse["aperture_err"][1]) == (2000.0, 8.0)
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


def test_monte_carlo_and_shift(made):
    _, _, content, _, _ = made
    found = content["bands"][3]
    assert found["noise"] == {"rms": 1.0, "lag": 0.1, "background": 1.5, "terms": [], "masked_fraction": 0.052}
    assert found["psf"] == {
        "fwhm": pytest.approx(2.355 * 1.25, abs=0.001),
        "sum": 0.94,
        "widths": [0.97, 0.02, 5.0],
        "stars": [1.01, 0.004, 0.99, 0.005, 7.0],
    }
    assert sum(found["simulated"]["pooled"]) == 6 * 20 and sum(found["simulated"]["target"]) == 20
    assert found["circles"] == [[pytest.approx(found["height"] / 2), pytest.approx(found["width"] / 2), 4.0]]
    # one source at (6, 8), with the FWHM of the coarse band as its radius
    assert found["own"] == [[6.0, 8.0, pytest.approx(2.355 * 1.25, abs=0.01)]]
    assert found["shift"]["grid"]["best"] == [0.01, -0.02] and "fits better" in found["shift"]["recommendation"]
    assert content["bands"][0]["shift"]["grid"] is None


def test_the_colour_image_uses_the_three_bands_on_the_grid_of_the_stack(made):
    _, _, content, _, _ = made
    assert content["colour"]["bands"] == list(SHARP)


def test_the_warnings_of_all_jobs_but_those_beside_the_report(made):
    _, _, content, _, _ = made
    sentences = [warning["sentence"] for warning in content["warnings"]]
    assert sentences[0] == "3 sources <b>touch</b> the edge." and len(sentences) == 12
    assert content["warnings"][-2:] == [
        {"sentence": COMMON, "logs": ("mask_band/red.log", "prepare_psf/coarse.log"), "number": 3},
        {"sentence": LONG, "logs": ("mask_band/red.log",), "number": 1},
    ]


def test_the_summary_has_the_depth_of_every_band_and_the_numbers_of_sources(made):
    _, _, content, _, _ = made
    # noise 1 in a pixel and a PSF of 9 equal pixels: 5 × 3 image units; the catalogue has no zero points
    assert [band["depth"] for band in content["bands"]] == [{"flux": 15.0, "mag": None}] * 4
    assert {"points", "faint", "small", "made", "positions"} == set(content["summary"])
    assert content["summary"]["positions"] is None
