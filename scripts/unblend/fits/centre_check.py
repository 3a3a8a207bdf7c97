"""Find models whose centre has moved off their source: neighbours that swap places, or two profiles on one peak."""

from __future__ import annotations

from dataclasses import replace

from ..core.flags import Flag
from .group_data import GroupData
from .imfit_config import Parameter
from .joint_fit import Problem, as_start_values, fit_jointly
from .result import GroupFit, MemberFit

MAX_CENTRE_OFFSET = 1.0
"""Pixels by which a centre may move in the fit that follows a wrong one: too few to reach the peak of a neighbour."""


def members_off_segment(fit: GroupFit, data: GroupData) -> set[int]:
    """Return the members whose centre lies on the segment of another source.

    Members with a user override are left out: a centre that the user chose is taken as right. A centre on the sky or
    off the cutout is not reported.
    """
    wrong = set()
    for member in fit.members:
        block = member.blocks[0]
        if member.flags & Flag.OVERRIDDEN or block.y0 is None or block.x0 is None:
            continue
        row, column = round(block.y0.value) - data.box.y0, round(block.x0.value) - data.box.x0
        if not (0 <= row < data.box.shape[0] and 0 <= column < data.box.shape[1]):
            continue
        if int(data.segments[row, column]) not in (0, member.id):
            wrong.add(member.id)
    return wrong


def refit_off_segment(problem: Problem, fit: GroupFit) -> GroupFit:
    """Repeat a fit in which centres lie on other sources, with these centres confined to their automatic positions.

    The new fit is taken if fewer centres are wrong, even if its chi2 is higher: a second profile on a bright neighbour
    lowers chi2 and leaves its own source without a model.
    """
    wrong = members_off_segment(fit, problem.data)
    if not wrong or not fit.converged:
        return fit
    members = tuple(
        _confined(member)
        if member.id in wrong
        else replace(member, start=as_start_values(member.blocks, member.automatic))
        for member in fit.members
    )
    trial = fit_jointly(replace(problem, members=members, retries=False))
    if not trial.converged or len(members_off_segment(trial, problem.data)) >= len(wrong):
        return fit
    retried = tuple(replace(m, flags=int(m.flags | Flag.FIT_RETRIED)) if m.id in wrong else m for m in trial.members)
    return replace(trial, members=retried)


def _confined(member: MemberFit) -> MemberFit:
    """Return a member at its automatic start, its centre free within `MAX_CENTRE_OFFSET`."""

    def close(p: Parameter | None) -> Parameter | None:
        if p is None or p.fixed:
            return p
        return replace(p, lower=p.value - MAX_CENTRE_OFFSET, upper=p.value + MAX_CENTRE_OFFSET)

    blocks = tuple(replace(block, y0=close(block.y0), x0=close(block.x0)) for block in member.automatic)
    return replace(member, automatic=blocks, start=blocks)
