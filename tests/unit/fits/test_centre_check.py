from __future__ import annotations

from dataclasses import replace

from galaxy_stamps import fitting_psf, galaxy, group
from unblend.core.flags import Flag
from unblend.fits.centre_check import members_off_segment, refit_off_segment
from unblend.fits.group_data import group_starts
from unblend.fits.joint_fit import Problem, fit_jointly
from unblend.fits.passes import fit_second_pass

BRIGHT = (24.3, 20.6, 3000.0, 1.0, 3.0, 0.3, 30.0)
FAINT = (28.0, 33.0, 900.0, 1.0, 2.5, 0.2, 80.0)


def swapped_pair():
    """Return two galaxies and a fit in which each has the position of the other."""
    data = group([galaxy(*BRIGHT), galaxy(*FAINT)])
    members, sky, pixels = group_starts(data, fitting_psf(), {})
    problem = Problem(tuple(members), sky, pixels, data, fitting_psf(), 1e-4)
    fit = fit_jointly(problem)
    first, second = fit.members
    wrong = (replace(first, blocks=second.blocks), replace(second, blocks=first.blocks))
    return problem, fit, replace(fit, members=wrong)


def test_swapped_neighbours_are_fitted_again_at_their_own_positions():
    problem, good, swapped = swapped_pair()
    assert members_off_segment(good, problem.data) == set() and members_off_segment(swapped, problem.data) == {1, 2}
    assert refit_off_segment(problem, good) is good
    fit = refit_off_segment(problem, swapped)
    assert members_off_segment(fit, problem.data) == set()
    for member, truth in zip(fit.members, (BRIGHT, FAINT), strict=True):
        assert member.flags == Flag.FIT_RETRIED
        # S/N over 60: a twentieth of a pixel is four sigma
        assert abs(member.sersic.y - 100.0 - truth[0]) < 0.1 and abs(member.sersic.x - 200.0 - truth[1]) < 0.1


def test_two_profiles_on_one_peak_are_separated():
    problem, good, _ = swapped_pair()
    first, second = good.members
    merged = replace(good, members=(first, replace(second, blocks=first.blocks)))
    assert members_off_segment(merged, problem.data) == {2}
    fit = refit_off_segment(problem, merged)
    assert members_off_segment(fit, problem.data) == set() and [m.flags for m in fit.members] == [0, Flag.FIT_RETRIED]


def test_a_centre_on_another_source_is_flagged_unless_the_user_chose_it():
    problem, _, swapped = swapped_pair()
    fixed = [replace(m, automatic=tuple(with_fixed_centre(b) for b in m.blocks)) for m in swapped.members]
    second = fit_second_pass(problem.data, fitting_psf(), replace(swapped, members=tuple(fixed)))
    assert all(member.flags & Flag.CENTRE_ASTRAY for member in second.members)
    by_user = replace(second, members=tuple(replace(m, flags=int(Flag.OVERRIDDEN)) for m in second.members))
    assert members_off_segment(by_user, problem.data) == set()


def with_fixed_centre(block):
    return replace(block, y0=replace(block.y0, fixed=True), x0=replace(block.x0, fixed=True))


def test_a_centre_on_the_sky_or_off_the_cutout_is_not_reported():
    problem, good, _ = swapped_pair()
    member = good.members[0]
    for move in (-15.0, -60.0):
        moved = replace(member, blocks=(member.blocks[0].shifted(move, move),))
        assert members_off_segment(replace(good, members=(moved,)), problem.data) == set()
