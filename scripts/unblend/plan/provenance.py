"""Digests of what a job depends on: code, images, region files. They are kept between runs.

An edited module of the library re-runs just the stages that import it; a comment in a region file re-runs nothing.
"""

from __future__ import annotations

import ast
import json
import os
from collections.abc import Callable
from functools import cache, cached_property, lru_cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from ..core.types import Region
from ..io.files import digest_of, file_digest, is_url, read_note, write_text
from ..io.header_zero_point import HeaderZeroPoint, zero_points_of
from ..io.images import read_header, read_shape
from ..io.regions import region_digest
from ..io.selections import split_extension
from ..io.tables import read_table_header

PACKAGES = {
    "astropy": "astropy", "finufft": "finufft", "matplotlib": "matplotlib", "numpy": "numpy", "PIL": "pillow",
    "pyimfit": "pyimfit", "scipy": "scipy", "sep": "sep",
}  # fmt: skip
"""Packages that compute what is in the products, by the name under which they are imported."""


@cache
def installed_version(package: str) -> str:
    """Return the version of an installed package, an empty text if there is none."""
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


class Provenance:
    """Digests of files, each computed once for a version of the file.

    Parameters
    ----------
    scripts : Path
        The folder of the scripts and of the library.
    folder : Path
        Where digests.json is kept between runs.
    """

    def __init__(self, scripts: Path, folder: Path):
        self.scripts = scripts
        self._kept_path = folder / "digests.json"
        self._kept: dict[str, list[Any]] = read_note(self._kept_path, {})
        self._changed = False
        self._codes: dict[tuple[str, ...], str] = {}
        self._modules: dict[str, list[Any]] = {}
        self._imports: dict[str, tuple[str, ...]] = {}

    def code(self, script: str, *without: str) -> str:
        """Return the digest of `script` and of every module of the library that it imports, directly or not.

        The versions of the packages that these import are part of it. Modules `without` are left out, with what only
        they import. Names are paths below the scripts' folder without their ending.
        """
        if (script, *without) not in self._codes:
            names = sorted(self._closure(f"{script}.py", frozenset(f"{name}.py" for name in without)))
            content = [[name, self._module(name)[1]] for name in names]
            imported = {parts[0] for name in names for parts in self._module(name)[0]}
            content += [
                [PACKAGES[name], installed_version(PACKAGES[name])] for name in sorted(imported & set(PACKAGES))
            ]
            self._codes[script, *without] = digest_of(content)
        return self._codes[script, *without]

    @cached_property
    def _files(self) -> frozenset[str]:
        """The scripts and the modules of the library, as paths below the scripts' folder."""
        return frozenset(path.relative_to(self.scripts).as_posix() for path in self.scripts.rglob("*.py"))

    def _module(self, name: str) -> list[Any]:
        """Return what a module may import (parts of names), and the digest of what it says."""
        if name not in self._modules:
            path = self.scripts / name
            self._modules[name] = self._digest(str(path), "code", lambda _: _understood(self.scripts, path))
        return self._modules[name]

    def _closure(self, name: str, left_out: frozenset[str]) -> set[str]:
        """Return a module and all that it imports, directly or not, except through those that are left out."""
        found, new = {name}, [name]
        while new:
            imported = set(self._imported(new.pop())) - found - left_out
            found |= imported
            new += imported
        return found

    def _imported(self, name: str) -> tuple[str, ...]:
        """Return the modules of the library and the scripts that a module imports itself."""
        if name not in self._imports:
            candidates = ("/".join(parts) + ".py" for parts in self._module(name)[0])
            self._imports[name] = tuple(candidate for candidate in candidates if candidate in self._files)
        return self._imports[name]

    def content(self, name: str) -> str | None:
        """Return the digest of a file's bytes, None where there is none; of a URL, that of the address."""
        if is_url(name):
            return digest_of(name)
        return self._digest(split_extension(name)[0], "content", file_digest)

    def grid(self, name: str) -> str | None:
        """Return the digest of an image's header: its pixel grid, not its pixels."""
        path, extension = split_extension(name)
        return self._digest(path, f"grid[{extension or ''}]", lambda _: digest_of(_grid_cards(name)))

    def shape(self, name: str) -> list[int] | None:
        """Return [ny, nx] of an image, None if there is no such file."""
        path, extension = split_extension(name)
        return self._digest(path, f"shape[{extension or ''}]", lambda _: list(read_shape(name)))

    def rows(self, path: str) -> int | None:
        """Return the number of rows of the first table of a file, None if there is no such file."""
        return self._digest(path, "rows", lambda _: int(str(read_table_header(path)["NAXIS2"])))

    def zero_points(self, name: str) -> list[HeaderZeroPoint]:
        """Return the AB zero points that the header of an image gives; none if there is no such file.

        Raises
        ------
        UnblendError
            The header or its world coordinates cannot be read.
        """
        path, extension = split_extension(name)
        kind = f"zero_points[{extension or ''}]"
        found = None if is_url(name) else self._digest(path, kind, lambda _: _zero_points(name))
        return [HeaderZeroPoint(value, source) for value, source in found or ()]

    def regions(self, name: str) -> str | None:
        """Return the digest of what a region file means: comments and colours do not count."""
        return self._digest(name, "regions", region_digest)

    def regions_of(self, name: str, part: str, chosen: Callable[[list[Region]], list[Region]]) -> str | None:
        """Return the digest of those regions of a file that `chosen` returns; `part` says what they depend on."""
        return self._digest(name, f"regions of {part}", lambda path: region_digest(path, chosen))

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
        if self._changed:
            # On one line: with an indent Python's own encoder writes it, ten times as slowly.
            write_text(self._kept_path, json.dumps(self._kept, sort_keys=True))
            self._changed = False


def _zero_points(name: str) -> list[tuple[float, str]]:
    return [(each.value_ab, each.source) for each in zero_points_of(name)[0]]


def _grid_cards(name: str) -> dict[str, str]:
    skipped = ("HISTORY", "COMMENT", "DATE", "CHECKSUM", "DATASUM")
    return {key: repr(value) for key, value in read_header(name).items() if key not in skipped}


def _understood(scripts: Path, path: Path) -> list[Any]:
    """Return the names that a file imports, and the digest of its syntax tree."""
    return _parsed(path.read_text(), path.relative_to(scripts).parent.parts)


@lru_cache(maxsize=1000)
def _parsed(text: str, package: tuple[str, ...]) -> list[Any]:
    """Return the names that a module of `package` imports, and the digest of its syntax tree.

    Imports at its top or inside a function, of modules of the library, other scripts, and others. The tree is without
    docstrings: comments, layout and documentation do not re-run a stage. Kept while the process lives: several fields
    planned by one process parse the library once.
    """
    tree = ast.parse(text)
    found: list[tuple[str, ...]] = []
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
