"""Result of the fit of a group: models, errors, covariance and flags, as JSON and as IMFIT's configuration."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ..core.types import Box
from ..models.sersic import Sersic, total_flux
from .imfit_config import Block, Function, ImfitConfig, Parameter

if TYPE_CHECKING:
    from .group_data import GroupData

Matrix = tuple[tuple[float, ...], ...]


@dataclass(frozen=True)
class MemberFit:
    """The model of one source, positions in 0-based pixels of the detection image.

    Parameters
    ----------
    id : int
        The source.
    blocks : tuple of Block
        Best model: one Sersic profile, or the functions of the user override. Every parameter has an error, which is 0
        for fixed ones.
    start : tuple of Block
        Start values of this pass, with limits.
    automatic : tuple of Block
        Automatic start values from moments, with the user override applied; also the model where every fit failed.
    single : tuple of Block
        The fit of this source alone, the others masked; empty in a group of one.
    single_sky : float
        The background level in the fit of this source alone.
    one_profile : tuple of Block
        The best single profile of a source that is fitted as bulge and disc; empty for all others.
    flags : int
        Bits of `Flag`.
    chi2_segment : float or None
        Reduced chi2 over the source's own pixels; None after the first pass.
    covariance : matrix
        Covariance of `Block.parameters`, marginalised over the group and the sky; for one Sersic profile in the order
        X0, Y0, PA (deg), ell, n, I_e, r_e. Zero for fixed parameters; empty after the first pass and for a replaced
        model.
    """

    id: int
    blocks: tuple[Block, ...]
    start: tuple[Block, ...]
    automatic: tuple[Block, ...]
    single: tuple[Block, ...] = ()
    single_sky: float = 0.0
    one_profile: tuple[Block, ...] = ()
    flags: int = 0
    chi2_segment: float | None = None
    covariance: Matrix = ()

    @property
    def sersic(self) -> Sersic | None:
        """The profile if the model is a single Sersic function, else None."""
        return block_sersic(self.blocks[0]) if len(self.blocks) == 1 else None

    @property
    def components(self) -> tuple[Sersic, ...]:
        """The profiles if the model consists of Sersic functions with one centre, else none."""
        return block_profiles(self.blocks[0]) if len(self.blocks) == 1 else ()

    @property
    def is_bulge_and_disc(self) -> bool:
        """Whether the pixels have asked for a bulge and a disc instead of one profile."""
        return bool(self.one_profile)

    @property
    def flux(self) -> float:
        """Total flux in the units of the image; NaN if one of the functions has no known integral."""
        fluxes = [function_flux(function) for block in self.blocks for function in block.functions]
        return sum(math.nan if flux is None else flux for flux in fluxes)


@dataclass(frozen=True)
class GroupFit:
    """The fit of one group.

    Parameters
    ----------
    box : Box
        The cutout, in pixels of the detection image.
    members : tuple of MemberFit
        The sources in the order of the group.
    sky, sky_start : Parameter
        Background level, and its start value with limits.
    chi2 : float
        IMFIT's, the sum over the unmasked pixels; NaN where every model was replaced, or IMFIT was not used.
    n_pixels, n_free : int
        Number of unmasked pixels and of free parameters.
    converged : bool
        Whether the solver has converged.
    solver : str
        The solver of the best fit.
    evaluations : int
        Number of model images drawn.
    names : tuple of str
        Names of all parameters, such as "7.n"; the last is "sky".
    covariance : matrix
        Covariance in the order of `names`; empty after the first pass.
    exact_chi2 : float or None
        chi2 of the exact model, if its minimum has replaced IMFIT's result (`refinement`).
    seconds : float
        Processor time of the fit. It is neither compared nor stored, so that equal fits give equal files.
    by_imfit : GroupFit or None
        IMFIT's result, if the exact minimum has replaced it. Neither compared nor stored: it is in IMFIT's files.
    data : GroupData or None
        What the second pass has fitted, with the noise that stands for structure. Neither compared nor stored.
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
    exact_chi2: float | None = None
    seconds: float = field(default=0.0, compare=False)
    by_imfit: GroupFit | None = field(default=None, compare=False, repr=False)
    data: GroupData | None = field(default=None, compare=False, repr=False)

    @property
    def final_chi2(self) -> float:
        """chi2 of these models: exact if they have been refined, else IMFIT's."""
        return self.chi2 if self.exact_chi2 is None else self.exact_chi2

    @property
    def reduced_chi2(self) -> float:
        """chi2 of these models per degree of freedom; NaN without a fit or without degrees of freedom."""
        degrees = self.n_pixels - self.n_free
        return self.final_chi2 / degrees if degrees > 0 else float("nan")

    def member(self, id_: int) -> MemberFit:
        """Return the fit of one source."""
        return next(member for member in self.members if member.id == id_)

    def to_dict(self) -> dict[str, Any]:
        """Return plain lists, numbers and strings, from which `from_dict` restores the same fit exactly."""
        content = asdict(replace(self, members=(), by_imfit=None, data=None))
        del content["seconds"], content["by_imfit"], content["data"]
        content["box"] = [self.box.y0, self.box.x0, self.box.y1, self.box.x1]
        content["members"] = [_member_to_dict(member) for member in self.members]
        content["sky"], content["sky_start"] = _parameter_to_list(self.sky), _parameter_to_list(self.sky_start)
        return content

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> GroupFit:
        """Return the fit from the result of `to_dict`."""
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


