"""Mistakes in the text of config.yaml: what cannot be read, and what YAML changes without a word.

The text is checked before anything else reads it: Snakemake runs the expressions of a file with `__use_yte__`, follows
aliases that expand to more than any memory holds, and names no line where the text is not YAML.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from ..core.errors import ConfigError
from ..core.shown import shortened
from .config_conflicts import YTE_KEY, YTE_REFUSED

MAX_DEPTH = 40
"""Sections and lists inside each other; the configuration itself has four levels."""
MAX_ALIASED = 100_000
"""Values that the aliases (*name) of a file may stand for, all together."""
MAX_DIGITS = 400
"""Characters of a number. A float ends at 309 digits, and Python refuses whole numbers of more than 4300."""
_PLAIN_TAGS = {
    f"tag:yaml.org,2002:{kind}" for kind in ("null", "bool", "int", "float", "str", "seq", "map", "merge", "timestamp")
}
_CHANGED_NUMBERS = (
    (re.compile(r"[+-]?[0-9_]+(:[0-5]?[0-9])+(\.[0-9_]*)?"), "a number to the base of 60; put it in quotes"),
    (re.compile(r"[+-]?0[0-7_]+"), "an octal number; write it without the leading zero, or text in quotes"),
)
_EXTENSION = re.compile(r"""(?<![^\s{},:\[])(?:[^\s"'{},:\[\]]|\[\w+\])*\[\w+\](?:[^\s"'{},:\[\]]|\[\w+\])*""")
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f\ufffe\uffff]")


def check_text(paths: Iterable[str | Path]) -> None:
    """Check the text of configuration files before they are read.

    Parameters
    ----------
    paths : iterable of paths
        Missing files are reported by whoever needs them.

    Raises
    ------
    ConfigError
        The text is not UTF-8 or not YAML, or aliases expand it to more than `MAX_ALIASED` values; a section has a key
        twice (YAML keeps the last); YAML reads a number as something else (03:32:20.9 as 12740.9, 010 as 8); or the
        file is to be run as a template (__use_yte__). One sentence with the line for each mistake.
    """
    mistakes = [f"{path}: {sentence}" for path in map(Path, paths) for sentence in _mistakes(path)]
    if mistakes:
        raise ConfigError("\n".join(mistakes))


def read_config_file(path: str | Path) -> Any:
    """Return the content of a configuration file, once its text is checked.

    Raises
    ------
    ConfigError
        As in `check_text`.
    """
    import yaml

    check_text([path])
    return yaml.safe_load(Path(path).read_text(encoding="utf-8-sig"))


def _mistakes(path: Path) -> Iterator[str]:
    try:
        content = path.read_bytes()
    except OSError:
        return  # reported by whoever reads the file
    text = _decoded(content)
    if isinstance(text, UnicodeDecodeError):
        yield _not_utf8(content, text)
        return
    mistake = _unreadable(text)
    if mistake is not None:
        # Snakemake reads JSON where the text is JSON, whose tabs YAML refuses.
        if not _is_json(text):
            yield mistake
        return
    import yaml

    root = yaml.compose(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    if not isinstance(root, yaml.MappingNode):
        found = "no values" if root is None else "no sections"
        yield f"the file holds {found}: expected target, detection, models, bands."
        return
    if any(key.value == YTE_KEY for key, _ in root.value):
        yield YTE_REFUSED
    yield from _changed(root, set())


# Text that cannot be read --------------------------------------------------------------------------------------------


def _decoded(content: bytes) -> str | UnicodeDecodeError:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        return error


def _not_utf8(content: bytes, error: UnicodeDecodeError) -> str:
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "the text is in UTF-16; expected UTF-8. Save the file in UTF-8."
    line = content.count(b"\n", 0, error.start) + 1
    return (
        f"line {line}: the byte {content[error.start]:#04x} is not UTF-8, the encoding of YAML (in Latin-1 it is "
        f"{content[error.start : error.start + 1].decode('latin-1')!r}). Save the file in UTF-8."
    )


def _is_json(text: str) -> bool:
    try:
        return isinstance(json.loads(text), dict)
    except (ValueError, RecursionError):
        return False


def _unreadable(text: str) -> str | None:
    """Return why YAML cannot read the text, or not without harm; None where it can."""
    import yaml

    control = _CONTROL.search(text)
    if control is not None:
        line = text.count("\n", 0, control.start()) + 1
        return f"line {line}: the file has the control character {control[0]!r}; remove it."
    try:
        mistake = _too_much(yaml.parse(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)))
        if mistake is None:
            yaml.load(text, Loader=_lenient_loader())
    except yaml.YAMLError as error:
        return _not_yaml(text, error)
    except (ValueError, OverflowError) as error:  # a date that does not exist, a number that is too long
        return f"not valid YAML: {shortened(str(error))}. Put text that looks like a number or a date in quotes."
    return mistake


@functools.cache
def _lenient_loader() -> Any:
    """Return a loader that passes over what is reported later with its line: tags, and numbers that are too long."""
    import yaml

    class Loader(yaml.SafeLoader):
        pass

    Loader.add_constructor(None, lambda loader, node: None)
    Loader.add_constructor("tag:yaml.org,2002:int", _whole_number)
    return Loader


def _whole_number(loader: Any, node: Any) -> Any:
    return 0 if len(str(node.value)) > MAX_DIGITS else loader.construct_yaml_int(node)


def _too_much(events: Iterable[Any]) -> str | None:
    """Return why the text is too deep, refers to itself, or grows through its aliases.

    The parser's events show it without building anything.
    """
    import yaml

    open_: list[tuple[str | None, int]] = []  # of each open section or list: its anchor, the values before it
    sizes: dict[str, int | None] = {}  # of each anchor: how many values it stands for; None while it is open
    values = aliased = 0
    for event in events:
        line = event.start_mark.line + 1
        if isinstance(event, yaml.AliasEvent):
            size = sizes.get(event.anchor or "", 0)
            if size is None:
                return f"line {line}: *{event.anchor} stands inside &{event.anchor} itself; write out what it means."
            values, aliased = values + size, aliased + size
            if aliased > MAX_ALIASED:
                return (
                    f"line {line}: the aliases (*{event.anchor}) up to here stand for more than {MAX_ALIASED} values; "
                    "write out the values that are needed."
                )
        elif isinstance(event, yaml.CollectionStartEvent):
            if event.anchor:
                sizes[event.anchor] = None
            open_.append((event.anchor, values))
            values += 1
            if len(open_) > MAX_DEPTH:
                return f"line {line}: more than {MAX_DEPTH} sections or lists inside each other; expected at most four."
        elif isinstance(event, yaml.CollectionEndEvent):
            anchor, before = open_.pop()
            if anchor:
                sizes[anchor] = values - before
        elif isinstance(event, yaml.ScalarEvent):
            values += 1
            if event.anchor:
                sizes[event.anchor] = 1
    return None


def _not_yaml(text: str, error: Any) -> str:
    """Return the sentence about text that is not YAML, with the line and what may be wrong in it."""
    marks = [mark for mark in (getattr(error, "problem_mark", None), getattr(error, "context_mark", None)) if mark]
    lines = text.splitlines()
    shown = [(mark.line + 1, lines[mark.line]) for mark in marks if mark.line < len(lines) and lines[mark.line].strip()]
    # The mark may lie behind the last line, or behind the line that has the bracket or the tab.
    last = next((n for n in range(len(lines), 0, -1) if lines[n - 1].strip()), 1)
    number, line = shown[0] if shown else (last, lines[last - 1])
    bracket = next(((n, found[0]) for n, of in shown if (found := _EXTENSION.search(of))), None)
    tab = next((n for n, of in shown if re.match(r" *\t", of)), None)
    if bracket:
        number, name = bracket
        advice = f"put names with brackets in quotes: '{name}'"
        line = lines[number - 1]
    elif tab:
        number, line = tab, lines[tab - 1]
        advice = "indent with spaces, not with tabs"
    else:
        advice = "correct the line; text with : # [ ] { } & * ! % @ needs quotes"
    reason = getattr(error, "problem", None) or str(error).splitlines()[0]
    return f"line {number}: `{shortened(line.strip())}` is not valid YAML ({shortened(str(reason))}): {advice}."


# What YAML changes ---------------------------------------------------------------------------------------------------


def _changed(node: Any, seen: set[int]) -> Iterator[str]:
    """Yield what YAML changes below a node; an alias leads to a node that was seen."""
    if id(node) in seen:
        return
    seen.add(id(node))
    line = node.start_mark.line + 1
    if node.tag not in _PLAIN_TAGS:
        tag = node.tag.replace("tag:yaml.org,2002:", "!!")
        yield f"line {line}: the tag {shortened(tag)} is not allowed; write the value itself."
        return
    if isinstance(node.value, str):
        if node.tag in ("tag:yaml.org,2002:int", "tag:yaml.org,2002:float"):
            yield from _changed_number(node.value, line)
        return
    lines: dict[str, int] = {}
    for item in node.value:
        for part in item if isinstance(item, tuple) else (item,):
            yield from _changed(part, seen)
        if not isinstance(item, tuple):
            continue
        key, line = item[0], item[0].start_mark.line + 1
        if not isinstance(key.value, str):
            yield f"line {line}: a key is a list or a section; put text with brackets in quotes."
        elif key.value in lines and key.value != "<<":
            yield (
                f"line {line}: the key {shortened(key.value)} is given twice, first in line {lines[key.value]}; YAML "
                "uses the last. Remove one."
            )
        else:
            lines[key.value] = line


def _changed_number(text: str, line: int) -> Iterator[str]:
    if len(text) > MAX_DIGITS:
        yield f"line {line}: the number {shortened(text)} has {len(text)} characters; expected at most {MAX_DIGITS}."
        return
    for pattern, meaning in _CHANGED_NUMBERS:
        if pattern.fullmatch(text):
            yield f"line {line}: YAML reads {text} as {meaning}."
