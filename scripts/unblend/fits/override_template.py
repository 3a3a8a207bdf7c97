"""A commented overrides/{id}.dat to start from, made from the present fit of a source."""

from __future__ import annotations

from collections.abc import Sequence

from ..core.flags import names
from .imfit_config import Block, Parameter
from .result import MemberFit

MEANINGS = {
    "X0": "column of the centre, pixels of det_stack.fits (the first pixel is 1)",
    "Y0": "row of the centre",
    "PA": "position angle, degrees from +Y towards -X",
    "ell": "ellipticity 1 - b/a: 0 is round; 1 is infinitely thin and to be avoided",
    "n": "Sersic index: 0.5 Gaussian, 1 exponential disc, 4 elliptical or bulge",
    "I_e": "surface brightness at r_e, units of the stack per pixel",
    "r_e": "half-light radius along the major axis, pixels{size}; 0 is to be avoided",
    "I_tot": "total flux, units of the stack",
    "I_0": "surface brightness at the centre, units of the stack per pixel",
    "h": "scale length along the major axis, pixels",
    "sigma": "width along the major axis, pixels",
}
HEAD = """\
Source {id}, fitted in group {group} ({company}), as it is now: {state}
One line a parameter, in IMFIT's syntax. Delete the lines of what you do not want to change: it stays automatic.
  n 4            the fit starts here, within the automatic limits
  n 4 1,8        and within these limits
  n 4 fixed      the fit does not touch it
GROUP alone      (a line without the #) fits the source without the others of its group
GROUP with 12    fits it together with source 12
The next run fits the group anew, nothing else has to be done. Delete this file to go back."""
RECIPE = """\
More than one function: whole FUNCTION blocks in place of the lines above; any function of IMFIT. What a Sersic or a
PointSource does not say is automatic. A bulge and a disc:
FUNCTION Sersic
n 4 fixed
r_e {bulge:.2f} {smallest:.2f},{disc:.2f}
FUNCTION Sersic
n 1 fixed
r_e {disc:.2f} {bulge:.2f},{largest:.2f}
A nucleus and a disc: FUNCTION PointSource, then FUNCTION Sersic. A star: FUNCTION PointSource alone."""


def starting_text(
    member: MemberFit, group: int, members: Sequence[int], *, pixel_scale_arcsec: float, note: str = ""
) -> str:
    """Return the text of overrides/{id}.dat: present values and limits, each with its meaning.

    Parameters
    ----------
    member : MemberFit
        The present fit.
    group : int
        Main source of its group.
    members : sequence of int
        All sources of the group.
    pixel_scale_arcsec : float
        Of the stack.
    note : str
        One more sentence for the head.
    """
    others = [str(i) for i in members if i != member.id]
    words = [] if member.chi2_segment is None else [f"reduced chi2 {member.chi2_segment:.2f} on its segment"]
    words += [", ".join(names(member.flags)) or "no flags"]
    head = HEAD.format(
        id=member.id,
        group=group,
        company="with " + ", ".join(others) if others else "alone",
        state="; ".join(words) + ".",
    )
    lines = [f"# {line}" for line in (head + ("\n" + note if note else "")).splitlines()]
    whole = len(member.blocks) > 1 or len(member.blocks[0].functions) > 1 or member.sersic is None
    for block, limits in zip(member.blocks, member.automatic, strict=True):
        lines += ["", *_block_lines(block, limits, whole=whole, pixel_scale_arcsec=pixel_scale_arcsec)]
    if member.sersic is not None:
        r_e = max(member.sersic.r_e, 0.5)
        recipe = RECIPE.format(bulge=0.4 * r_e, disc=1.2 * r_e, smallest=0.05 * r_e, largest=6.0 * r_e)
        lines += ["", *(f"# {line}" for line in recipe.splitlines())]
    return "\n".join(lines) + "\n"


def _block_lines(block: Block, limits: Block, *, whole: bool, pixel_scale_arcsec: float) -> list[str]:
    """Return the lines of one centre; FUNCTION lines where the model is not the automatic Sersic."""
    moved, bounds = block.shifted(1.0, 1.0), limits.shifted(1.0, 1.0)
    lines = [
        _line(p, b, pixel_scale_arcsec)
        for p, b in ((moved.x0, bounds.x0), (moved.y0, bounds.y0))
        if p is not None and b is not None
    ]
    for function, allowed in zip(moved.functions, bounds.functions, strict=True):
        lines += [f"FUNCTION {function.name}"] if whole else []
        pairs = zip(function.parameters, allowed.parameters, strict=True)
        lines += [_line(p, b, pixel_scale_arcsec) for p, b in pairs]
    return lines


def _line(parameter: Parameter, limits: Parameter, pixel_scale_arcsec: float) -> str:
    """Return one line: the present value, the limits of the fit, the meaning."""
    text = f"{parameter.name} {parameter.value:.6g}"
    if limits.fixed:
        text += " fixed"
    elif limits.lower is not None and limits.upper is not None:
        value = float(f"{parameter.value:.6g}")
        text += f" {min(limits.lower, value):.6g},{max(limits.upper, value):.6g}"
    meaning = MEANINGS.get(parameter.name, "").format(size=f' of {pixel_scale_arcsec:.3g}"')
    error = "" if not parameter.error else f"± {parameter.error:.2g}; "
    return f"{text:<34s} # {error}{meaning}".rstrip(" #;")
