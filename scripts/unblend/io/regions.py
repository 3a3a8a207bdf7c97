"""DS9 region files: read all shapes that enclose an area in all common coordinate systems, and write such files.

The `regions` package (0.12) is not used because it skips, with only a warning, what would remove part of a mask:
`physical` coordinates, `panda` and its kin, files without a coordinate system.
"""

from __future__ import annotations

import logging
import math
import re
import string
from collections.abc import Callable, Iterable
from pathlib import Path

from ..core.errors import RegionError
from ..core.shown import shortened
from ..core.types import Region
from .files import digest_of, read_text, write_text
from .region_lines import read_properties, split_statements

logger = logging.getLogger(__name__)

_PIXELS = {"image": "pixel", "physical": "physical"}
_FRAMES = {"image": "image", "physical": "physical", "icrs": "icrs", "fk5": "fk5", "j2000": "fk5", "wcs": "icrs"}
_FRAMES |= {"fk4": "fk4", "b1950": "fk4", "galactic": "galactic", "ecliptic": "barycentricmeanecliptic"}
_OTHER_FRAMES = {"linear", "amplifier", "detector", "tile", *(f"wcs{letter}" for letter in string.ascii_lowercase)}
_ALIASES = {"rotbox": "box", "cpanda": "panda"}
_USAGE = {
    "circle": "circle(x, y, radius)",
    "annulus": "annulus(x, y, inner radius, outer radius)",
    "ellipse": "ellipse(x, y, radius, radius, angle)",
    "box": "box(x, y, width, height, angle)",
    "polygon": "polygon(x1, y1, x2, y2, x3, y3, ...)",
    "panda": "panda(x, y, angle, angle, number, inner, outer, number)",
    "epanda": "epanda(x, y, angle, angle, number, inner, inner, outer, outer, number, angle)",
    "bpanda": "bpanda(x, y, angle, angle, number, inner, inner, outer, outer, number, angle)",
}
_NO_AREA = {"point", "line", "vector", "ruler", "text", "compass", "projection", "segment"}
# Shapes that DS9 writes after a "# " because other programs do not know them. All other such lines are comments.
_COMMENTED_SHAPE = re.compile(
    r"#\s*+([+\-!]?\s*+(composite|epanda|bpanda|text|vector|ruler|compass|projection|segment)\s*\(.*)", re.I
)

# First lines of files that DS9 saves in the formats SAOtng and XML, whose sizes are in pixels.
_OTHER_FORMAT = re.compile(r"#\s*format:\s*\w+\s*\(\w+\)|<\?xml", re.I)

_BODY = re.compile(r"([+\-!]?)\s*([a-z]\w*)\s*(.*)", re.I | re.S)
_NUMBER = r"[+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?"
_QUANTITY = re.compile(rf"""({_NUMBER})(''|["'″′drpi]?)""", re.I)
_SEXAGESIMAL = re.compile(r"""([+-]?)(\d+)([:hd])(\d+)[:m'](?:(\d+\.?\d*)["s]?)?""", re.I)

_ARCSEC = {'"': 1.0, "''": 1.0, "″": 1.0, "'": 60.0, "′": 60.0, "d": 3600.0, "r": math.degrees(3600.0)}
_UNITS = {"arcsec": '"', "pixel": "i", "physical": "p"}
_SUSPICIOUS_ARCSEC = 1800.0
"""A size without a unit is in degrees; above half a degree the user probably meant arcsec, and a warning says so."""
_MAX_ARCSEC, _MAX_PIXELS = 180.0 * 3600.0, 1e7
"""Largest size of a region: more than the sky, and more pixels than any image has."""
_MAX_PROPERTIES, _MAX_NUMBER = 20_000, 80
"""Characters of the text after a shape, and of a number: the patterns above take quadratic time on longer ones."""
_BRACES = str.maketrans("{}", "()")


def read_regions(path: str | Path) -> list[Region]:
    """Return the regions of a DS9 file in their order, or an empty list if the file does not exist.

    Shapes without area (points, lines, texts) are ignored with a logged warning. A file without a coordinate system is
    read in pixels, as in DS9.

    Raises
    ------
    RegionError
        A line is invalid. The message gives the file, the line and what was expected.
    """
    path = Path(path)
    if not path.is_file():
        return []
    regions, warnings = parse_regions(read_text(path, RegionError), str(path))
    for warning in warnings:
        logger.warning(warning)
    return regions


