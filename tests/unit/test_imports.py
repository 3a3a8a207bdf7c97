"""Who knows whom: imports point inward, only unblend.io opens files, nothing knows of Snakemake."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SCRIPTS = ROOT / "scripts"
LIBRARY = SCRIPTS / "unblend"
MAX_LINES = 500

CORE = {"domain", "geometry", "units", "flags", "errors"}
FIT = {
    "imfit",
    "imfit_text",
    "fit_data",
    "fit_ladder",
    "fit_prior",
    "fit_result",
    "fitting",
    "overrides",
    "onethread",
    "sersic",
    "fit_chain",
    "misplaced",
    "directives",
    "fftsize",
    "smoothed_noise",
}
"""The fit of a group: one stage in several rooms, which know each other."""

# What a stage module may know besides the core, each with its reason.
EXCEPTIONS: dict[str, set[str]] = {
    "templates": {"psf"},  # the PSF's transform at any frequency
    "shapes": {"templates", "psf", "linear", "sersic_transform"},  # derivatives of templates, weighed by the influence
    "shift_summary": {"astrometry", "registration"},  # says in arcsec what these have found
    "registration": {
        "astrometry",
        "linear",
        "psf",
        "templates",
    },  # offsets of sources from templates and their gradients
    "astrometry": {"linear", "noise", "normal_matrix"},  # every point of the search is a linear solution; honest errors
    "montecarlo": {"linear", "masks"},  # fits again with the factorised matrix; circles keep away from masks
    "noise": {"linear", "normal_matrix"},  # the sandwich needs the inverse
    "extraction": {
        "linear",
        "noise",
        "unmodelled",
    },  # weights, solution and noise in the order in which they need each other
    "unmodelled": {"linear", "masks"},  # the robust scatter of the residual; masks that grow
    "linear": {"normal_matrix"},  # two halves of one stage
    "page_panels": {"page_pixels", "plots"},  # binned as the page is, on the figures' stretch
    "grouping": {"fftsize"},  # cutouts grow to sides that the FFT of the fits likes
    "rendering": {"sersic"},  # the constants of the profile
    "model_images": {"rendering", "fit_result", "imfit", "imfit_text"},  # from fitted functions to a picture
    "fit_table": {"fit_result"},  # the fitted parameters as a table
    "fit_words": {"fit_result", "imfit_text"},  # the fitted parameters as words
    "fit_pictures": {"plots", "sersic"},  # the stretch and the outlines of all figures; the ellipse of a profile
    "fit_sheet": {"fit_words"},  # flags in words
    "left_over": {"templates"},  # every model is subtracted as its template
    "simulate": {"simulate_sources"},  # the example field: sources drawn, then observed
    "example_field": {"simulate", "simulate_sources"},  # what the example field holds
    "adjusting_figures": {"plots"},  # the stretch of all pictures
    "override_text": {"fit_result", "imfit_text"},  # a fit as a file to edit
    **dict.fromkeys(("imfit", "fit_data", "fit_ladder", "fit_prior", "fit_result", "fitting", "overrides"), FIT),
    **dict.fromkeys(("misplaced", "fit_chain"), FIT),
}
# What modules of unblend.io may know of the stages: the nouns that they write and read, and the plan of the jobs.
IO_EXCEPTIONS: dict[str, set[str]] = {
    # the table of what a job depends on is built from the configuration, and from whom the user wants together
    "jobs": {"batches", "config", "directives", "wavelengths"},
    "commands": {"config"},  # a command is asked about a field
    "checks": {"config", "directives", "overrides"},  # everything that a user may have written wrongly
    "report_sections": {"masks", "page"},  # circles of products, numbers as the page takes them
    "report_pixels": {"masks", "page", "page_panels", "page_pixels", "plots"},  # images, coded as the page takes them
    "report_field": {"page_pixels"},  # tells the page how its pixels are coded
    "example": {"config"},  # the seed and the folder stand in the configuration
    "fit_field": {
        "fit_data",
        "fit_psf",
        "fit_result",
        "fitting",
        "overrides",
        "templates",
    },  # what the fits of a field read
    "fit_pictures": {
        "fit_pictures",
        "fit_result",
        "fit_sheet",
        "fit_words",
        "runlog",
    },  # reads what is drawn, keeps what is
    "field_state": {"progress"},  # says in words what it has found
    "run_watch": {"progress"},  # prints how far a run is
    "live_stack": {"left_over", "model_images"},  # subtracts what is fitted so far
    "fit_batch": {"fit_result", "fitting", "onethread", "runlog", "workers"},  # runs the fits of a batch and keeps them
    "render_batch": {"model_images", "runlog", "workers"},  # draws the models of a batch and keeps them
    "imfit_files": {"imfit_text", "fit_result", "fit_data", "imfit", "directives"},  # IMFIT's own formats
    "scenes": {"linear"},  # the noise of a band is measured where it is read
}
# Modules outside unblend.io that touch the file system, each with its reason.
OPENS_FILES = {
    "runlog": "the log and the work log of a job",
    "onethread": "sends what IMFIT prints to nowhere",
}
FILE_CALLS = {"open", "read_text", "write_text", "read_bytes", "write_bytes", "memmap", "fromfile", "tofile", "savefig"}
NUMPY_FILE_CALLS = {"load", "save", "savez", "loadtxt", "savetxt", "genfromtxt"}
FILE_MODULES = {"fitsio", "tempfile", "shutil", "h5py", "yaml"}


def modules(folder):
    return {path.stem: path for path in sorted(folder.glob("*.py")) if path.stem != "__init__"}


def tree_of(path):
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


def siblings(path):
    """Return the modules of the library that a file imports, as ("" or "io", name)."""
    found = set()
    inside_io = path.parent.name == "io"
    for node in ast.walk(without_type_checking(tree_of(path))):
        if isinstance(node, ast.ImportFrom) and node.level:
            in_io = inside_io and node.level == 1
            parts = (node.module or "").split(".") if node.module else []
            if parts[:1] == ["io"]:
                in_io, parts = True, parts[1:]
            names = parts[:1] or [alias.name for alias in node.names]
            found |= {("io" if in_io else "", name) for name in names}
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "unblend":
            found.add(("absolute", node.module))
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


STAGES = modules(LIBRARY)
IO = modules(LIBRARY / "io")
ENTRIES = modules(SCRIPTS)


@pytest.mark.parametrize("name", STAGES)
def test_a_stage_is_a_leaf(name):
    known = {module for room, module in siblings(STAGES[name]) if room == ""}
    strange = known - CORE - EXCEPTIONS.get(name, set())
    assert not strange, (
        f"{name} imports {sorted(strange)}: a stage knows only {sorted(CORE)} and its written exceptions"
    )
    assert not [module for room, module in siblings(STAGES[name]) if room != ""], f"{name} imports unblend.io"


@pytest.mark.parametrize("name", sorted(CORE))
def test_the_core_knows_only_the_core(name):
    assert {module for _, module in siblings(STAGES[name])} <= CORE


@pytest.mark.parametrize("name", IO)
def test_io_knows_the_core_itself_and_its_exceptions(name):
    known = {module for room, module in siblings(IO[name]) if room == ""}
    strange = known - CORE - IO_EXCEPTIONS.get(name, set())
    assert not strange, f"io.{name} imports {sorted(strange)}"


def test_no_module_imports_in_a_circle():
    graph = {("", name): siblings(path) for name, path in STAGES.items()}
    graph |= {("io", name): siblings(path) for name, path in IO.items()}
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


def test_the_exceptions_are_all_needed():
    # a family shares one line; all else must be used, or the table tells a reader what is not so
    for table, files in ((EXCEPTIONS, STAGES), (IO_EXCEPTIONS, IO)):
        for name, allowed in table.items():
            assert name in files, f"{name} is gone: drop its exceptions"
            used = {module for room, module in siblings(files[name]) if room == ""}
            unused = set() if allowed is FIT else allowed - used
            assert not unused, f"{name} no longer imports {sorted(unused)}: drop them from the table"


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


@pytest.mark.parametrize("name", [name for name in STAGES if name not in OPENS_FILES])
def test_only_io_opens_files(name):
    calls = file_calls(STAGES[name])
    assert not calls, f"{name} opens files: {calls}"
    assert not imported_packages(STAGES[name]) & FILE_MODULES
    fits = [n for n in ast.walk(tree_of(STAGES[name])) if isinstance(n, ast.ImportFrom) and n.module == "astropy.io"]
    assert not fits, f"{name} imports astropy.io"


@pytest.mark.parametrize("path", sorted(LIBRARY.rglob("*.py")), ids=lambda p: str(p.relative_to(LIBRARY)))
def test_the_library_knows_nothing_of_snakemake_and_never_prints(path):
    assert "snakemake" not in imported_packages(path)
    prints = [
        node.lineno
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.Call)
        and getattr(node.func, "id", "") == "print"
        # runlog says the user's one sentence on standard error
        and not (path.stem == "runlog" and any(k.arg == "file" for k in node.keywords))
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
