"""User overrides of a fit: read overrides/{id}.dat and apply it to the automatic model of a source.

A file has one of two forms. Parameter lines without FUNCTION (`n 4 fixed`, `r_e 5 1,10`, `X0 812.3`) change the start
values of the automatic Sersic profile. With at least one FUNCTION the file gives the whole model: any functions of
IMFIT around one or several centres. Whatever the file does not give is automatic: the centre, and for Sersic and
PointSource also values and limits. A best-fit file of a whole group can be used as well; only the functions of the
file's own source are taken from it. X0, Y0 are 1-based pixels of det_stack.fits, or of the group's cutout if the file
says so (`override_groups`). Options (GAIN …) and sky functions are ignored, because the noise of the image and the sky
of the group do not belong to a single source.
"""

from __future__ import annotations

import difflib
import functools
import logging
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from ..core.errors import OverrideError
from ..core.shown import shortened
from ..core.types import Box
from .imfit_config import OPTIONS, POSITIONS, SKY_FUNCTIONS, Block, Function, Line, Parameter, read_lines
from .imfit_loader import load_pyimfit
from .override_groups import split_directives

SERSIC_PARAMETERS = ("PA", "ell", "n", "I_e", "r_e")
"""Parameters of IMFIT's Sersic function."""
POINT_SOURCE = "PointSource"
"""IMFIT's function for a point source."""
POSITIVE_PARAMETERS = frozenset(
    {"n", "r_e", "h", "h1", "h2", "h_z", "z_0", "sigma", "sigma_r", "fwhm", "r_b", "r_c", "r_t", "a_bar"}
)
"""Parameters that must be above zero: sizes and the Sersic index."""
MAX_ELL_LIMIT = 0.99
"""Largest upper limit of ell: at 1 the profile is infinitely thin."""
MIN_SIZE_LIMIT = 1e-3
"""Smallest lower limit of sizes (pixels) and of the Sersic index: at 0 there is no profile."""

MAX_SIZE = 1e6
"""Largest size (pixels) and Sersic index: beyond any image, and within what the profiles can compute."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Override:
    """Content of a user's file: `parameters` of the automatic Sersic profile or whole `blocks`; one of them is empty.

    Parameters
    ----------
    source : str
        Name of the file, for messages.
    parameters : tuple of Parameter
        Positions in 0-based pixels of the detection image, or of the group's cutout if `in_cutout`.
    blocks : tuple of Block
        As for `parameters`.
    in_cutout : bool
        Positions are pixels of the group's cutout.
    from_group_file : bool
        The blocks may belong to several sources, without labels: only their positions tell them apart.
    free_components : bool
        The share of the first component in the flux is free in every band.
    """

    source: str
    parameters: tuple[Parameter, ...] = ()
    blocks: tuple[Block, ...] = ()
    in_cutout: bool = False
    from_group_file: bool = False
    free_components: bool = False

    def on_detection_image(self, box: Box) -> Override:
        """Return the override with positions in pixels of the detection image; `box` is the group's cutout."""
        if not self.in_cutout:
            return self
        offsets = {"Y0": float(box.y0), "X0": float(box.x0)}
        parameters = tuple(p.shifted(offsets.get(p.name, 0.0)) for p in self.parameters)
        blocks = tuple(block.shifted(box.y0, box.x0) for block in self.blocks)
        return replace(self, parameters=parameters, blocks=blocks, in_cutout=False)

    def restricted_to(self, id_: int, centres: Mapping[int, tuple[float, float]]) -> Override:
        """Return the override with only those blocks of a group's file that are nearest to one source.

        Parameters
        ----------
        id_ : int
            The source.
        centres : mapping of source to (y, x)
            Automatic positions of all members of the group, 0-based pixels of the detection image.

        Raises
        ------
        OverrideError
            No block is nearest to this source.
        """
        if not self.from_group_file:
            return self
        own = []
        for block in self.blocks:
            position = (block.y0.value, block.x0.value) if block.y0 and block.x0 else centres[id_]
            if min(centres, key=lambda other: (math.dist(centres[other], position), other)) == id_:
                own.append(block)
        if not own:
            raise OverrideError(
                f"{self.source}: none of the {len(self.blocks)} centres in the file is nearest to source {id_}. "
                f"Mark the right one with a comment, X0 … # ID={id_}."
            )
        return replace(self, blocks=tuple(own), from_group_file=False)


