"""Read and write the text of IMFIT's configuration files.

A file contains options (`GAIN 4.5`) and then blocks: `X0`, `Y0` and one or more `FUNCTION` lines, each followed by its
parameter lines `name value [lower,upper | fixed]`. The writer adds two comments, `# ID=7` after X0, which IMFIT
ignores, and `# LABEL ID=7` after the function, which IMFIT copies into its results. IMFIT's own `# +/- error` is read
and written too. pyimfit's own reader and writer are not used: the reader fails on two blocks without an option before
them, so that one that changes nothing is written, and the writer loses `fixed` and writes errors in the wrong lines.

Positions in the objects are 0-based pixels of the detection image. In the text they are 1-based pixels of a cutout
whose first pixel is `origin`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from ..core.errors import InputError
from ..core.shown import shortened

OPTIONS = ("GAIN", "READNOISE", "EXPTIME", "NCOMBINED", "ORIGINAL_SKY")
"""Options of the image that may precede the blocks."""
NO_OPTION = {"ORIGINAL_SKY": 0.0}
"""IMFIT's default, written before several blocks: without an option pyimfit takes the first block for options."""
POSITIONS = ("X0", "Y0")
"""Parameters of the centre of a block."""
SKY_FUNCTIONS = ("FlatSky", "TiltedSkyPlane")
"""IMFIT's functions that describe the background and no source."""
PARAMETER_FORM = "a line such as 'n 4', 'n 4 1,8' or 'n 4 fixed'"
"""The form of a parameter line, for messages."""


@dataclass(frozen=True)
class Parameter:
    """A named value that is free between its limits (None: without limits) or fixed, and its error after a fit."""

    name: str
    value: float
    lower: float | None = None
    upper: float | None = None
    fixed: bool = False
    error: float | None = None

    @property
    def on_bound(self) -> bool:
        """Whether a free value lies on a limit, to within 1e-9 of the range."""
        if self.fixed or self.lower is None or self.upper is None:
            return False
        close = 1e-9 * (self.upper - self.lower)
        return self.value - self.lower <= close or self.upper - self.value <= close

    @property
    def fixed_or_on_bound(self) -> bool:
        """Whether the value is fixed or lies on a limit, so that the fit could not vary it freely."""
        return self.fixed or self.on_bound

    def clipped(self) -> Parameter:
        """Return the parameter with its value moved into its limits."""
        if self.lower is None or self.upper is None:
            return self
        return replace(self, value=min(max(self.value, self.lower), self.upper))

    def widened(self) -> Parameter:
        """Return the parameter with its limits extended to include its value."""
        if self.lower is None or self.upper is None:
            return self
        return replace(self, lower=min(self.lower, self.value), upper=max(self.upper, self.value))

    def shifted(self, offset: float) -> Parameter:
        """Return the parameter with `offset` added to its value and its limits."""
        lower = None if self.lower is None else self.lower + offset
        upper = None if self.upper is None else self.upper + offset
        return replace(self, value=self.value + offset, lower=lower, upper=upper)


@dataclass(frozen=True)
class Function:
    """One image function of IMFIT and its parameters, in IMFIT's order."""

    name: str
    parameters: tuple[Parameter, ...]

    def __getitem__(self, name: str) -> Parameter:
        """Return the parameter called `name`."""
        return next(parameter for parameter in self.parameters if parameter.name == name)


@dataclass(frozen=True)
class Block:
    """Functions with a common centre of the source `id`. `y0` or `x0` is None where a user's file does not give it."""

    y0: Parameter | None
    x0: Parameter | None
    functions: tuple[Function, ...]
    id: int | None = None

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        """All parameters in IMFIT's order: X0, Y0, then those of each function."""
        centre = tuple(position for position in (self.x0, self.y0) if position is not None)
        return centre + tuple(parameter for function in self.functions for parameter in function.parameters)

    def with_parameters(self, parameters: Iterable[Parameter]) -> Block:
        """Return the block with all parameters replaced, given in the order of `parameters`."""
        remaining = iter(parameters)
        x0 = next(remaining) if self.x0 is not None else None
        y0 = next(remaining) if self.y0 is not None else None
        functions = tuple(Function(f.name, tuple(next(remaining) for _ in f.parameters)) for f in self.functions)
        return Block(y0, x0, functions, self.id)

    def shifted(self, dy: float, dx: float) -> Block:
        """Return the block with its centre and the limits of it shifted, in pixels."""
        y0 = None if self.y0 is None else self.y0.shifted(dy)
        x0 = None if self.x0 is None else self.x0.shifted(dx)
        return replace(self, y0=y0, x0=x0)


