"""Mistakes in the text of config.yaml that parsed YAML no longer shows: values that YAML changes without a word."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from ..core.errors import ConfigError
from .config_conflicts import YTE_KEY, YTE_REFUSED

_CHANGED_NUMBERS = (
    (re.compile(r"[+-]?[0-9_]+(:[0-5]?[0-9])+(\.[0-9_]*)?"), "a number to the base of 60; put it in quotes"),
    (re.compile(r"[+-]?0[0-7_]+"), "an octal number; write it without the leading zero, or text in quotes"),
)


def check_text(paths: Iterable[str | Path]) -> None:
    """Check the text of configuration files for what YAML changes without a word.

    Parameters
    ----------
    paths : iterable of paths
        Files without a section `bands` are not checked: they belong to a workflow that uses this one as a module.

    Raises
    ------
    ConfigError
        With every key that a section has twice (YAML keeps the last), every number that YAML reads as something else
        (03:32:20.9 as 12740.9, 010 as 8), and a request to run the file as a template (__use_yte__).
    """
    mistakes = [f"{path}: {sentence}" for path in map(Path, paths) for sentence in _mistakes(path)]
    if mistakes:
        raise ConfigError("\n".join(mistakes))


def _mistakes(path: Path) -> Iterator[str]:
    import yaml

    try:
        root = yaml.compose(path.read_text(), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except (OSError, UnicodeDecodeError, yaml.YAMLError):
        return  # reported by whoever reads the file
    if not isinstance(root, yaml.MappingNode):
        return
    keys = [key.value for key, _ in root.value]
    if "bands" in keys:
        yield from [YTE_REFUSED] if YTE_KEY in keys else []
        yield from _changed(root, set())


def _changed(node: Any, seen: set[int]) -> Iterator[str]:
    """Yield what YAML changes below a node; an alias leads to a node that was seen."""
    if id(node) in seen:
        return
    seen.add(id(node))
    line = node.start_mark.line + 1
    if isinstance(node.value, str):
        if node.tag in ("tag:yaml.org,2002:int", "tag:yaml.org,2002:float"):
            for pattern, meaning in _CHANGED_NUMBERS:
                if pattern.fullmatch(node.value):
                    yield f"line {line}: YAML reads {node.value} as {meaning}."
        return
    names: list[str] = []
    for item in node.value:
        for part in item if isinstance(item, tuple) else (item,):
            yield from _changed(part, seen)
        if isinstance(item, tuple):
            name = str(item[0].value)
            if name in names and name != "<<":
                line = item[0].start_mark.line + 1
                yield f"line {line}: the key {name} is given twice; YAML uses the last. Remove one."
            names.append(name)
