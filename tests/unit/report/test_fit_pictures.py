from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image
from unblend.core.types import Box
from unblend.models.sersic import Sersic
from unblend.report.fit_pictures import GAP, LEVELS, MARGIN, PANEL, GroupPicture, picture_png

SIDE = 20
ZOOM = PANEL // SIDE


def group(**changes):
    """Return a noiseless group: source 7 in the middle, source 3 of another group in a corner, one row masked."""
    segments = np.zeros((SIDE, SIDE), dtype=int)
    segments[8:12, 8:12], segments[0:3, 0:3] = 7, 3
    ignored = np.zeros((SIDE, SIDE), dtype=bool)
    ignored[-1] = True
    stack = np.zeros((SIDE, SIDE))
    stack[8:12, 8:12] = 1000.0
    content = {
        "box": Box(100, 200, 100 + SIDE, 200 + SIDE),
        "stack": stack,
        "residual": np.zeros((SIDE, SIDE)),
        "segments": segments,
        "ignored": ignored,
        "sigma": 1.0,
        "members": (7,),
        "profiles": (Sersic(109.5, 209.5, 0.0, 0.5, 1.0, 1.0, 6.0),),
        "title": "Group 7",
        "rows": (((-1, 0, "id"),), ((0, 0, "7"),)),
    }
    return GroupPicture(**(content | changes))


def drawn(picture):
    """Return the colours (ny, nx, 3) and the three panels of a picture."""
    image = Image.open(io.BytesIO(picture_png(picture)))
    rgb = np.asarray(image.convert("RGB")).astype(int)
    side, top = SIDE * ZOOM, 25 + 17
    panels = [rgb[top : top + side, MARGIN + i * (side + GAP) : MARGIN + i * (side + GAP) + side] for i in range(3)]
    return rgb, panels


def pixel(panel, y, x):
    """Return the colour in the middle of an image pixel, row 0 at the bottom."""
    return tuple(panel[(SIDE - 1 - y) * ZOOM + ZOOM // 2, x * ZOOM + ZOOM // 2])


def is_grey(colour):
    return max(colour) == min(colour)


def test_data_model_and_residual_share_one_stretch():
    _, (data, model, residual) = drawn(group())
    sky = pixel(residual, 15, 15)
    # bright pixels are dark: 1000 sigma is black, and 0 sigma is the same grey in all three panels
    assert pixel(data, 9, 9) == pixel(model, 9, 9) == (0, 0, 0)
    assert is_grey(sky) and 100 < sky[0] < 250
    assert pixel(data, 15, 15) == pixel(model, 15, 15) == sky == pixel(residual, 9, 9)


def test_masked_pixels_are_brown():
    _, (data, model, residual) = drawn(group())
    for panel in (data, residual):
        red, green, blue = pixel(panel, SIDE - 1, 5)
        assert red > green > blue
    assert is_grey(pixel(model, SIDE - 1, 5))


def test_outlines_of_members_and_of_neighbours():
    _, (data, model, residual) = drawn(group())
    left_edge = (slice((SIDE - 12) * ZOOM + 2, (SIDE - 8) * ZOOM - 2), 8 * ZOOM)
    for panel in (data, residual):
        assert {tuple(c) for c in panel[left_edge]} == {(11, 111, 184)}
        assert tuple(panel[(SIDE - 3) * ZOOM, ZOOM]) == (138, 143, 148)
    assert all(is_grey(c) for c in model[left_edge])


def test_the_ellipse_has_the_half_light_radius_and_axis_ratio():
    """A PA of 0 is along +y: the ellipse extends 6 pixels along y and 3 pixels along x from its centre."""
    _, (_, model, _) = drawn(group(stack=np.zeros((SIDE, SIDE))))
    rows, columns = np.nonzero((model == (11, 111, 184)).all(axis=2))
    assert (rows.max() - rows.min()) / ZOOM == pytest.approx(12.0, abs=1.5 / ZOOM)  # lines are a screen pixel wide
    assert (columns.max() - columns.min()) / ZOOM == pytest.approx(6.0, abs=1.5 / ZOOM)


def test_the_id_is_in_the_data_panel_in_the_colour_of_its_outline():
    _, (data, _, residual) = drawn(group())
    beside = np.s_[(SIDE - 14) * ZOOM : (SIDE - 12) * ZOOM, 12 * ZOOM : 14 * ZOOM]
    assert (data[beside] == (11, 111, 184)).all(axis=2).sum() > 10  # the strokes of a 7
    assert not (residual[beside] == (11, 111, 184)).all(axis=2).any()


def test_more_rows_of_text_make_the_picture_longer():
    rgb, _ = drawn(group())
    longer, _ = drawn(group(rows=group().rows * 2))
    assert longer.shape[0] == rgb.shape[0] + 2 * 17 and longer.shape[1] == rgb.shape[1]


def test_a_png_has_metadata_and_is_reproducible():
    png = picture_png(group(), {"key": "abc"})
    assert png == picture_png(group(), {"key": "abc"})
    assert Image.open(io.BytesIO(png)).info["key"] == "abc"


def test_a_group_without_data_or_profile_is_drawn():
    nothing = np.full((SIDE, SIDE), np.nan)
    _, (data, _, _) = drawn(group(stack=nothing, residual=nothing, profiles=(None,)))
    assert pixel(data, 15, 15) == (255, 255, 255)


def test_large_groups_are_not_enlarged():
    side = 700
    shape = (side, side)
    big = group(
        stack=np.zeros(shape), residual=np.zeros(shape), segments=np.zeros(shape, dtype=int),
        ignored=np.zeros(shape, dtype=bool), box=Box(0, 0, side, side), profiles=(None,),
    )  # fmt: skip
    assert big.zoom == 1
    assert Image.open(io.BytesIO(picture_png(big))).width == 3 * side + 2 * GAP + 2 * MARGIN
    assert LEVELS * 2 + 8 <= 256