Blocks = tuple[Block, ...]


@dataclass(frozen=True)
class ImfitConfig:
    """Content of a configuration file: options of the image and blocks of functions."""

    blocks: Blocks
    options: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Line:
    """One line that is not empty or a comment: an option or parameter, or (`function`) the start of a function."""

    number: int
    parameter: Parameter | None = None
    function: str | None = None
    id: int | None = None


def read_lines(text: str, source: str, error: type[InputError] = InputError) -> list[Line]:
    """Return the lines of a text in IMFIT's syntax without empty lines and comments.

    Parameters
    ----------
    text : str
        Content of the file.
    source : str
        Name of the file, for messages.
    error : subclass of InputError
        The exception to raise.

    Raises
    ------
    InputError (or the given subclass)
        A line does not follow the syntax. The message gives file, line, what was expected and what was found.
    """
    lines = []
    for number, raw in enumerate(text.splitlines(), start=1):
        content, _, comment = raw.partition("#")
        if not content.strip():
            continue
        try:
            lines.append(_read_line(number, content.split(), comment))
        except ValueError as problem:
            raise error(f"{source}, line {number}: expected {problem}, found '{shortened(raw.strip())}'.") from None
    return lines


def _read_line(number: int, words: list[str], comment: str) -> Line:
    """Return one line; raise a ValueError that says what was expected."""
    label = re.search(r"\bID\s*=\s*([0-9]{1,10})\b", comment)
    id_ = int(label.group(1)) if label else None
    if words[0] == "FUNCTION":
        if len(words) != 2:
            raise ValueError("'FUNCTION' and one name")
        return Line(number, function=words[1], id=id_)
    if len(words) < 2:
        raise ValueError(PARAMETER_FORM)
    lower, upper, fixed = _read_limits("".join(words[2:]))
    parameter = Parameter(words[0], _number(words[1]), lower, upper, fixed, _read_error(comment))
    if lower is not None and upper is not None and not lower < upper:
        raise ValueError(f"a lower limit below the upper one ({lower:g} and {upper:g} given)")
    if lower is not None and upper is not None and not lower <= parameter.value <= upper:
        raise ValueError(f"a value inside its limits {lower:g},{upper:g}")
    return Line(number, parameter=parameter, id=id_)


def _read_limits(text: str) -> tuple[float | None, float | None, bool]:
    """Return (lower, upper, fixed) from the text after a value."""
    if text in ("", "fixed"):
        return None, None, text == "fixed"
    limits = text.split(",")
    if len(limits) != 2:
        raise ValueError(PARAMETER_FORM)
    return _number(limits[0]), _number(limits[1]), False


def _read_error(comment: str) -> float | None:
    """Return the error that IMFIT writes as `# +/- 0.1` (it writes 0 for fixed parameters)."""
    found = re.match(r"\s*\+/-\s*(\S+)", comment)
    try:
        return float(found.group(1)) if found else None
    except ValueError:
        return None


def _number(word: str) -> float:
    """Return a finite number."""
    try:
        value = float(word)
    except ValueError:
        raise ValueError(PARAMETER_FORM) from None
    if value - value != 0:
        raise ValueError("a finite number")
    return value