@functools.cache
def known_functions() -> dict[str, tuple[str, ...]]:
    """Return the names of all functions of IMFIT, each with its parameter names in IMFIT's order."""
    return {name: tuple(names) for name, names in load_pyimfit().imageFunctionDict.items()}


def parse_override(text: str, source: str) -> Override | None:
    """Return the content of overrides/{id}.dat, or None if it has no parameter and no function.

    Parameters
    ----------
    text : str
        Content of the file.
    source : str
        Name of the file, which ends in {id}.dat; for messages and to find the source's own functions.

    Raises
    ------
    OverrideError
        A line is not valid. The message gives file, line, what was expected, what was found and the closest valid name.
    """
    directives, text = split_directives(text, source)
    lines = [line for line in read_lines(text, source, OverrideError) if not _is_option(line)]
    if not lines:
        return None
    if not any(line.function for line in lines):
        parameters = _read_parameters(lines, source, POSITIONS + SERSIC_PARAMETERS, "the automatic Sersic")
        override = Override(source, parameters)
    else:
        blocks, labelled = _own_blocks(_read_blocks(lines, source), source)
        from_group_file = directives.in_cutout and not labelled and len(blocks) > 1
        override = Override(source, blocks=blocks, from_group_file=from_group_file)
    if directives.free_components and sum(len(block.functions) for block in override.blocks) < 2:
        raise OverrideError(f"{source}: COMPONENTS free needs two or more lines FUNCTION for this source.")
    override = replace(override, in_cutout=directives.in_cutout, free_components=directives.free_components)
    if directives.origin is None:
        return override
    return override.on_detection_image(Box(*directives.origin, *directives.origin))


def _own_blocks(blocks: tuple[Block, ...], source: str) -> tuple[tuple[Block, ...], bool]:
    """Return the blocks of the file's own source, and whether comments such as `# ID=7` identify them."""
    ids = sorted({block.id for block in blocks if block.id is not None})
    file_name = re.search(r"([0-9]{1,10})\.dat$", source)
    own = int(file_name.group(1)) if file_name else None
    if not ids or own is None:
        return blocks, False
    if own not in ids:
        raise OverrideError(f"{source}: expected the functions of source {own} (# ID={own}), found those of {ids}.")
    return tuple(block for block in blocks if block.id in (own, None)), True


def _is_option(line: Line) -> bool:
    """Return whether the line is an option of the image, such as GAIN."""
    return line.parameter is not None and line.parameter.name in OPTIONS


def _read_parameters(lines: Iterable[Line], source: str, valid: tuple[str, ...], where: str) -> tuple[Parameter, ...]:
    """Return the parameters of the lines in the order of the file.

    Parameters
    ----------
    lines : iterable of Line
        Parameter lines; others are ignored.
    source : str
        Name of the file, for messages.
    valid : tuple of str
        Allowed names, each at most once.
    where : str
        What the parameters belong to, for messages.
    """
    parameters: dict[str, Parameter] = {}
    for line in lines:
        parameter = line.parameter
        if parameter is None:
            continue
        if parameter.name not in valid:
            _raise_unknown_name(source, line.number, f"a parameter of {where}", parameter.name, valid)
        if parameter.name in parameters:
            raise OverrideError(f"{source}, line {line.number}: {parameter.name} is given twice; keep one line.")
        parameters[parameter.name] = _zero_based(_with_valid_limits(parameter, f"{source}, line {line.number}"))
    return tuple(parameters.values())


