"""Fit groups: members, boxes, neighbours, digests, speed."""

from __future__ import annotations

import time

import numpy as np
import pytest
from unblend.core.types import Box, FitGroup
from unblend.fits.fft_size import is_good_size
from unblend.fits.groups import group_digest, group_sources
from unblend.fits.sky_level import SkyLevel

DTYPE = [("id", "i4"), ("y", "f8"), ("x", "f8"), ("area", "i4")]
PSF = 11


def field(*sources: tuple[int, int, int, int], shape: tuple[int, int] = (300, 300)) -> tuple[np.ndarray, np.ndarray]:
    """Return segments and catalogue of squares (id, y, x, half-size)."""
    segments = np.zeros(shape, dtype=np.int32)
    rows = []
    for source, y, x, half in sources:
        segments[y - half : y + half + 1, x - half : x + half + 1] = source
    for source, y, x, _ in sources:
        rows.append((source, y, x, np.count_nonzero(segments == source)))
    return segments, np.array(rows, dtype=DTYPE)


def groups_of(*sources: tuple[int, int, int, int], scale: float = 0.1, **requests) -> list[FitGroup]:
    return group_sources(*field(*sources), pixel_scale_arcsec=scale, psf_side=PSF, **requests)


def test_an_isolated_source_has_the_minimum_cutout_grown_to_a_good_size() -> None:
    (group,) = groups_of((3, 100, 120, 2))
    assert (group.main, group.members, group.neighbours) == (3, (3,), ())
    assert Box.around(100, 120, 15) in group.box
    assert all(is_good_size(side + 3 * PSF - 1) for side in group.box.shape)
    # 31 + 32 = 63 = 3² 7 is a good size
    assert group.box.shape == (31, 31)


def test_the_cutout_of_a_large_source_has_twice_its_radius() -> None:
    (group,) = groups_of((1, 150, 150, 20))
    radius = np.sqrt(41**2 / np.pi)
    assert Box.around(150, 150, 2 * radius) in group.box
    assert group.box.shape[0] < 4 * radius + 12


def test_members_are_wholly_inside_the_cutout_and_without_a_group() -> None:
    # 2 lies inside the cutout of 1 (half-size 15), 3 is cut by its edge, 4 lies inside that of 3 only.
    groups = groups_of((1, 100, 100, 2), (2, 100, 108, 2), (3, 100, 114, 2), (4, 100, 121, 2))
    assert [(group.main, group.members) for group in groups] == [(1, (1, 2)), (3, (3, 4))]


def test_a_source_belongs_to_the_first_group_only() -> None:
    groups = groups_of((1, 100, 100, 1), (2, 100, 120, 1), (3, 100, 110, 1))
    assert [group.members for group in groups] == [(1, 3), (2,)]


def test_groups_by_flux_are_named_after_the_brightest() -> None:
    segments, catalogue = field((3, 100, 100, 2), (8, 100, 112, 2), (5, 100, 124, 2), (9, 200, 200, 2))
    flux = np.array([1.0, 9.0, np.nan, 2.0])
    with_flux = np.zeros(4, dtype=[*DTYPE, ("flux", "f8")])
    for name in catalogue.dtype.names or ():
        with_flux[name] = catalogue[name]
    with_flux["flux"] = flux
    by_flux = group_sources(segments, with_flux, pixel_scale_arcsec=0.1, psf_side=PSF, by_flux=True)
    # 8 holds both others in its cutout; 3, first by its ID, would not reach 5
    assert [(group.main, group.members) for group in by_flux] == [(8, (8, 3, 5)), (9, (9,))]
    by_id = group_sources(segments, with_flux, pixel_scale_arcsec=0.1, psf_side=PSF)
    assert [(group.main, group.members) for group in by_id] == [(3, (3, 8)), (5, (5,)), (9, (9,))]
    # neighbours go by the name of the group
    with_flux["flux"][1] = 0.5
    named = group_sources(segments, with_flux, pixel_scale_arcsec=0.1, psf_side=PSF, by_flux=True)
    assert {group.main: group.neighbours for group in named} == {9: (), 3: (5,), 5: (3,)}


