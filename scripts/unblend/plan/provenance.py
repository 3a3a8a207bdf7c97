"""What a job depends on: digests of code, of inputs and of region files, written down as small job specs.

Snakemake judges files by their times. A spec is a small JSON file that says what a job depends on by *content*; it is
written while the workflow is planned, and only when it differs from the one that is there. So a touched image, a
comment in a region file, a copied folder change nothing, and an edited library module re-runs just the stages
that import it.
"""

from __future__ import annotations

import ast
import json
import os
from pathlib import Path
from typing import Any

from ..io.files import digest_of, file_digest, is_url, read_json, write_json, write_text
from ..io.images import read_header, split_extension
from ..io.regions import region_digest


class Provenance:
    """Digests, kept between runs, and the specs of one results folder.

    Parameters
    ----------
    scripts : Path
        The folder of the scripts and of the library.
    store : Path
        Where specs and the digests of files are kept.
    writable : bool
        False in a process that runs one job for another Snakemake: it must not change what the other has planned.
    """

    def __init__(self, scripts: Path, store: Path, *, writable: bool = True):
        self.scripts, self.store, self.writable = scripts, store, writable
        self._kept_path = store / "digests.json"
        try:
            self._kept: dict[str, list[Any]] = read_json(self._kept_path)
        except (OSError, ValueError):
            self._kept = {}
        self._changed = False
        self._codes: dict[tuple[str, ...], str] = {}

    def code(self, script: str, *without: str) -> str:
        """Return the digest of `script` and of every module of the library that it imports, directly or not.

        Modules `without` are left out, with what only they import. Names are paths below the scripts' folder
        without their ending.
        """
        if (script, *without) not in self._codes:
            left_out = frozenset(self.scripts / f"{name}.py" for name in without)
            files = sorted(self._closure(self.scripts / f"{script}.py", left_out) - left_out)
            content = [[str(path.relative_to(self.scripts)), self._module(path)[1]] for path in files]
            self._codes[script, *without] = digest_of(content)
        return self._codes[script, *without]

    def _module(self, path: Path) -> list[Any]:
        """Return what a module may import (parts of names), and the digest of what it says."""
        return self._digest(str(path), "code", lambda _: _understood(self.scripts, path))

    def _closure(self, path: Path, seen: frozenset[Path]) -> frozenset[Path]:
        seen = seen | {path}
        candidates = (self.scripts.joinpath(*parts).with_suffix(".py") for parts in self._module(path)[0])
        for imported in candidates:
            if imported not in seen and imported.is_file():
                seen = self._closure(imported, seen)
        return seen

    def content(self, name: str) -> str | None:
        """Return the digest of a file's bytes, None where there is none; of a URL, that of the address."""
        if is_url(name):
            return digest_of(name)
        return self._digest(split_extension(name)[0], "content", file_digest)

    def grid(self, name: str) -> str | None:
        """Return the digest of an image's header: its pixel grid, not its pixels."""
        path, extension = split_extension(name)
        return self._digest(path, f"grid[{extension or ''}]", lambda _: digest_of(_grid_cards(name)))

    def regions(self, name: str) -> str | None:
        """Return the digest of what a region file means: comments and colours do not count."""
        return self._digest(name, "regions", region_digest)

    def _digest(self, path: str, kind: str, compute: Any) -> Any:
        try:
            stat = os.stat(path)
        except FileNotFoundError:
            return None
        # The change time cannot be set back: an older file copied over a newer one is seen.
        mark = [stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns]
        key = f"{kind}:{path}"
        if self._kept.get(key, [None])[0] != mark:
            self._kept[key] = [mark, compute(path)]
            self._changed = True
        return self._kept[key][1]

    def save(self) -> None:
        """Keep the digests for the next run."""
        if self._changed and self.writable:
            # On one line: with an indent Python's own encoder writes it, ten times as slowly.
            write_text(self._kept_path, json.dumps(self._kept, sort_keys=True))
            self._changed = False

    def spec(self, name: str, content: dict[str, Any]) -> str:
        """Return the path of the spec `name`, written when it is new or differs."""
        path = self.store / f"{name}.json"
        if self.writable or not path.exists():
            try:
                same = read_json(path) == content
            except (OSError, ValueError):
                same = False
            if not same:
                write_json(path, content)
            self.save()
        return str(path)

    def lost(self, name: str, expected: list[Path]) -> dict[str, int]:
        """Return which of the files that a job has made are gone, so that its spec changes and it runs again.

        The mark is the time at which their folder last changed: it holds until the files are back, and afterwards
        (the old mark is read from the spec), so that a second run does nothing.
        """
        gone = {path: path.parent for path in expected if not path.exists()}
        if gone:
            return {str(path): parent.stat().st_mtime_ns if parent.exists() else 0 for path, parent in gone.items()}
        try:
            return read_json(self.store / f"{name}.json").get("lost", {})
        except (OSError, ValueError):
            return {}


def _grid_cards(name: str) -> dict[str, str]:
    skipped = ("HISTORY", "COMMENT", "DATE", "CHECKSUM", "DATASUM")
    return {key: repr(value) for key, value in read_header(name).items() if key not in skipped}


def _understood(scripts: Path, path: Path) -> list[Any]:
    """Return the names that a file imports, and the digest of its syntax tree.

    Imports at its top or inside a function, of modules of the library, other scripts, and others. The tree is without
    docstrings: comments, layout and documentation do not re-run a stage.
    """
    tree = ast.parse(path.read_text())
    found: list[tuple[str, ...]] = []
    package = path.relative_to(scripts).parent.parts
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            parts = base + tuple((node.module or "").split(".") if node.module else ())
            found += [parts, *[(*parts, alias.name) for alias in node.names]]
        elif isinstance(node, ast.Import):
            found += [tuple(alias.name.split(".")) for alias in node.names]
        elif isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node) is not None:
            node.body = node.body[1:] or [ast.Pass()]
    return [[list(parts) for parts in dict.fromkeys(found) if parts], digest_of(ast.dump(tree))]