def _with_valid_limits(parameter: Parameter, place: str) -> Parameter:
    """Return the parameter with its limits reduced to values for which a profile exists.

    Raises
    ------
    OverrideError
        No profile exists for the value itself.
    """
    p = parameter
    if p.name == "ell" and not 0.0 <= p.value < 1.0:
        raise OverrideError(f"{place}: expected 0 ≤ ell < 1 (0 is round, 1 infinitely thin), found {p.value:g}.")
    if p.name in POSITIVE_PARAMETERS and p.value <= 0.0:
        raise OverrideError(f"{place}: expected {p.name} above 0, found {p.value:g}.")
    if p.name in POSITIVE_PARAMETERS and p.value > MAX_SIZE:
        raise OverrideError(f"{place}: expected {p.name} of at most {MAX_SIZE:g} (pixels), found {p.value:g}.")
    if p.lower is None or p.upper is None:
        return p
    if p.name == "ell":
        return replace(p, lower=max(p.lower, 0.0), upper=min(p.upper, max(MAX_ELL_LIMIT, p.value)))
    if p.name in POSITIVE_PARAMETERS:
        return replace(p, lower=max(p.lower, min(MIN_SIZE_LIMIT, p.value)))
    return p


def _zero_based(parameter: Parameter) -> Parameter:
    """Return the parameter with X0, Y0 in 0-based pixels and without the error of an earlier fit."""
    return replace(parameter.shifted(-1.0) if parameter.name in POSITIONS else parameter, error=None)


def _raise_unknown_name(source: str, number: int, expected: str, found: str, valid: Iterable[str]) -> None:
    """Raise an OverrideError that suggests the valid name closest to the one found."""
    names = list(valid)
    by_case = {name.lower(): name for name in names}
    close = difflib.get_close_matches(found[:80].lower(), by_case, n=1, cutoff=0.4)
    hint = f"did you mean {by_case[close[0]]}?" if close else f"valid names: {', '.join(names)}."
    raise OverrideError(f"{source}, line {number}: expected {expected}, found '{shortened(found)}'; {hint}")


def _read_blocks(lines: list[Line], source: str) -> tuple[Block, ...]:
    """Return the blocks of a whole model; X0 or Y0 after a function starts a new block."""
    # for each block the lines of its centre, and for each of its functions the FUNCTION line and its parameters
    lines_by_block: list[tuple[list[Line], list[list[Line]]]] = [([], [])]
    for line in lines:
        is_position = line.parameter is not None and line.parameter.name in POSITIONS
        if is_position and lines_by_block[-1][1]:
            lines_by_block.append(([], []))
        centre, functions_lines = lines_by_block[-1]
        if is_position:
            centre.append(line)
        elif line.function:
            functions_lines.append([line])
        elif functions_lines:
            functions_lines[-1].append(line)
        else:
            name = line.parameter.name if line.parameter else ""
            raise OverrideError(f"{source}, line {line.number}: expected FUNCTION before '{shortened(name)}'.")
    if not lines_by_block[-1][1]:
        raise OverrideError(
            f"{source}, line {lines[-1].number}: expected FUNCTION after X0, Y0, found the end of the file."
        )
    blocks = []
    for centre, functions_lines in lines_by_block:
        position = {p.name: p for p in _read_parameters(centre, source, POSITIONS, "a centre")}
        functions = tuple(
            _read_function(function_lines, source)
            for function_lines in functions_lines
            if function_lines[0].function not in SKY_FUNCTIONS
        )
        if len(functions) < len(functions_lines):
            log.info("%s: sky functions are ignored because the sky of the group is always fitted.", source)
        if functions:
            first_lines = (*centre, *(function_lines[0] for function_lines in functions_lines))
            labels = [line.id for line in first_lines if line.id is not None]
            blocks.append(Block(position.get("Y0"), position.get("X0"), functions, labels[0] if labels else None))
    if not blocks:
        raise OverrideError(f"{source}: expected a function that describes the source, found only sky functions.")
    return tuple(blocks)