def test_ids_may_be_as_large_as_integers() -> None:
    groups = groups_of((2_000_000_000, 100, 100, 2), (7, 200, 200, 2))
    assert [group.main for group in groups] == [7, 2_000_000_000]


ROW = ((1, 100, 100, 2), (2, 100, 108, 2), (3, 100, 150, 2), (4, 100, 200, 2))


def test_a_source_to_fit_alone_becomes_a_group_and_a_neighbour() -> None:
    first, second, *rest = groups_of(*ROW, fit_alone=[2])
    assert (first.members, second.members) == ((1,), (2,))
    assert first.neighbours == (2,) and second.neighbours == (1,)
    # the cutout and the other groups are unchanged
    before = groups_of(*ROW)
    assert first.box == before[0].box and rest == before[1:]
    assert [group.members for group in groups_of(*ROW, fit_alone=[1, 99])][:2] == [(1,), (2,)]


def test_sources_to_fit_together_share_a_cutout() -> None:
    both, last = groups_of(*ROW, fit_together=[[2, 3]])
    # 1 joins as well because 2 lies in its cutout; 4 is unchanged
    assert both.members == (1, 2, 3) and last == groups_of(*ROW)[2]
    for x in (100, 108, 150):
        assert Box.around(100, x, 15) in both.box
    # a source between them lies in the cutout and is fitted with them
    between = groups_of(*ROW, (5, 100, 130, 2), fit_together=[[1, 3]])
    assert between[0].members == (1, 2, 3, 5)
    assert [group.members for group in groups_of(*ROW, fit_together=[[3, 99], [77]])] == [(1, 2), (3,), (4,)]


def test_a_request_changes_the_digest_of_the_groups_concerned_only() -> None:
    segments, _ = field(*ROW)
    digests = [
        {g.main: group_digest(np.ones(segments.shape), np.ones(segments.shape), segments, g) for g in groups}
        for groups in (groups_of(*ROW), groups_of(*ROW, fit_alone=[2]))
    ]
    assert {main for main in digests[1] if digests[1][main] != digests[0].get(main)} == {1, 2}


def test_growing_for_the_fft_adds_no_member() -> None:
    # Cutouts of side 35 (1.7 arcsec) grow to 38: 35 + 32 = 67 is prime, 70 is good.
    segments, catalogue = field((1, 100, 100, 7), (2, 119, 100, 0))
    first, second = group_sources(segments, catalogue, pixel_scale_arcsec=0.1, psf_side=PSF)
    assert first.box.shape == (38, 38)
    assert first.members == (1,)
    assert Box(119, 100, 120, 101) in first.box
    assert second.members == (2,)


def test_the_cutout_contains_the_whole_of_a_long_segment() -> None:
    segments = np.zeros((300, 300), dtype=np.int32)
    segments[150, 50:250] = 1
    catalogue = np.array([(1, 150.0, 149.5, 200)], dtype=DTYPE)
    (group,) = group_sources(segments, catalogue, pixel_scale_arcsec=0.1, psf_side=PSF)
    assert Box(150, 50, 151, 250) in group.box


def test_boxes_may_extend_beyond_the_image() -> None:
    (group,) = groups_of((1, 3, 3, 2))
    assert group.box.y0 < 0


def test_near_groups_are_neighbours_of_each_other_and_distant_ones_are_not() -> None:
    # The flux of 1 extends to 3 sqrt(441/pi) + 5.5 = 41 pixels, that of the others to 3 sqrt(9/pi) + 5.5 = 10.6.
    # Cutouts of small sources have a half-size of 15.
    groups = groups_of((1, 150, 60, 10), (2, 150, 110, 1), (3, 150, 165, 1), (4, 20, 280, 1))
    by_main = {group.main: group for group in groups}
    assert by_main[1].neighbours == (2,)
    assert by_main[2].neighbours == (1,)
    assert by_main[3].neighbours == ()
    assert by_main[4].neighbours == ()


