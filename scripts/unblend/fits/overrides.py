"""The user's word over a fit: overrides/{id}.dat.

Two forms. Parameter lines alone (`n 4 fixed`, `r_e 5 1,10`, `X0 812.3`) change the automatic Sersic start. With at
least one FUNCTION the file is the whole model: any functions of IMFIT around one or several centres. What a file
does not say stays automatic: a centre, and for Sersic and PointSource also values and limits. A best-fit file of a
whole group is such a model too: of its sources only the file's own is taken. X0, Y0 are 1-based pixels of
det_stack.fits, or of the group's cutout where the file says so (`directives`). Options (GAIN …) and sky functions are
ignored: the image's noise and the group's flat sky are not one source's affair.
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
from ..core.nouns import Box
from .imfit_config import OPTIONS, POSITIONS, SKY_FUNCTIONS, Block, Function, Line, Parameter, read_lines
from .imfit_loader import load_pyimfit
from .override_groups import split_directives

SERSIC = ("PA", "ell", "n", "I_e", "r_e")
POINT_SOURCE = "PointSource"
SIZES = frozenset({"n", "r_e", "h", "h1", "h2", "h_z", "z_0", "sigma", "sigma_r", "fwhm", "r_b", "r_c", "r_t", "a_bar"})
"""Parameters that must be above zero."""
THINNEST, SMALLEST = 0.99, 1e-3
"""Where a user's limits of ell and of sizes end: at 1 and at 0 there is no profile."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Override:
    """What a user's file says: `parameters` for the automatic Sersic, or whole `blocks`; one of them is empty.

    Positions are 0-based pixels of the detection image, or of the group's cutout (`in_cutout`). `source` names the
    file in messages. `of_a_group`: the blocks may be those of several sources, which only their places tell apart.
    """

    source: str
    parameters: tuple[Parameter, ...] = ()
    blocks: tuple[Block, ...] = ()
    in_cutout: bool = False
    of_a_group: bool = False

    def placed(self, box: Box) -> Override:
        """Return the override in pixels of the detection image; `box` is the group's cutout."""
        if not self.in_cutout:
            return self
        shifts = {"Y0": float(box.y0), "X0": float(box.x0)}
        moved = tuple(p.shifted(shifts.get(p.name, 0.0)) for p in self.parameters)
        blocks = tuple(block.shifted(box.y0, box.x0) for block in self.blocks)
        return replace(self, parameters=moved, blocks=blocks, in_cutout=False)

    def among(self, id_: int, centres: Mapping[int, tuple[float, float]]) -> Override:
        """Return the override with those blocks of a group's file that lie nearest to source `id_`.

        Raises
        ------
        OverrideError
            No block does.
        """
        if not self.of_a_group:
            return self
        own = []
        for block in self.blocks:
            at = (block.y0.value, block.x0.value) if block.y0 and block.x0 else centres[id_]
            if min(centres, key=lambda other: (math.dist(centres[other], at), other)) == id_:
                own.append(block)
        if not own:
            raise OverrideError(
                f"{self.source}: none of its {len(self.blocks)} centres is nearest to source {id_}; give the one that "
                f"is meant a comment, X0 … # ID={id_}."
            )
        return replace(self, blocks=tuple(own), of_a_group=False)


@functools.cache
def known_functions() -> dict[str, tuple[str, ...]]:
    """Return the parameter names of every function of IMFIT."""
    return {name: tuple(names) for name, names in load_pyimfit().imageFunctionDict.items()}


def parse_override(text: str, source: str) -> Override | None:
    """Return the content of overrides/{id}.dat; None where it says nothing.

    Raises
    ------
    OverrideError
        File, line, what was expected, what was found, the closest valid name.
    """
    directives, text = split_directives(text, source)
    lines = [line for line in read_lines(text, source, OverrideError) if not _is_option(line)]
    if not lines:
        return None
    if not any(line.function for line in lines):
        parameters = _read_parameters(lines, source, POSITIONS + SERSIC, "the automatic Sersic")
        found = Override(source, parameters)
    else:
        blocks, labelled = _own_blocks(_read_blocks(lines, source), source)
        of_a_group = directives.in_cutout and not labelled and len(blocks) > 1
        found = Override(source, blocks=blocks, of_a_group=of_a_group)
    found = replace(found, in_cutout=directives.in_cutout)
    return found.placed(Box(*directives.origin, *directives.origin)) if directives.origin else found


