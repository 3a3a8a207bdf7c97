"""Models that have left their source: neighbours that swap places, or two profiles on one peak."""

from __future__ import annotations

from dataclasses import replace

from ..core.flags import Flag
from .group_data import GroupData
from .imfit_config import Parameter
from .joint_fit import Problem, fit_jointly, off_bounds
from .result import GroupFit, MemberFit

MOVE_AGAIN = 1.0
"""Pixels by which a centre that went astray may move when it is fitted again: it cannot reach the next peak."""


def misplaced(fit: GroupFit, data: GroupData) -> set[int]:
    """Return the members whose centre lies on the segment of another source; the user's own places are never wrong."""
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


def with_centres_restored(problem: Problem, fit: GroupFit) -> GroupFit:
    """Fit again where a centre went astray, from its automatic start and with little room to move.

    A better chi2 is no excuse: a second profile on a bright neighbour lowers chi2 and leaves its own source without
    a model.
    """
    wrong = misplaced(fit, problem.data)
    if not wrong or not fit.converged:
        return fit
    members = tuple(
        _pinned(member) if member.id in wrong else replace(member, start=off_bounds(member.blocks, member.automatic))
        for member in fit.members
    )
    trial = fit_jointly(replace(problem, members=members, retries=False))
    if not trial.converged or len(misplaced(trial, problem.data)) >= len(wrong):
        return fit
    retried = tuple(replace(m, flags=int(m.flags | Flag.FIT_RETRIED)) if m.id in wrong else m for m in trial.members)
    return replace(trial, members=retried)


def _pinned(member: MemberFit) -> MemberFit:
    """Return a member at its automatic start, its centre held to a pixel."""

    def near(p: Parameter | None) -> Parameter | None:
        if p is None or p.fixed:
            return p
        return replace(p, lower=p.value - MOVE_AGAIN, upper=p.value + MOVE_AGAIN)

    blocks = tuple(replace(block, y0=near(block.y0), x0=near(block.x0)) for block in member.automatic)
    return replace(member, automatic=blocks, start=blocks)