def test_order_of_the_catalogue_does_not_matter() -> None:
    segments, catalogue = field((1, 100, 100, 2), (2, 100, 108, 2), (3, 100, 130, 2))
    straight = group_sources(segments, catalogue, pixel_scale_arcsec=0.1, psf_side=PSF)
    assert group_sources(segments, catalogue[::-1], pixel_scale_arcsec=0.1, psf_side=PSF) == straight


def test_a_source_without_pixels_is_an_error() -> None:
    segments, catalogue = field((1, 100, 100, 2))
    catalogue["id"] = 9
    with pytest.raises(ValueError, match="source 9 of the catalogue has no pixel"):
        group_sources(segments, catalogue, pixel_scale_arcsec=0.1, psf_side=PSF)


def test_five_thousand_sources_take_a_few_seconds() -> None:
    rng = np.random.default_rng(1)
    n, side = 5000, 2500
    y, x = rng.integers(5, side - 5, n), rng.integers(5, side - 5, n)
    segments = np.zeros((side, side), dtype=np.int32)
    for i in range(n):
        segments[y[i] - 2 : y[i] + 3, x[i] - 2 : x[i] + 3] = i + 1
    kept = np.unique(segments)[1:]
    catalogue = np.zeros(kept.size, dtype=DTYPE)
    catalogue["id"], catalogue["y"], catalogue["x"], catalogue["area"] = kept, y[kept - 1], x[kept - 1], 25
    start = time.process_time()
    groups = group_sources(segments, catalogue, pixel_scale_arcsec=0.06, psf_side=31)
    assert time.process_time() - start < 4.0  # about 1 s measured
    assert sorted(member for group in groups for member in group.members) == kept.tolist()


def digest_inputs() -> tuple[np.ndarray, np.ndarray, np.ndarray, FitGroup]:
    rng = np.random.default_rng(1)
    segments = np.zeros((40, 40), dtype=np.int32)
    segments[10:13, 10:13], segments[16, 16] = 3, 8
    return rng.normal(size=(40, 40)), np.ones((40, 40)), segments, FitGroup(3, (3,), Box(-2, 5, 20, 20))


def test_the_digest_depends_on_the_pixels_of_the_box_only() -> None:
    stack, error, segments, group = digest_inputs()
    reference = group_digest(stack, error, segments, group)
    assert len(reference) == 16
    far = stack.copy()
    far[30, 30] = 99.0
    assert group_digest(far, error, segments, group) == reference
    for image in range(3):
        changed = [stack.copy(), error.copy(), segments.copy()]
        changed[image][15, 15] += 3
        assert group_digest(*changed, group) != reference
    assert group_digest(stack, error, segments, FitGroup(3, (3, 8), group.box)) != reference
    assert group_digest(stack, error, segments, FitGroup(3, (3,), group.box.grown(1))) != reference
    assert group_digest(stack, error, segments, group, SkyLevel(0.1, 0.01)) != reference


def test_the_digest_ignores_changes_that_do_not_affect_the_fit() -> None:
    stack, error, segments, group = digest_inputs()
    stack[7, 7] = np.nan
    reference = group_digest(stack, error, segments, group)
    renumbered = np.where(segments == 8, 21, segments)
    assert group_digest(stack, error, renumbered, group) == reference
    assert group_digest(stack, error, segments, FitGroup(3, (3,), group.box, (8,))) == reference
    other_nan = stack.copy()
    other_nan[7, 7] = -np.nan
    assert group_digest(other_nan, error, segments, group) == reference
    assert group_digest(stack.astype(">f8"), error.astype(">f8"), segments.astype(">i4"), group) == reference
