"""Write the text of a commented overrides/{id}.dat with the present fit of a source, for a user to edit."""

from __future__ import annotations

from collections.abc import Sequence

from ..core.flags import names
from .imfit_config import Block, Parameter
from .result import MemberFit

MEANINGS = {
    "X0": "column of the centre, pixels of det_stack.fits (the first pixel is 1)",
    "Y0": "row of the centre",
    "PA": "position angle, degrees from +Y towards -X",
    "ell": "ellipticity 1 - b/a: 0 is round; 1 is infinitely thin and should be avoided",
    "n": "Sersic index: 0.5 Gaussian, 1 exponential disc, 4 elliptical or bulge",
    "I_e": "surface brightness at r_e, units of the stack per pixel",
    "r_e": "half-light radius along the major axis, pixels{size}; 0 should be avoided",
    "I_tot": "total flux, units of the stack",
    "I_0": "surface brightness at the centre, units of the stack per pixel",
    "h": "scale length along the major axis, pixels",
    "sigma": "width along the major axis, pixels",
}
"""Comment on each parameter. Lengths are in pixels of the detection stack, brightnesses in its units."""
HEAD = """\
Present fit of source {id} in group {group} ({company}): {state}
One line per parameter, in IMFIT's syntax. Delete the lines of parameters that you do not want to change; they are
then automatic.
  n 4            start value, with the automatic limits
  n 4 1,8        start value, with these limits
  n 4 fixed      fixed value
GROUP alone      (without the #) fits the source without the other sources of its group
GROUP with 12    (without the #) fits it together with source 12
The next run fits the group again. To return to the automatic fit, delete this file and run again."""
RECIPE = """\
For more than one function, replace the lines above by FUNCTION blocks; any function of IMFIT can be used. Parameters
that are not given for a Sersic or a PointSource are automatic. A bulge and a disc:
FUNCTION Sersic
n 4 fixed
r_e {bulge:.2f} {smallest:.2f},{disc:.2f}
FUNCTION Sersic
n 1 fixed
r_e {disc:.2f} {bulge:.2f},{largest:.2f}
A nucleus and a disc: FUNCTION PointSource, then FUNCTION Sersic. A star: only FUNCTION PointSource."""

BULGE_AND_DISC = """\
The bulge, which comes first, has a share of its own in every band. For a single profile, replace all lines from the
first FUNCTION on with one of a single profile, for example n 1.5 0.1,8."""


def starting_text(
    member: MemberFit, group: int, members: Sequence[int], *, pixel_scale_arcsec: float, note: str = ""
) -> str:
    """Return the text of overrides/{id}.dat, with present values, limits and the meaning of each parameter.

    Parameters
    ----------
    member : MemberFit
        The present fit.
    group : int
        Main source of its group.
    members : sequence of int
        All sources of the group.
    pixel_scale_arcsec : float
        Pixel scale of the stack.
    note : str
        An additional sentence for the comments at the top.
    """
    others = [str(i) for i in members if i != member.id]
    state = [] if member.chi2_segment is None else [f"reduced chi2 {member.chi2_segment:.2f} on its segment"]
    state += [", ".join(names(member.flags)) or "no flags"]
    head = HEAD.format(
        id=member.id,
        group=group,
        company="with " + ", ".join(others) if others else "alone",
        state="; ".join(state) + ".",
    )
    lines = [f"# {line}" for line in (head + ("\n" + note if note else "")).splitlines()]
    is_whole_model = len(member.blocks) > 1 or len(member.blocks[0].functions) > 1 or member.sersic is None
    for block, limits in zip(member.blocks, member.automatic, strict=True):
        lines += ["", *_block_lines(block, limits, is_whole_model, pixel_scale_arcsec)]
    if member.sersic is not None:
        r_e = max(member.sersic.r_e, 0.5)
        recipe = RECIPE.format(bulge=0.4 * r_e, disc=1.2 * r_e, smallest=0.05 * r_e, largest=6.0 * r_e)
        lines += ["", *(f"# {line}" for line in recipe.splitlines())]
    if member.is_bulge_and_disc:
        lines += ["", "COMPONENTS free", *(f"# {line}" for line in BULGE_AND_DISC.splitlines())]
    return "\n".join(lines) + "\n"


def _block_lines(block: Block, automatic: Block, is_whole_model: bool, pixel_scale_arcsec: float) -> list[str]:
    """Return the lines of one block, with FUNCTION lines if the model is not the automatic Sersic profile.

    Parameters
    ----------
    block : Block
        Present values, positions in 0-based pixels.
    automatic : Block
        The same block with the limits of the fit.
    is_whole_model : bool
        Write FUNCTION lines.
    pixel_scale_arcsec : float
        Pixel scale of the stack.
    """
    fitted, limits = block.shifted(1.0, 1.0), automatic.shifted(1.0, 1.0)
    lines = [
        _parameter_line(p, limit, pixel_scale_arcsec)
        for p, limit in ((fitted.x0, limits.x0), (fitted.y0, limits.y0))
        if p is not None and limit is not None
    ]
    for function, function_limits in zip(fitted.functions, limits.functions, strict=True):
        lines += [f"FUNCTION {function.name}"] if is_whole_model else []
        pairs = zip(function.parameters, function_limits.parameters, strict=True)
        lines += [_parameter_line(p, limit, pixel_scale_arcsec) for p, limit in pairs]
    return lines


def _parameter_line(parameter: Parameter, limits: Parameter, pixel_scale_arcsec: float) -> str:
    """Return one parameter line with the present value, the limits of the fit and, as a comment, the meaning."""
    text = f"{parameter.name} {parameter.value:.6g}"
    if limits.fixed:
        text += " fixed"
    elif limits.lower is not None and limits.upper is not None:
        value = float(f"{parameter.value:.6g}")
        text += f" {min(limits.lower, value):.6g},{max(limits.upper, value):.6g}"
    meaning = MEANINGS.get(parameter.name, "").format(size=f' of {pixel_scale_arcsec:.3g}"')
    error = "" if not parameter.error else f"± {parameter.error:.2g}; "
    return f"{text:<34s} # {error}{meaning}".rstrip(" #;")