def _read_function(lines: list[Line], source: str) -> Function:
    """Return one function with the parameters that the file gives, in IMFIT's order."""
    name = lines[0].function or ""
    if name not in known_functions():
        _raise_unknown_name(source, lines[0].number, "a function of IMFIT", name, known_functions())
    names = known_functions()[name]
    given = _read_parameters(lines[1:], source, names, name)
    missing = [needed for needed in names if needed not in {p.name for p in given}]
    if missing and name not in ("Sersic", POINT_SOURCE):
        raise OverrideError(
            f"{source}, line {lines[0].number}: {name} lacks {', '.join(missing)}; give a value for each of them."
        )
    return Function(name, tuple(sorted(given, key=lambda p: names.index(p.name))))


def apply_override(override: Override, automatic: Block, flux: float, box: Box) -> tuple[Block, ...]:
    """Return the blocks of one source with the user override applied to its automatic model.

    Parameters
    ----------
    override : Override
        The user override.
    automatic : Block
        The automatic Sersic profile with its limits, on the detection image.
    flux : float
        Automatic total flux, the start value of a PointSource without I_tot.
    box : Box
        The group's cutout, which must contain every centre.

    Raises
    ------
    OverrideError
        A centre lies off the cutout.
    """
    override = override.on_detection_image(box)
    if override.parameters:
        given = {parameter.name: parameter for parameter in override.parameters}
        merged = (_merge(given.get(auto.name), auto) for auto in automatic.parameters)
        blocks: tuple[Block, ...] = (automatic.with_parameters(merged),)
    else:
        blocks = tuple(_complete(block, automatic, flux) for block in override.blocks)
    for block in blocks:
        _check_centre(block, box, override.source)
    return blocks


def _merge(given: Parameter | None, automatic: Parameter) -> Parameter:
    """Return the parameter that the user gives, with the automatic limits where the user gives none."""
    if given is None:
        return automatic
    if given.fixed or given.lower is not None:
        return given
    return replace(automatic, value=given.value).widened()


def _complete(block: Block, automatic: Block, flux: float) -> Block:
    """Return a user's block completed with the automatic centre, values and limits.

    Values and limits are completed for Sersic and PointSource functions only.

    Parameters
    ----------
    block : Block
        The block of the user's file.
    automatic : Block
        The automatic Sersic profile with its limits.
    flux : float
        Automatic total flux, the start value of a PointSource without I_tot.
    """
    if automatic.y0 is None or automatic.x0 is None:
        raise ValueError(f"the automatic block of source {automatic.id} has no centre")
    y0, x0 = _merge(block.y0, automatic.y0), _merge(block.x0, automatic.x0)
    functions = []
    for function in block.functions:
        defaults: tuple[Parameter, ...] = ()
        if function.name == "Sersic":
            defaults = automatic.functions[0].parameters
        elif function.name == POINT_SOURCE:
            defaults = (Parameter("I_tot", flux, 0.0, max(1e4 * flux, 1.0)),)
        given = {parameter.name: parameter for parameter in function.parameters}
        merged = tuple(_merge(given.get(auto.name), auto) for auto in defaults)
        functions.append(Function(function.name, merged or function.parameters))
    return Block(y0, x0, tuple(functions), automatic.id)


def _check_centre(block: Block, box: Box, source: str) -> None:
    """Raise an OverrideError if the centre of a block is off the cutout, often a position in pixels of the cutout."""
    if block.y0 is None or block.x0 is None:
        return
    y, x = block.y0.value, block.x0.value
    if not (box.y0 - 0.5 <= y <= box.y1 - 0.5 and box.x0 - 0.5 <= x <= box.x1 - 0.5):
        raise OverrideError(
            f"{source}: X0, Y0 are 1-based pixels of det_stack.fits, expected X0 in {box.x0 + 1}…{box.x1} and "
            f"Y0 in {box.y0 + 1}…{box.y1} for this source, found {x + 1:g}, {y + 1:g}."
        )
