from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from unblend.core.types import Box
from unblend.fits import single_source
from unblend.fits.group_data import GroupData, group_pixels
from unblend.fits.imfit import sky_block
from unblend.fits.imfit_config import Block, Function, Parameter
from unblend.fits.joint_fit import Problem
from unblend.fits.result import MemberFit
from unblend.fits.single_source import (
    segment_box,
    single_source_problem,
    source_cutout,
    source_image,
    summed_image,
)

BOX = Box(100, 200, 130, 240)
PSF = np.pad([[1.0]], 2)


def point(id_, flux):
    return Block(
        Parameter("Y0", 5.0), Parameter("X0", 5.0), (Function("PointSource", (Parameter("I_tot", flux),)),), id_
    )


def two_sources():
    """Return a group of two square segments, 3 × 3 and 5 × 5 pixels, on an image that counts the pixels."""
    segments = np.zeros(BOX.shape, dtype=int)
    segments[10:13, 12:15] = 1
    segments[20:25, 30:35] = 2
    image = np.arange(segments.size, dtype=float).reshape(segments.shape)
    return GroupData(BOX, image, np.full(image.shape, 2.0), segments, (1, 2))


def problem_of(data):
    members = tuple(MemberFit(i, (point(i, 1.0),), (point(i, 1.0),), (point(i, 1.0),)) for i in data.members)
    return Problem(members, sky_block(0.0, 3.0), group_pixels(data), data, PSF, 1e-4)


def test_the_box_around_a_segment():
    assert segment_box(two_sources(), 1) == Box(110, 212, 113, 215)
    assert segment_box(two_sources(), 2) == Box(120, 230, 125, 235)


def test_a_cutout_has_a_margin_and_stays_on_that_of_the_group():
    # the minimum of 6 pixels is more than half of sqrt(9 / pi)
    assert source_cutout(two_sources(), 1) == Box(104, 206, 119, 221)
    # rows 114 to 131 and columns 224 to 241 end at the edge of the group
    assert source_cutout(two_sources(), 2) == Box(114, 224, 130, 240)


def test_the_margin_of_a_large_segment():
    segments = np.zeros(BOX.shape, dtype=int)
    segments[:, 12:] = 1
    # 30 × 28 = 840 pixels: half of sqrt(840 / pi) is 8.2, rounded up to 9
    assert source_cutout(replace(two_sources(), segments=segments), 1) == Box(100, 203, 130, 240)


def test_the_problem_of_one_source_has_the_pixels_of_its_group():
    problem = problem_of(two_sources())
    single = single_source_problem(problem, 2, 1.0)
    assert [member.id for member in single.members] == [2]
    assert source_cutout(problem.data, 2) in single.pixels.box and single.pixels.box == single.data.box
    y, x = 122 - single.pixels.box.y0, 232 - single.pixels.box.x0
    assert single.pixels.image[y, x] == problem.pixels.image[22, 32] - 1.0
    assert single.pixels.error[y, x] == 2.0 and single.data.segments[y, x] == 2
    assert (group_pixels(single.data).mask == single.pixels.mask).all()


def test_other_members_are_not_masked_and_pixels_off_the_group_are():
    data = two_sources()
    data.segments[17, 28] = 1
    data.image[18, 28] = np.nan
    single = single_source_problem(problem_of(data), 2)
    box = single.pixels.box
    assert not single.pixels.mask[117 - box.y0, 228 - box.x0]
    assert single.pixels.mask[118 - box.y0, 228 - box.x0] and np.isfinite(single.pixels.image).all()
    outside = np.ones(box.shape, dtype=bool)
    outside[(box & BOX).within(box)] = False
    assert single.pixels.mask[outside].all()


def test_images_of_sources_add_up():
    box = Box(0, 0, 10, 10)
    one, two = point(1, 3.0), point(2, 4.0)
    assert source_image([one], box, PSF, 1).sum() == pytest.approx(3.0)
    assert summed_image([(1, [one]), (2, [two])], box, PSF).sum() == pytest.approx(7.0)
    assert not summed_image([], box, PSF).any()


def test_a_model_that_imfit_cannot_draw_is_zero(monkeypatch, caplog):
    monkeypatch.setattr(single_source, "evaluate_blocks", lambda blocks, box, psf: np.full(box.shape, np.nan))
    assert not source_image([point(7, 1.0)], Box(0, 0, 3, 3), PSF, 7).any()
    assert "Source 7: IMFIT's image of the model is not finite" in caplog.text
