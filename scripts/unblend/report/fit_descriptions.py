"""The result of a fit in words, for its picture and for the sheet of all groups, and the order of the sheet."""

from __future__ import annotations

import math
from collections.abc import Sequence

from ..core.flags import Flag, names
from ..fits.imfit_config import Function, Parameter
from ..fits.result import GroupFit, MemberFit, function_flux

COLUMNS = {"id": 0, "model": 46, "n": 120, 'r_e ["]': 230, "ell": 360, "PA [°]": 480, "flux": 600, "chi2": 700}
"""Headings of the columns under a picture, and their positions in screen pixels."""
FAILED = Flag.FIT_REPLACED | Flag.FIT_TIMED_OUT
Word = tuple[int, int, str]
"""Number of the member that gives the colour (-1: black), position x in screen pixels, text."""


def badness(fit: GroupFit) -> tuple[int, float]:
    """Return the key by which the sheet orders fits, larger for worse ones.

    Failed fits come first, the others are ordered by reduced chi2: that of the group or of the worst segment, whichever
    is larger.
    """
    failed = any(member.flags & FAILED for member in fit.members)
    values = [fit.reduced_chi2, *(member.chi2_segment for member in fit.members if member.chi2_segment is not None)]
    return int(failed), max((value for value in values if math.isfinite(value)), default=0.0)


def title(group: str, members: Sequence[int], fit: GroupFit) -> str:
    """Return the heading of a group: its number of sources, chi2, and whether the fit converged.

    Parameters
    ----------
    group : str
    members : sequence of int
        IDs of its sources.
    fit : GroupFit
    """
    parts = [f"Group {group}" + (f" ({len(members)} sources)" if len(members) > 1 else "")]
    if math.isfinite(fit.final_chi2):
        parts.append(f"chi2 {fit.final_chi2:.0f} for {fit.n_pixels} pixels and {fit.n_free} free parameters")
        parts.append(f"reduced {fit.reduced_chi2:.3f}")
    parts.append(f"{fit.solver}, converged" if fit.converged else f"{fit.solver or 'no solver'}, not converged")
    parts.append(f"sky {_value(fit.sky)}")
    return "    ".join(parts)


def rows(members: Sequence[int], fit: GroupFit, scale_arcsec: float) -> tuple[tuple[Word, ...], ...]:
    """Return the table under a picture: one row for each function, and one for the flags of a source if it has any.

    Parameters
    ----------
    members : sequence of int
        All sources of the group; those that were not fitted have a model from the user.
    fit : GroupFit
    scale_arcsec : float
        Pixel size of the stack.

    Returns
    -------
    tuple of rows
        Each row is a tuple of `Word`.
    """
    table: list[tuple[Word, ...]] = [tuple((-1, x, head) for head, x in COLUMNS.items())]
    fitted = {member.id: member for member in fit.members}
    for number, source in enumerate(members):
        own = (number, 0, str(source))
        if source not in fitted:
            table.append((own, (-1, COLUMNS["model"], "the user's own image")))
            continue
        member = fitted[source]
        functions = [function for block in member.blocks for function in block.functions]
        for order, function in enumerate(functions):
            chi2 = _chi2(member) if order == 0 else ()
            table.append((*((own,) if order == 0 else ()), *_function_words(function, scale_arcsec), *chi2))
        if member.flags:
            table.append(((-1, COLUMNS["model"], ", ".join(flag_words(member.flags))),))
    return tuple(table)


def flag_words(value: int) -> list[str]:
    """Return the names of all flags set in `value` as words, for example "fit on bound"."""
    return [name.replace("_", " ") for name in names(value)]


def _chi2(member: MemberFit) -> tuple[Word, ...]:
    return () if member.chi2_segment is None else ((-1, COLUMNS["chi2"], f"{member.chi2_segment:.2f}"),)


def _function_words(function: Function, scale_arcsec: float) -> list[Word]:
    """Return the cells of one function: the parameters of a Sersic in their columns, those of others in a row."""
    flux = function_flux(function)
    cells = [("model", function.name), ("flux", "" if flux is None else f"{flux:.4g}")]
    if function.name == "Sersic":
        r_e = function["r_e"]
        error = None if r_e.error is None else r_e.error * scale_arcsec
        in_arcsec = Parameter("r_e", r_e.value * scale_arcsec, fixed=r_e.fixed, error=error)
        cells += [("n", _value(function["n"])), ('r_e ["]', _value(in_arcsec))]
        cells += [("ell", _value(function["ell"])), ("PA [°]", _value(function["PA"], period=180.0))]
    elif function.name != "PointSource":
        cells.append(("n", "   ".join(f"{p.name} {_value(p)}" for p in function.parameters)))
    return [(-1, COLUMNS[column], text) for column, text in cells if text]


def _value(parameter: Parameter, period: float | None = None) -> str:
    """Return a value with its error to two digits, or with "fixed"; an angle is reduced to its `period`."""
    value = parameter.value % period if period else parameter.value
    if parameter.fixed:
        return f"{value:.4g} fixed"
    if not parameter.error or not math.isfinite(parameter.error):
        return f"{value:.4g}"
    digits = max(0, 1 - math.floor(math.log10(parameter.error)))
    return f"{value:.{digits}f} ± {parameter.error:.{digits}f}"
