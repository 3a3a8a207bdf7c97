from __future__ import annotations

from dataclasses import replace

from galaxy_stamps import fitting_psf, galaxy, group
from unblend.core.flags import Flag
from unblend.fits.centre_check import misplaced, with_centres_restored
from unblend.fits.crowded_fit import part_of
from unblend.fits.group_data import group_pixels, group_starts
from unblend.fits.joint_fit import Problem, fit_jointly
from unblend.fits.passes import fit_second_pass

BRIGHT = (24.3, 20.6, 3000.0, 1.0, 3.0, 0.3, 30.0)
FAINT = (28.0, 33.0, 900.0, 1.0, 2.5, 0.2, 80.0)


def swapped_pair():
    """Two galaxies, and a fit in which each has taken the other's place."""
    data = group([galaxy(*BRIGHT), galaxy(*FAINT)])
    members, sky, pixels = group_starts(data, fitting_psf(), {})
    problem = Problem(tuple(members), sky, pixels, data, fitting_psf(), 1e-4)
    fit = fit_jointly(problem)
    first, second = fit.members
    wrong = (replace(first, blocks=second.blocks), replace(second, blocks=first.blocks))
    return problem, fit, replace(fit, members=wrong)


def test_neighbours_that_swap_places_are_fitted_again_at_home():
    problem, good, swapped = swapped_pair()
    assert misplaced(good, problem.data) == set() and misplaced(swapped, problem.data) == {1, 2}
    assert with_centres_restored(problem, good) is good
    fit = with_centres_restored(problem, swapped)
    assert misplaced(fit, problem.data) == set()
    for member, truth in zip(fit.members, (BRIGHT, FAINT), strict=True):
        assert member.flags == Flag.FIT_RETRIED
        # S/N over 60: a twentieth of a pixel is four sigma
        assert abs(member.sersic.y - 100.0 - truth[0]) < 0.1 and abs(member.sersic.x - 200.0 - truth[1]) < 0.1


def test_two_profiles_on_one_peak_are_taken_apart():
    problem, good, _ = swapped_pair()
    first, second = good.members
    merged = replace(good, members=(first, replace(second, blocks=first.blocks)))
    assert misplaced(merged, problem.data) == {2}
    fit = with_centres_restored(problem, merged)
    assert misplaced(fit, problem.data) == set() and [m.flags for m in fit.members] == [0, Flag.FIT_RETRIED]


def test_what_stays_astray_is_flagged_and_the_users_place_is_not():
    problem, _, swapped = swapped_pair()
    held = [replace(m, automatic=tuple(_held(b) for b in m.blocks)) for m in swapped.members]
    second = fit_second_pass(problem.data, fitting_psf(), replace(swapped, members=tuple(held)))
    assert all(member.flags & Flag.CENTRE_ASTRAY for member in second.members)
    said = replace(second, members=tuple(replace(m, flags=int(Flag.OVERRIDDEN)) for m in second.members))
    assert misplaced(said, problem.data) == set()


def _held(block):
    return replace(block, y0=replace(block.y0, fixed=True), x0=replace(block.x0, fixed=True))


def test_a_centre_on_the_sky_or_off_the_cutout_is_not_astray():
    problem, good, _ = swapped_pair()
    member = good.members[0]
    for move in (-15.0, -60.0):
        moved = replace(member, blocks=(member.blocks[0].shifted(move, move),))
        assert misplaced(replace(good, members=(moved,)), problem.data) == set()


def test_a_part_of_a_group_sees_the_same_pixels():
    problem = swapped_pair()[0]
    part = part_of(problem, 2, 1.0)
    assert [member.id for member in part.members] == [2]
    y, x = 128 - part.data.box.y0, 233 - part.data.box.x0
    assert part.pixels.image[y, x] == problem.pixels.image[28, 33] - 1.0
    # the others are not masked but subtracted
    assert (group_pixels(part.data).mask == part.pixels.mask).all()