def parse_config(text: str, source: str = "IMFIT file", origin: tuple[int, int] = (0, 0)) -> ImfitConfig:
    """Return the content of an IMFIT configuration or best-fit file.

    Parameters
    ----------
    text : str
        Content of the file.
    source : str
        Name of the file, for messages.
    origin : (y, x)
        0-based position on the detection image of the cutout's first pixel.

    Raises
    ------
    InputError
        A line does not follow the syntax, or is in the wrong place.
    """
    options: dict[str, float] = {}
    centres: list[list[Line]] = []
    functions: list[list[tuple[str, list[Parameter]]]] = []
    ids: list[int | None] = []
    for line in read_lines(text, source):
        name = line.parameter.name if line.parameter else ""
        if name == "X0":
            centres.append([line])
            functions.append([])
            ids.append(line.id)
        elif name == "Y0" and centres and len(centres[-1]) == 1 and not functions[-1]:
            centres[-1].append(line)
        elif line.function and centres and len(centres[-1]) == 2:
            functions[-1].append((line.function, []))
            ids[-1] = ids[-1] if ids[-1] is not None else line.id
        elif line.parameter and not centres and name in OPTIONS:
            options[name] = line.parameter.value
        elif line.parameter and functions and functions[-1] and name not in POSITIONS:
            functions[-1][-1][1].append(line.parameter)
        else:
            found = name or "FUNCTION"
            raise InputError(
                f"{source}, line {line.number}: '{found}' is in the wrong place; expected the order X0, Y0, FUNCTION."
            )
    parts = zip(centres, functions, ids, strict=True)
    blocks = (_block(centre, inner, id_, origin) for centre, inner, id_ in parts if inner)
    return ImfitConfig(tuple(blocks), options)


def _block(
    centre: list[Line], functions: list[tuple[str, list[Parameter]]], id_: int | None, origin: tuple[int, int]
) -> Block:
    """Return a block in pixels of the detection image."""
    x0, y0 = (line.parameter for line in centre)
    built = tuple(Function(name, tuple(parameters)) for name, parameters in functions)
    return Block(y0, x0, built, id_).shifted(origin[0] - 1.0, origin[1] - 1.0)


def format_config(config: ImfitConfig, origin: tuple[int, int] = (0, 0), *, header: str = "") -> str:
    """Return the text of `config`, with enough digits that every number is read back as the same float64.

    Parameters
    ----------
    config : ImfitConfig
        Values with an error are written as results (`# +/- error` without limits, as imfit does), all others as
        start values with their limits.
    origin : (y, x)
        0-based position on the detection image of the cutout's first pixel.
    header : str
        Comment lines at the top of the file.

    Raises
    ------
    ValueError
        A block has no centre.
    """
    lines = [f"# {line}" for line in header.splitlines()]
    options = config.options or (NO_OPTION if len(config.blocks) > 1 else {})
    lines += [f"{name} {value!r}" for name, value in options.items()]
    for block in config.blocks:
        in_cutout = block.shifted(1.0 - origin[0], 1.0 - origin[1])
        lines += ["", _format_parameter(in_cutout.x0, in_cutout.id), _format_parameter(in_cutout.y0)]
        for function in block.functions:
            # imfit copies the label of a function into its results, but no other comment
            label = "" if block.id is None else f"  # LABEL ID={block.id}"
            lines += [f"FUNCTION {function.name}{label}", *(_format_parameter(p) for p in function.parameters)]
    return "\n".join(lines).lstrip("\n") + "\n"


def _format_parameter(parameter: Parameter | None, id_: int | None = None) -> str:
    """Return one parameter line."""
    if parameter is None:
        raise ValueError("a block without a centre cannot be written; X0 and Y0 are needed")
    line = f"{parameter.name:<8s} {float(parameter.value)!r}"
    if parameter.error is not None:
        line += f"  # +/- {parameter.error:.6g}" + ("" if id_ is None else f"  ID={id_}")
        return line
    if parameter.fixed:
        line += "  fixed"
    elif parameter.lower is not None and parameter.upper is not None:
        line += f"  {float(parameter.lower)!r},{float(parameter.upper)!r}"
    return line if id_ is None else f"{line}  # ID={id_}"
