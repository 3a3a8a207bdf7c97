"""The statements of a line of a DS9 region file, found in a time proportional to its length."""

from __future__ import annotations

import re
from collections.abc import Iterator

_VALUE = r"""\{[^}]*\}|"[^"]*"|'[^']*'"""
_GLOBAL = re.compile(r"\s*global\b", re.I)
_END_OF_BODY, _MARK, _OPENING = re.compile("[#;]"), re.compile("[=;]"), re.compile(r"""\s*([{"'])""")
_PROPERTY = re.compile(rf"""\b(\w++)\s*+=\s*({_VALUE}|[^\s;]+)""")


def split_statements(line: str) -> Iterator[tuple[str, str]]:
    """Yield the shape and the properties of each statement of a line; statements end with `;`, except inside a text."""
    position = 0
    while position < len(line):
        settings = _GLOBAL.match(line, position)
        end_of_body = None if settings else _END_OF_BODY.search(line, position)
        if settings:
            body, start = "global", settings.end()
        elif end_of_body is None:
            yield line[position:], ""
            return
        else:
            body, start = line[position : end_of_body.start()], end_of_body.end()
            if end_of_body[0] == ";":
                yield body, ""
                position = start
                continue
        end = _end_of_properties(line, start)
        yield body, line[start:end]
        position = end + 1


def _end_of_properties(line: str, position: int) -> int:
    """Return where the `;` after the properties is, or the end of the line; a `;` inside a text does not count."""
    unclosed = set()
    while (mark := _MARK.search(line, position)) is not None:
        if mark[0] == ";":
            return mark.start()
        position = mark.end()
        opening = _OPENING.match(line, position)
        closing = opening[1].replace("{", "}") if opening else ""
        if opening and closing not in unclosed:
            close = line.find(closing, opening.end())
            if close < 0:
                unclosed.add(closing)
            else:
                position = close + 1
    return len(line)


def read_properties(text: str) -> dict[str, str]:
    """Return the properties (text, color, tag …) of a statement, without the quotes or braces around their values."""
    return {key.lower(): value[1:-1] if value[0] in "{\"'" else value for key, value in _PROPERTY.findall(text)}