def region_digest(path: str | Path, chosen: Callable[[list[Region]], list[Region]] = list) -> str | None:
    """Return a digest of the regions in a file: their shapes, order, exclusions and texts. None if there are none.

    Comments, colours, tags and blank lines do not change it. Positions are rounded to 1e-9 degrees or pixels, sizes to
    1e-6. With `chosen` it is that of the regions which this function returns.

    Raises
    ------
    RegionError
        A line is invalid.
    """
    path = Path(path)
    if not path.is_file():
        return None
    regions = chosen(parse_regions(read_text(path, RegionError), str(path))[0])
    return digest_of([_content(region) for region in regions]) if regions else None


def parse_regions(text: str, name: str = "regions") -> tuple[list[Region], list[str]]:
    """Return the regions in the text of a DS9 file, and warnings about what was ignored or assumed.

    Parameters
    ----------
    text : str
    name : str
        Name of the file for warnings and errors.

    Raises
    ------
    RegionError
        A line is invalid.
    """
    reader = _Reader(name)
    for number, line in enumerate(text.splitlines(), start=1):
        reader.read_line(number, line.strip())
    return reader.regions, reader.warnings


def _content(region: Region) -> list[object]:
    def sizes(pair: tuple[tuple[float, str], ...]) -> list[tuple[float, str]]:
        return [(round(value, 6), unit) for value, unit in pair]

    points = [(round(a, 9), round(b, 9)) for a, b in region.points]
    shape = [region.kind, region.frame, points, sizes(region.outer), sizes(region.inner)]
    return [*shape, round(region.angle, 6), region.sector, region.include, region.text]