BLOCK_FIELDS = ("blocks", "start", "automatic", "single", "one_profile")
"""Fields of `MemberFit` that contain blocks."""


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
    """Return the block from the result of `_block_to_dict`."""
    functions = tuple(Function(name, tuple(Parameter(*p) for p in inner)) for name, inner in content["functions"])
    y0, x0 = (None if content[key] is None else Parameter(*content[key]) for key in ("y0", "x0"))
    return Block(y0, x0, functions, content["id"])


def _parameter_to_list(parameter: Parameter) -> list[Any]:
    """Return the fields of a parameter in the order of `Parameter`."""
    p = parameter
    return [p.name, p.value, p.lower, p.upper, p.fixed, p.error]


def as_matrix(rows: Sequence[Sequence[float]] | np.ndarray) -> Matrix:
    """Return rows as tuples of Python floats."""
    return tuple(tuple(float(value) for value in row) for row in rows)


def sersic_block(sersic: Sersic, id_: int, *, max_offset: float, r_e_range: tuple[float, float]) -> Block:
    """Return a profile as a block with limits.

    ell is limited to 0 … 0.95, n to 0.1 … 8 and I_e to 0 … 1e6 times its start value. PA has no limits, so that it can
    pass through 0 in a fit.

    Parameters
    ----------
    sersic : Sersic
        Start values.
    id_ : int
        The source.
    max_offset : float
        Pixels by which the centre may move along each axis.
    r_e_range : (lower, upper)
        Limits of r_e in pixels.
    """
    p, function = sersic, Function("Sersic", sersic_parameters(sersic, r_e_range))
    y0 = Parameter("Y0", p.y, p.y - max_offset, p.y + max_offset)
    return Block(y0, Parameter("X0", p.x, p.x - max_offset, p.x + max_offset), (function,), id_)


def sersic_parameters(p: Sersic, r_e_range: tuple[float, float]) -> tuple[Parameter, ...]:
    """Return the parameters of a profile with the limits of `sersic_block`."""
    return (
        Parameter("PA", p.pa),
        Parameter("ell", p.ell, 0.0, 0.95).clipped(),
        Parameter("n", p.n, 0.1, 8.0).clipped(),
        Parameter("I_e", p.i_e, 0.0, 1e6 * p.i_e),
        Parameter("r_e", p.r_e, *r_e_range).clipped(),
    )


def block_sersic(block: Block) -> Sersic | None:
    """Return the profile of a block with a single Sersic function, or None for any other block."""
    if len(block.functions) != 1 or block.functions[0].name != "Sersic" or block.y0 is None or block.x0 is None:
        return None
    values = (parameter.value for parameter in block.functions[0].parameters)
    return Sersic(block.y0.value, block.x0.value, *values)


def block_profiles(block: Block) -> tuple[Sersic, ...]:
    """Return the profiles of a block of Sersic functions alone, or none for any other block."""
    profiles = [block_sersic(replace(block, functions=(function,))) for function in block.functions]
    return tuple(p for p in profiles if p is not None) if None not in profiles else ()


def function_flux(function: Function) -> float | None:
    """Return the total flux of a Sersic or PointSource function, or None for functions without a known integral."""
    if function.name == "Sersic":
        n, r_e, ell, i_e = (function[name].value for name in ("n", "r_e", "ell", "I_e"))
        return total_flux(n, r_e, ell, i_e)
    if function.name == "PointSource":
        return function["I_tot"].value
    return None


def start_config(fit: GroupFit) -> ImfitConfig:
    """Return the content of imfit_config.dat: start values and limits of this pass."""
    return _config([block for member in fit.members for block in member.start], fit.sky_start)


def best_config(fit: GroupFit) -> ImfitConfig:
    """Return the content of imfit_bestfit.dat: best-fit values and errors."""
    return _config([block for member in fit.members for block in member.blocks], fit.sky)


def single_configs(fit: GroupFit, id_: int) -> tuple[ImfitConfig, ImfitConfig]:
    """Return start values and best fit of a source fitted alone; those of the group if it has a single member."""
    member = fit.member(id_)
    if not member.single:
        return start_config(fit), best_config(fit)
    best = replace(fit.sky, value=member.single_sky, error=0.0)
    return _config(member.automatic, fit.sky_start), _config(member.single, best)


def _config(blocks: Sequence[Block], sky: Parameter) -> ImfitConfig:
    """Return the configuration of blocks and a flat sky, whose centre has no meaning."""
    centre = Parameter("Y0", 0.0, fixed=True), Parameter("X0", 0.0, fixed=True)
    if sky.error is not None:
        centre = replace(centre[0], error=0.0), replace(centre[1], error=0.0)
    return ImfitConfig((*blocks, Block(*centre, (Function("FlatSky", (sky,)),))))