def _own_blocks(blocks: tuple[Block, ...], source: str) -> tuple[tuple[Block, ...], bool]:
    """Return the blocks of the file's own source, and whether comments such as `# ID=7` have told which they are."""
    ids = sorted({block.id for block in blocks if block.id is not None})
    name = re.search(r"(\d+)\.dat$", source)
    own = int(name.group(1)) if name else None
    if not ids or own is None:
        return blocks, False
    if own not in ids:
        raise OverrideError(f"{source}: expected the functions of source {own} (# ID={own}), found those of {ids}.")
    return tuple(block for block in blocks if block.id in (own, None)), True


def _is_option(line: Line) -> bool:
    """Whether the line is an option of the image, such as GAIN."""
    return line.parameter is not None and line.parameter.name in OPTIONS


def _read_parameters(lines: Iterable[Line], source: str, valid: tuple[str, ...], where: str) -> tuple[Parameter, ...]:
    """Return parameters whose names are in `valid`, each at most once, in the order of the file."""
    found: dict[str, Parameter] = {}
    for line in lines:
        parameter = line.parameter
        if parameter is None:
            continue
        if parameter.name not in valid:
            _complain(source, line.number, f"a parameter of {where}", parameter.name, valid)
        if parameter.name in found:
            raise OverrideError(f"{source}, line {line.number}: {parameter.name} is given twice; keep one line.")
        found[parameter.name] = _zero_based(_sensible(parameter, f"{source}, line {line.number}"))
    return tuple(found.values())


def _sensible(parameter: Parameter, place: str) -> Parameter:
    """Return the parameter with limits inside which there is a profile; its value must have one, too."""
    p = parameter
    if p.name == "ell" and not 0.0 <= p.value < 1.0:
        raise OverrideError(f"{place}: expected 0 ≤ ell < 1 (0 is round, 1 infinitely thin), found {p.value:g}.")
    if p.name in SIZES and p.value <= 0.0:
        raise OverrideError(f"{place}: expected {p.name} above 0, found {p.value:g}.")
    if p.lower is None or p.upper is None:
        return p
    if p.name == "ell":
        return replace(p, lower=max(p.lower, 0.0), upper=min(p.upper, max(THINNEST, p.value)))
    if p.name in SIZES:
        return replace(p, lower=max(p.lower, min(SMALLEST, p.value)))
    return p


def _zero_based(parameter: Parameter) -> Parameter:
    """Return X0, Y0 in 0-based pixels, and any parameter without the error of an earlier fit."""
    return replace(parameter.shifted(-1.0) if parameter.name in POSITIONS else parameter, error=None)


def _complain(source: str, number: int, expected: str, found: str, valid: Iterable[str]) -> None:
    """Raise an OverrideError that names the valid name closest to what was found."""
    names = list(valid)
    by_case = {name.lower(): name for name in names}
    close = difflib.get_close_matches(found.lower(), by_case, n=1, cutoff=0.4)
    hint = f"did you mean {by_case[close[0]]}?" if close else f"valid names: {', '.join(names)}."
    raise OverrideError(f"{source}, line {number}: expected {expected}, found '{found}'; {hint}")


def _read_blocks(lines: list[Line], source: str) -> tuple[Block, ...]:
    """Return whole blocks: X0 or Y0 after a function starts a new one."""
    pieces: list[tuple[list[Line], list[list[Line]]]] = [([], [])]
    for line in lines:
        is_position = line.parameter is not None and line.parameter.name in POSITIONS
        if is_position and pieces[-1][1]:
            pieces.append(([], []))
        if is_position:
            pieces[-1][0].append(line)
        elif line.function:
            pieces[-1][1].append([line])
        elif pieces[-1][1]:
            pieces[-1][1][-1].append(line)
        else:
            name = line.parameter.name if line.parameter else ""
            raise OverrideError(f"{source}, line {line.number}: expected FUNCTION before '{name}'.")
    if not pieces[-1][1]:
        raise OverrideError(f"{source}, line {lines[-1].number}: expected FUNCTION after X0, Y0, found the end.")
    blocks = []
    for centre, groups in pieces:
        position = {p.name: p for p in _read_parameters(centre, source, POSITIONS, "a centre")}
        functions = tuple(_read_function(group, source) for group in groups if group[0].function not in SKY_FUNCTIONS)
        if len(functions) < len(groups):
            log.info("%s: the sky functions are ignored, the group's sky is always fitted.", source)
        if functions:
            labels = [line.id for line in (*centre, *(group[0] for group in groups)) if line.id is not None]
            blocks.append(Block(position.get("Y0"), position.get("X0"), functions, labels[0] if labels else None))
    if not blocks:
        raise OverrideError(f"{source}: expected a function for the source, found sky functions only.")
    return tuple(blocks)