class _Reader:
    """Reads a file line by line, keeping its coordinate system, global properties and current composite."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.frame: str | None = None
        self.include = True
        self.composite: dict[str, str] = {}
        self.regions: list[Region] = []
        self.warnings: list[str] = []
        self.line = 0
        self.statement = ""

    def read_line(self, number: int, line: str) -> None:
        """Read the line of this 1-based number, without blanks at its ends.

        Raises
        ------
        RegionError
            The file is not in the format ds9, or a statement of the line is invalid.
        """
        self.line, self.statement = number, line
        if _OTHER_FORMAT.match(line):
            raise self.error("the file is not in the format ds9; save the regions again in that format")
        hidden = _COMMENTED_SHAPE.match(line)
        if hidden and hidden[2].lower() in _NO_AREA:
            self.warnings.append(self.without_area(hidden[2]))
        if line.startswith("#") and (not hidden or hidden[2].lower() in _NO_AREA):
            return
        if hidden:
            # The properties of a composite follow after bars (||).
            line = hidden[1].replace("||", "#", 1) if hidden[2].lower() == "composite" else hidden[1]
        for body, properties in split_statements(line):
            self.statement = body.strip()
            if len(properties) > _MAX_PROPERTIES:
                raise self.error(f"expected at most {_MAX_PROPERTIES} characters after it, found {len(properties)}")
            self.read_statement(body, read_properties(properties))

    def read_statement(self, body: str, properties: dict[str, str]) -> None:
        """Read one statement: a shape, a coordinate system, `global` or `composite`, with its properties.

        Raises
        ------
        RegionError
            It is none of these, or its content is invalid.
        """
        if not body.strip():
            return
        shape, bars, _ = body.partition("||")
        match = _BODY.fullmatch(shape.strip())
        if match is None:
            raise self.error("expected a coordinate system or a shape such as circle(x, y, radius)")
        sign, word, rest = match[1], match[2].lower(), match[3]
        word = _ALIASES.get(word, word)
        if word == "global":
            self.include = properties.get("include", "1") != "0"
        elif word == "composite":
            self.composite = {key: value for key, value in properties.items() if key in ("text", "include")}
            if sign in ("-", "!"):
                self.composite["include"] = "0"
        elif word in _FRAMES or word in _OTHER_FRAMES:
            self.set_frame(word, rest, properties)
        elif word in _NO_AREA or rest.lower().startswith("point"):
            self.warnings.append(self.without_area(word))
        else:
            self.read_shape(sign, word, rest, properties)
        if word != "composite" and not bars:
            self.composite = {}

    def set_frame(self, word: str, rest: str, properties: dict[str, str]) -> None:
        """Set the coordinate system, and read the shape that may follow on the same line.

        Raises
        ------
        RegionError
            The coordinate system is not supported, or the shape is invalid.
        """
        if word in _OTHER_FRAMES:
            raise self.error(f"the coordinate system {word} is not supported; save the regions in fk5 or image")
        self.frame = _FRAMES[word]
        if rest:
            self.read_statement(rest, properties)

    def read_shape(self, sign: str, word: str, rest: str, properties: dict[str, str]) -> None:
        """Add the region of a shape, whose `sign` is - or ! if it is excluded, and whose numbers are in `rest`.

        Raises
        ------
        RegionError
            The shape is unknown, or its numbers are invalid.
        """
        if word not in _USAGE:
            known = ", ".join(_USAGE)
            frames = "image, physical, icrs, fk5, fk4, galactic, ecliptic"
            raise self.error(f"expected one of {known}, or a system ({frames}), found {shortened(word)!r}")
        properties = self.composite | properties
        if self.frame is None:
            self.frame = "image"
            self.warnings.append(f"{self.where()}: no coordinate system is given; image pixels are assumed, as in DS9.")
        include = properties.get("include", "1" if self.include or sign == "+" else "0") != "0" and sign not in (
            "-",
            "!",
        )
        shape = _Shape(self, word, self.arguments(rest))
        self.regions.append(shape.region(include, properties.get("text", "")))

    def arguments(self, rest: str) -> list[str]:
        """Return the numbers of a shape, still as text.

        Raises
        ------
        RegionError
            The parentheses are not those of one shape.
        """
        if rest.startswith("(") != rest.endswith(")") or rest.count("(") > 1:
            raise self.error("expected one shape with its numbers in parentheses")
        tokens = re.split(r"[,\s]+", re.sub(r"\bn\s*=\s*\d+", "", rest.strip("()")).strip(", \t"))
        wrong = next((token for token in tokens if len(token) > _MAX_NUMBER), None)
        if wrong is not None:
            raise self.error(f"expected numbers, found {shortened(wrong)!r}")
        return [token for token in tokens if token]

    def without_area(self, word: str) -> str:
        """Return the warning about a shape without area."""
        return f"{self.where()}: a {word.lower()} encloses no area and is ignored."

    def where(self) -> str:
        """Return the file and the line that is being read, for messages."""
        return f"{self.name}, line {self.line}"

    def error(self, problem: str) -> RegionError:
        """Return the error for the current statement, to be raised by the caller."""
        return RegionError(
            f"{self.where()}: `{shortened(self.statement)}` is invalid: {problem}. Correct or remove the line."
        )


class _Shape:
    """Converts the numbers of one shape to a Region."""

    def __init__(self, reader: _Reader, word: str, tokens: list[str]) -> None:
        self.reader, self.word, self.tokens = reader, word, tokens
        assert reader.frame is not None
        self.frame = reader.frame
        if len(tokens) >= 2 and all(re.fullmatch(rf"{_NUMBER}[pi]", token, re.I) for token in tokens[:2]):
            self.frame = "physical" if tokens[0].lower().endswith("p") else "image"

    def region(self, include: bool, text: str) -> Region:
        """Return the region with its text; `include` is False if it is excluded from the others.

        Raises
        ------
        RegionError
            The number of values does not fit the shape, or one of them is invalid.
        """
        reader, count = self.reader, len(self.tokens)
        fits = {
            "circle": count == 3,
            "annulus": count >= 4,
            "ellipse": count >= 4,
            "box": count >= 4,
            "polygon": count >= 6 and count % 2 == 0,
            "panda": count == 8,
            "epanda": count in (10, 11),
            "bpanda": count in (10, 11),
        }
        if not fits[self.word]:
            raise reader.error(f"expected {_USAGE[self.word]}, found {count} numbers")
        kind = {"annulus": "circle", "panda": "circle", "epanda": "ellipse", "bpanda": "box"}.get(self.word, self.word)
        last = count if self.word == "polygon" else 2
        points = tuple(self.position(*self.tokens[i : i + 2]) for i in range(0, last, 2))
        inner, outer, angle, sector = self.extent()
        return Region(kind, self.frame, points, outer, inner, angle, sector, include, text, reader.line)

    def extent(self) -> tuple[tuple, tuple, float, tuple[float, float] | None]:
        """Return the hole, the outline, the angle and the sector; concentric rings are joined to one.

        Raises
        ------
        RegionError
            A size or an angle is invalid.
        """
        word, numbers = self.word, self.tokens[2:]
        if word == "polygon":
            return (), (), 0.0, None
        sector = None
        if word.endswith("panda"):
            sector = self.sector(*numbers[:2])
            angles = numbers[8:]
            numbers = numbers[3:5] if word == "panda" else numbers[3:7] + angles
        if word in ("circle", "annulus", "panda"):
            sizes = sorted(self.size(token) for token in numbers)
            rings, angle = [(size, size) for size in sizes], 0.0
        else:
            angle = self.angle(numbers.pop()) if len(numbers) % 2 else 0.0
            half = 0.5 if word in ("box", "bpanda") else 1.0
            halves = [(value * half, unit) for value, unit in map(self.size, numbers)]
            rings = sorted(zip(halves[0::2], halves[1::2], strict=True))
        return (rings[0] if len(rings) > 1 and rings[0][0][0] > 0 else ()), rings[-1], angle, sector

    def sector(self, first: str, second: str) -> tuple[float, float] | None:
        """Return the angles of a sector in degrees, the second above the first; None for the full circle.

        Raises
        ------
        RegionError
            An angle is invalid.
        """
        start, stop = self.angle(first), self.angle(second)
        if stop <= start:
            stop += 360.0
        return None if stop - start >= 360.0 else (start, stop)

    def position(self, first: str, second: str) -> tuple[float, float]:
        """Return a position: 0-based (y, x) in pixels, or (longitude, latitude) in degrees.

        Raises
        ------
        RegionError
            A coordinate is invalid.
        """
        if self.frame in _PIXELS:
            x, y = (self.pixel(token) for token in (first, second))
            return y - 1.0, x - 1.0
        hours = self.frame in ("icrs", "fk5", "fk4")
        longitude, latitude = self.degrees(first, hours), self.degrees(second, False)
        if abs(latitude) > 90.0:
            raise self.reader.error(f"expected a latitude between -90 and 90 degrees, found {latitude:g}")
        if abs(longitude) > 360.0:
            raise self.reader.error(f"expected a longitude between -360 and 360 degrees, found {longitude:g}")
        return longitude % 360.0, latitude

    def pixel(self, token: str) -> float:
        """Return a 1-based pixel coordinate.

        Raises
        ------
        RegionError
            It is not a number, or has the unit of an angle.
        """
        match = _QUANTITY.fullmatch(token)
        if match is None or match[2].lower() not in ("", "p", "i"):
            problem = f"expected a pixel position, found {token!r} (for sky coordinates, add a line with fk5)"
            raise self.reader.error(problem)
        value = float(match[1])
        if abs(value) > _MAX_PIXELS:
            raise self.reader.error(f"expected a pixel position of at most {_MAX_PIXELS:.0f}, found {token}")
        return value

    def degrees(self, token: str, hours: bool) -> float:
        """Return a sky coordinate in degrees; `hours` is whether sexagesimal values with colons are in hours.

        Raises
        ------
        RegionError
            It is neither a number nor sexagesimal, or its minutes or seconds are not below 60.
        """
        match = _SEXAGESIMAL.fullmatch(token)
        if match is not None:
            minutes, seconds = float(match[4]), float(match[5] or 0.0)
            if minutes >= 60.0 or seconds >= 60.0:
                raise self.reader.error(f"expected minutes and seconds below 60, found {token!r}")
            value = float(match[2]) + minutes / 60.0 + seconds / 3600.0
            factor = 15.0 if match[3].lower() == "h" or (match[3] == ":" and hours) else 1.0
            return math.copysign(value * factor, -1.0 if match[1] == "-" else 1.0)
        quantity = _QUANTITY.fullmatch(token)
        if quantity is None or quantity[2].lower() not in ("", "d", "r"):
            raise self.reader.error(f"expected a sky position in degrees or as 03:32:28.1, found {token!r}")
        return math.degrees(float(quantity[1])) if quantity[2].lower() == "r" else float(quantity[1])

    def size(self, token: str) -> tuple[float, str]:
        """Return a size and its unit: arcsec, pixel or physical.

        Raises
        ------
        RegionError
            It is not a number, is negative, or has an unknown unit.
        """
        match = _QUANTITY.fullmatch(token)
        if match is None or match[1].startswith("-"):
            raise self.reader.error(f'expected a size such as 1.5" (" \' d r p i), found {token!r}')
        value, unit = float(match[1]), match[2].lower()
        if unit in ("p", "i") or (not unit and self.frame in _PIXELS):
            if value > _MAX_PIXELS:
                raise self.reader.error(f"expected a size of at most {_MAX_PIXELS:.0f} pixels, found {token}")
            return value, {"i": "pixel", "p": "physical", "": _PIXELS.get(self.frame, "")}[unit]
        if value * _ARCSEC[unit or "d"] > _MAX_ARCSEC:
            raise self.reader.error(
                f'expected a size of at most 180 degrees, found {token} (for arcsec write {value:g}")'
            )
        if not unit and value * 3600.0 > _SUSPICIOUS_ARCSEC:
            advice = f'the size {token} is in degrees on the sky; for arcsec write {token}".'
            self.reader.warnings.append(f"{self.reader.where()}: {advice}")
        return value * _ARCSEC[unit or "d"], "arcsec"

    def angle(self, token: str) -> float:
        """Return an angle in degrees.

        Raises
        ------
        RegionError
            It is not a number, or has an unknown unit.
        """
        match = _QUANTITY.fullmatch(token)
        if match is None or match[2].lower() not in ("", "d", "r"):
            raise self.reader.error(f"expected an angle in degrees, found {token!r}")
        return math.degrees(float(match[1])) if match[2].lower() == "r" else float(match[1])


def write_regions(
    path: str | Path, regions: Iterable[Region], *, color: str = "green", remarks: Iterable[str] = ()
) -> None:
    """Write a DS9 region file, complete or not at all.

    Parameters
    ----------
    path : path
    regions : iterable of Region
        Written with their texts and in their own units.
    color : str
        Colour in which DS9 draws the regions.
    remarks : iterable of str
        Comment lines at the top of the file.

    Raises
    ------
    ValueError
        A region is a sector, which is not supported.
    """
    lines = ["# Region file format: DS9 version 4.1", *(f"# {remark}" for remark in remarks)]
    lines.append(f'global color={color} width=2 font="helvetica 14 bold roman"')
    frame = None
    for region in regions:
        if region.frame != frame:
            frame = region.frame
            lines.append("ecliptic" if frame == "barycentricmeanecliptic" else frame)
        lines.append(_format(region))
    write_text(path, "\n".join(lines) + "\n")


def region_text(region: Region) -> str:
    """Return a region as a line that can be appended to any region file: with its own coordinate system."""
    return f"{region.frame};{_format(region)}"


def _format(region: Region) -> str:
    if region.sector is not None:
        raise ValueError("sectors cannot be written to a region file")
    if region.frame in _PIXELS:
        numbers = [f"{value:.3f}" for y, x in region.points for value in (x + 1.0, y + 1.0)]
    else:
        numbers = [f"{value:.8f}" for point in region.points for value in point]
    word, factor = region.kind, 2.0 if region.kind == "box" else 1.0
    for pair in (region.inner, region.outer):
        pair = pair[:1] if region.kind == "circle" else pair
        numbers += [f"{value * factor:.5g}" + _UNITS[unit] for value, unit in pair]
    if region.kind in ("ellipse", "box"):
        numbers.append(f"{region.angle:.3f}")
    if region.kind == "circle" and region.inner:
        word = "annulus"
    text = f" # text={{{region.text.translate(_BRACES)}}}" if region.text else ""
    return f"{'' if region.include else '-'}{word}({','.join(numbers)}){text}"
