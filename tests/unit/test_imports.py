"""Which room may import which: the way of the data, in a dozen rules. Only some rooms open files."""

from __future__ import annotations

import ast
import functools
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SCRIPTS = ROOT / "scripts"
LIBRARY = SCRIPTS / "unblend"
MAX_LINES = 500

MAY_IMPORT = {
    "core": set(),
    "io": {"core"},
    "images": {"core"},
    "models": {"core", "images"},
    "detection": {"core", "images"},
    "fits": {"core", "images", "models"},
    "photometry": {"core", "images", "models"},
    "registration": {"core", "images", "models", "photometry"},
    "simulation": {"core", "images", "models"},
    "field": {"core", "io", "images", "models", "detection", "fits", "photometry", "registration"},
    "plan": {"core", "io", "images", "fits", "field"},
    "report": {"core", "io", "images", "models", "fits", "photometry", "field"},
    "run": {"core", "io", "images", "models", "fits", "field", "plan", "report"},
}
"""The rooms that each room may import. Scripts may import all of them."""

SCIENCE = {"core", "images", "models", "detection", "fits", "photometry", "registration", "simulation"}
"""Rooms that open no file, with the exceptions below."""

OPENS_FILES = {"fits/imfit_loader.py": "sends what IMFIT prints to nowhere"}
"""Modules of science rooms that open files, each with its reason."""
FILE_CALLS = {"open", "read_text", "write_text", "read_bytes", "write_bytes", "memmap", "fromfile", "tofile", "savefig"}
NUMPY_FILE_CALLS = {"load", "save", "savez", "loadtxt", "savetxt", "genfromtxt"}
FILE_MODULES = {"fitsio", "tempfile", "shutil", "h5py", "yaml"}


@functools.cache
def tree_of(path):
    """Return the syntax tree of a file, which no test may change."""
    return ast.parse(path.read_text())


def without_type_checking(tree):
    """Drop the blocks that only a type checker reads."""
    for node in ast.walk(tree):
        for name in ("body", "orelse"):
            body = getattr(node, name, None)
            if isinstance(body, list):
                kept = [n for n in body if not (isinstance(n, ast.If) and "TYPE_CHECKING" in ast.dump(n.test))]
                setattr(node, name, kept)
    return tree


@functools.cache
def imported_modules(path):
    """Return the modules of the library that a module of it imports, as (room, module)."""
    found = set()
    package = path.relative_to(LIBRARY).parent.parts
    for node in ast.walk(without_type_checking(ast.parse(path.read_text()))):
        if isinstance(node, ast.ImportFrom):
            assert node.level or (node.module or "").split(".")[0] != "unblend", f"{path}: import relatively"
        if isinstance(node, ast.ImportFrom) and node.level:
            base = package[: len(package) - node.level + 1]
            parts = (*base, *(node.module.split(".") if node.module else ()))
            found |= {parts[:2]} if len(parts) > 1 else {(*parts, alias.name) for alias in node.names}
    return found


def imported_packages(path):
    """Return the top names of all absolute imports of a file, at its top or inside a function."""
    names = set()
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            names.add((node.module or "").split(".")[0])
    return names


MODULES = {str(p.relative_to(LIBRARY)): p for p in sorted(LIBRARY.rglob("*.py")) if p.stem != "__init__"}
ENTRIES = {path.stem: path for path in sorted(SCRIPTS.glob("*.py"))}


def test_every_room_has_its_rule_and_says_what_it_is_for():
    rooms = {path.parent.name for path in LIBRARY.glob("*/__init__.py")}
    assert rooms == set(MAY_IMPORT)
    for room in rooms:
        lines = (ast.get_docstring(tree_of(LIBRARY / room / "__init__.py")) or "").splitlines()
        assert [line.partition(":")[0] for line in lines[2:]] == ["In", "Out"], room


def test_every_module_lies_in_a_room():
    assert {len(Path(name).parts) for name in MODULES} == {2}


@pytest.mark.parametrize("room", MAY_IMPORT)
def test_a_room_imports_only_what_its_rule_allows(room):
    used = {}
    for name, path in MODULES.items():
        if path.parent.name == room:
            used |= dict.fromkeys({module[0] for module in imported_modules(path)} - {room}, name)
    strange = {other: name for other, name in used.items() if other not in MAY_IMPORT[room]}
    assert not strange, f"{room} imports {strange}: allowed are {sorted(MAY_IMPORT[room])}"