def _read_function(lines: list[Line], source: str) -> Function:
    """Return one function with the parameters that the file gives, in IMFIT's order."""
    name = lines[0].function or ""
    if name not in known_functions():
        _complain(source, lines[0].number, "a function of IMFIT", name, known_functions())
    names = known_functions()[name]
    given = _read_parameters(lines[1:], source, names, name)
    missing = [wanted for wanted in names if wanted not in {p.name for p in given}]
    if missing and name not in ("Sersic", POINT_SOURCE):
        raise OverrideError(f"{source}, line {lines[0].number}: {name} lacks {', '.join(missing)}; give a value.")
    return Function(name, tuple(sorted(given, key=lambda p: names.index(p.name))))


def apply_override(override: Override, automatic: Block, flux: float, box: Box) -> tuple[Block, ...]:
    """Return the blocks to fit for one source.

    Parameters
    ----------
    override : Override
        What the user says.
    automatic : Block
        The automatic Sersic with its limits, on the detection image.
    flux : float
        Automatic total flux, the start of a PointSource without I_tot.
    box : Box
        The cutout, which must hold every centre.

    Raises
    ------
    OverrideError
        A centre lies off the cutout.
    """
    override = override.placed(box)
    if override.parameters:
        said = {parameter.name: parameter for parameter in override.parameters}
        merged = (_merge(said.get(auto.name), auto) for auto in automatic.parameters)
        blocks: tuple[Block, ...] = (automatic.with_parameters(merged),)
    else:
        blocks = tuple(_complete(block, automatic, flux) for block in override.blocks)
    for block in blocks:
        _check_centre(block, box, override.source)
    return blocks


def _merge(said: Parameter | None, auto: Parameter) -> Parameter:
    """Return what the user says, with the automatic limits where none are given."""
    if said is None:
        return auto
    if said.fixed or said.lower is not None:
        return said
    return replace(auto, value=said.value).widened()


def _complete(block: Block, automatic: Block, flux: float) -> Block:
    """Return a user's block with the automatic centre, and values and limits of Sersic and PointSource."""
    if automatic.y0 is None or automatic.x0 is None:
        raise ValueError("the automatic block has a centre")
    y0, x0 = _merge(block.y0, automatic.y0), _merge(block.x0, automatic.x0)
    functions = []
    for function in block.functions:
        defaults: tuple[Parameter, ...] = ()
        if function.name == "Sersic":
            defaults = automatic.functions[0].parameters
        elif function.name == POINT_SOURCE:
            defaults = (Parameter("I_tot", flux, 0.0, max(1e4 * flux, 1.0)),)
        said = {parameter.name: parameter for parameter in function.parameters}
        merged = tuple(_merge(said.get(auto.name), auto) for auto in defaults)
        functions.append(Function(function.name, merged or function.parameters))
    return Block(y0, x0, tuple(functions), automatic.id)


def _check_centre(block: Block, box: Box, source: str) -> None:
    """Raise where the centre of a block is not on the cutout: most often a position in a cutout's own pixels."""
    if block.y0 is None or block.x0 is None:
        return
    y, x = block.y0.value, block.x0.value
    if not (box.y0 - 0.5 <= y <= box.y1 - 0.5 and box.x0 - 0.5 <= x <= box.x1 - 0.5):
        raise OverrideError(
            f"{source}: X0, Y0 are 1-based pixels of det_stack.fits, expected X0 in {box.x0 + 1}…{box.x1} and "
            f"Y0 in {box.y0 + 1}…{box.y1} for this source, found {x + 1:g}, {y + 1:g}."
        )
