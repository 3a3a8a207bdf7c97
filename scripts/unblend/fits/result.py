"""What a fit of a group leaves behind: models, errors, covariance, flags; as JSON and as IMFIT's text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np

from ..core.nouns import Box
from ..models.sersic import Sersic, total_flux
from .imfit_config import Block, Function, ImfitConfig, Parameter

Matrix = tuple[tuple[float, ...], ...]


@dataclass(frozen=True)
class MemberFit:
    """The model of one source, positions in 0-based pixels of the detection image.

    Parameters
    ----------
    id : int
        The source.
    blocks : tuple of Block
        Best model: one Sersic, or what the user's override says. Every parameter has an error (0 where held).
    start : tuple of Block
        Where this pass started, with limits.
    automatic : tuple of Block
        The start from moments and override: also the model where every fit failed.
    single : tuple of Block
        The fit of this source alone, the others masked; empty in a group of one.
    single_sky : float
        The flat sky of that fit.
    flags : int
        Bits of `Flag`.
    chi2_segment : float or None
        Reduced chi2 over the source's own pixels; None after the first pass.
    covariance : matrix
        Of `Block.parameters`, marginal over the group and the sky; for one Sersic in the order X0, Y0, PA (deg),
        ell, n, I_e, r_e. Zero for what was held; empty after the first pass and for a replaced model.
    """

    id: int
    blocks: tuple[Block, ...]
    start: tuple[Block, ...]
    automatic: tuple[Block, ...]
    single: tuple[Block, ...] = ()
    single_sky: float = 0.0
    flags: int = 0
    chi2_segment: float | None = None
    covariance: Matrix = ()

    @property
    def sersic(self) -> Sersic | None:
        """The profile where the model is one Sersic."""
        return block_sersic(self.blocks[0]) if len(self.blocks) == 1 else None


@dataclass(frozen=True)
class GroupFit:
    """The fit of one group: `members` in the order of the group, flat `sky`, quality of the fit.

    chi2 is NaN where every model was replaced. `covariance` is of all parameters and the sky, in the order of
    `names` ("7.n"; "sky" last). `seconds` is the processor time it took: it takes no part in
    comparisons and is not stored, so that equal fits make equal files.
    """

    box: Box
    members: tuple[MemberFit, ...]
    sky: Parameter
    sky_start: Parameter
    chi2: float
    n_pixels: int
    n_free: int
    converged: bool
    solver: str
    evaluations: int
    names: tuple[str, ...] = ()
    covariance: Matrix = ()
    seconds: float = field(default=0.0, compare=False)

    @property
    def reduced_chi2(self) -> float:
        """chi2 per degree of freedom; NaN without a fit."""
        degrees = self.n_pixels - self.n_free
        return self.chi2 / degrees if degrees > 0 else float("nan")

    def member(self, id_: int) -> MemberFit:
        """Return the fit of one source."""
        return next(member for member in self.members if member.id == id_)

    def to_dict(self) -> dict[str, Any]:
        """Return plain lists, numbers and strings; through JSON and `from_dict` every bit survives."""
        content = asdict(replace(self, members=()))
        del content["seconds"]
        content["box"] = [self.box.y0, self.box.x0, self.box.y1, self.box.x1]
        content["members"] = [_member_to_dict(member) for member in self.members]
        content["sky"], content["sky_start"] = _parameter_to_list(self.sky), _parameter_to_list(self.sky_start)
        return content

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> GroupFit:
        """Return the fit that `to_dict` wrote."""
        return cls(
            **{
                **content,
                "box": Box(*content["box"]),
                "members": tuple(_member_from_dict(member) for member in content["members"]),
                "sky": Parameter(*content["sky"]),
                "sky_start": Parameter(*content["sky_start"]),
                "names": tuple(content["names"]),
                "covariance": as_matrix(content["covariance"]),
            }
        )


BLOCK_FIELDS = ("blocks", "start", "automatic", "single")


def _member_to_dict(member: MemberFit) -> dict[str, Any]:
    """Return a member as plain lists and numbers."""
    content = {name: getattr(member, name) for name in MemberFit.__dataclass_fields__}
    for name in BLOCK_FIELDS:
        content[name] = [_block_to_dict(block) for block in content[name]]
    content["covariance"] = [list(row) for row in member.covariance]
    return content


def _member_from_dict(content: dict[str, Any]) -> MemberFit:
    """Return the member that `_member_to_dict` wrote."""
    blocks = {name: tuple(_block_from_dict(block) for block in content[name]) for name in BLOCK_FIELDS}
    return MemberFit(**{**content, **blocks, "covariance": as_matrix(content["covariance"])})


def _block_to_dict(block: Block) -> dict[str, Any]:
    """Return a block as plain lists and numbers."""
    functions = [[f.name, [_parameter_to_list(p) for p in f.parameters]] for f in block.functions]
    y0, x0 = (None if p is None else _parameter_to_list(p) for p in (block.y0, block.x0))
    return {"id": block.id, "y0": y0, "x0": x0, "functions": functions}


def _block_from_dict(content: dict[str, Any]) -> Block:
    """Return the block that `_block_to_dict` wrote."""
    functions = tuple(Function(name, tuple(Parameter(*p) for p in inner)) for name, inner in content["functions"])
    y0, x0 = (None if content[key] is None else Parameter(*content[key]) for key in ("y0", "x0"))
    return Block(y0, x0, functions, content["id"])


def _parameter_to_list(parameter: Parameter) -> list[Any]:
    """Return the fields in the order of `Parameter`."""
    p = parameter
    return [p.name, p.value, p.lower, p.upper, p.fixed, p.error]


def as_matrix(rows: Sequence[Sequence[float]] | np.ndarray) -> Matrix:
    """Return rows as tuples of Python floats."""
    return tuple(tuple(float(value) for value in row) for row in rows)


def sersic_block(sersic: Sersic, id_: int, *, move: float, r_e_range: tuple[float, float]) -> Block:
    """Return a profile as a block with limits.

    Position ± `move` pixels, r_e in `r_e_range` pixels, ell 0 … 0.95, n 0.1 … 8, I_e 0 … 1e6 times its start.
    PA is free, so that a fit can turn through 0.
    """
    p = sersic
    parameters = (
        Parameter("PA", p.pa),
        Parameter("ell", p.ell, 0.0, 0.95).clipped(),
        Parameter("n", p.n, 0.1, 8.0).clipped(),
        Parameter("I_e", p.i_e, 0.0, 1e6 * p.i_e),
        Parameter("r_e", p.r_e, *r_e_range).clipped(),
    )
    y0 = Parameter("Y0", p.y, p.y - move, p.y + move)
    return Block(y0, Parameter("X0", p.x, p.x - move, p.x + move), (Function("Sersic", parameters),), id_)


def block_sersic(block: Block) -> Sersic | None:
    """Return the profile of a block of one Sersic function, None for any other."""
    if len(block.functions) != 1 or block.functions[0].name != "Sersic" or block.y0 is None or block.x0 is None:
        return None
    values = (parameter.value for parameter in block.functions[0].parameters)
    return Sersic(block.y0.value, block.x0.value, *values)


def function_flux(function: Function) -> float | None:
    """Return the total light of a Sersic or PointSource; None for functions that we do not integrate."""
    if function.name == "Sersic":
        n, r_e, ell, i_e = (function[name].value for name in ("n", "r_e", "ell", "I_e"))
        return total_flux(n, r_e, ell, i_e)
    if function.name == "PointSource":
        return function["I_tot"].value
    return None


def start_config(fit: GroupFit) -> ImfitConfig:
    """Return imfit_config.dat of this pass."""
    return _config([block for member in fit.members for block in member.start], fit.sky_start)


def best_config(fit: GroupFit) -> ImfitConfig:
    """Return imfit_bestfit.dat."""
    return _config([block for member in fit.members for block in member.blocks], fit.sky)


def single_configs(fit: GroupFit, id_: int) -> tuple[ImfitConfig, ImfitConfig]:
    """Return start and best fit of a source alone; those of the group where it has one member."""
    member = fit.member(id_)
    if not member.single:
        return start_config(fit), best_config(fit)
    best = replace(fit.sky, value=member.single_sky, error=0.0)
    return _config(member.automatic, fit.sky_start), _config(member.single, best)


def _config(blocks: Sequence[Block], sky: Parameter) -> ImfitConfig:
    """Return blocks and a flat sky, whose centre means nothing."""
    centre = Parameter("Y0", 0.0, fixed=True), Parameter("X0", 0.0, fixed=True)
    if sky.error is not None:
        centre = replace(centre[0], error=0.0), replace(centre[1], error=0.0)
    return ImfitConfig((*blocks, Block(*centre, (Function("FlatSky", (sky,)),))))