def test_the_rules_have_no_circle():
    order = list(MAY_IMPORT)
    for room, others in MAY_IMPORT.items():
        assert all(order.index(other) < order.index(room) for other in others), room


def test_no_module_imports_in_a_circle():
    graph = {(path.parent.name, path.stem): imported_modules(path) for path in MODULES.values()}
    done, open_ = set(), []

    def visit(node):
        assert node not in open_, f"a circle: {open_[open_.index(node) :]}"
        if node in done or node not in graph:
            return
        open_.append(node)
        for other in graph[node]:
            visit(other)
        open_.pop()
        done.add(node)

    for node in graph:
        visit(node)
    assert len(done) == len(graph)


def file_calls(path):
    """Return what a file calls that opens files, with line numbers."""
    found = []
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Call):
            function = node.func
            name = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
            owner = getattr(function.value, "id", "") if isinstance(function, ast.Attribute) else ""
            if name in FILE_CALLS or (owner in ("np", "numpy") and name in NUMPY_FILE_CALLS):
                found.append(f"line {node.lineno}: {name}")
    return found


@pytest.mark.parametrize("name", [n for n, p in MODULES.items() if p.parent.name in SCIENCE and n not in OPENS_FILES])
def test_science_opens_no_files(name):
    calls = file_calls(MODULES[name])
    assert not calls, f"{name} opens files: {calls}"
    assert not imported_packages(MODULES[name]) & FILE_MODULES
    fits = [n for n in ast.walk(tree_of(MODULES[name])) if isinstance(n, ast.ImportFrom) and n.module == "astropy.io"]
    assert not fits, f"{name} imports astropy.io"


@pytest.mark.parametrize("path", sorted(LIBRARY.rglob("*.py")), ids=lambda p: str(p.relative_to(LIBRARY)))
def test_the_library_knows_nothing_of_snakemake_and_never_prints(path):
    assert "snakemake" not in imported_packages(path)
    prints = [
        node.lineno
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.Call)
        and getattr(node.func, "id", "") == "print"
        # job_log says the user's one sentence on standard error
        and not (path.stem == "job_log" and any(k.arg == "file" for k in node.keywords))
    ]
    assert not prints, f"print in lines {prints}"


@pytest.mark.parametrize("path", sorted([*LIBRARY.rglob("*.py"), *SCRIPTS.glob("*.py")]), ids=lambda p: p.stem)
def test_a_room_has_one_job(path):
    tree = tree_of(path)
    lines = path.read_text().count("\n")
    assert lines <= MAX_LINES, f"{lines} lines: split it"
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            first = node.body[1] if ast.get_docstring(node) and len(node.body) > 1 else node.body[0]
            assert node.end_lineno - first.lineno < 60, f"{node.name} has more than 60 lines"
    assert ast.get_docstring(tree), "a module says in its docstring what it is for"


@pytest.mark.parametrize("path", sorted([*LIBRARY.rglob("*.py"), *SCRIPTS.glob("*.py")]), ids=lambda p: p.stem)
def test_public_names_have_docstrings_and_annotations(path):
    tree = tree_of(path)
    classes = [node for node in tree.body if isinstance(node, ast.ClassDef) and not node.name.startswith("_")]
    for node in [member for owner in (tree, *classes) for member in owner.body]:
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_"):
            assert ast.get_docstring(node), f"{node.name} has no docstring"
        if isinstance(node, ast.FunctionDef) and not node.name.startswith("_"):
            assert node.returns is not None, f"{node.name} does not say what it returns"


@pytest.mark.parametrize("path", ENTRIES.values(), ids=lambda p: p.stem)
def test_every_script_has_a_main_and_a_guard(path):
    tree = tree_of(path)
    assert any(isinstance(node, ast.FunctionDef) and node.name == "main" for node in tree.body)
    guards = [node for node in tree.body if isinstance(node, ast.If) and "__main__" in ast.dump(node.test)]
    assert len(guards) == 1
    plain = (ast.Import, ast.ImportFrom, ast.FunctionDef, ast.ClassDef, ast.Assign, ast.AnnAssign, ast.Expr, ast.If)
    assert all(isinstance(node, plain) for node in tree.body), "work belongs into functions"
