from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from unblend.core.errors import RegionError
from unblend.io.files import is_url
from unblend.plan import provenance as provenance_module
from unblend.plan.provenance import Provenance

SCRIPT = '''"""Extract."""
from unblend.photometry.linear import solve
from unblend.io import tables


def main():
    solve()
'''
LINEAR = '''"""Linear."""

from ..core.types import Box


def solve():
    """Solve."""
    return Box
'''
FILES = {
    "extract.py": SCRIPT,
    "other.py": "def main():\n    from unblend.report import plots\n",
    "unblend/__init__.py": "",
    "unblend/photometry/linear.py": LINEAR,
    "unblend/core/types.py": "class Box:\n    pass\n",
    "unblend/report/plots.py": "def draw():\n    from ..core.units import scale\n    return scale\n",
    "unblend/core/units.py": "scale = 1\n",
    "unblend/io/__init__.py": "",
    "unblend/io/tables.py": "from .files import write\nfrom ..core.types import Box\n",
    "unblend/io/files.py": "write = 1\n",
}


def code_digests(folder, **edits):
    """Write the files with edits (a/b.py as a__b) and return the digests of both scripts."""
    for name, text in FILES.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(edits.get(name.removesuffix(".py").replace("/", "__"), text))
    provenance = Provenance(folder, folder / "specs")
    return provenance.code("extract"), provenance.code("other")


@pytest.fixture
def base(tmp_path):
    return code_digests(tmp_path / "base")


# Code: digests are kept per folder, so every edit has its own ---------------------------------------------------------


@pytest.mark.parametrize(
    ("module", "text", "changes"),
    [
        ("extract", FILES["extract.py"] + "\nx = 1\n", (True, False)),
        ("unblend__photometry__linear", LINEAR.replace("return Box", "return None"), (True, False)),
        ("unblend__core__types", "class Box:\n    y0 = 0\n", (True, False)),
        ("unblend__io__files", "write = 2\n", (True, False)),
        ("unblend__core__units", "scale = 2\n", (False, True)),
        (
            "unblend__report__plots",
            FILES["unblend/report/plots.py"].replace("return scale", "return None"),
            (False, True),
        ),
        ("unblend__photometry__linear", LINEAR.replace("Solve.", "Solve it all."), (False, False)),
        ("unblend__photometry__linear", "# a remark\n" + LINEAR.replace("\n\n\n", "\n\n\n\n\n"), (False, False)),
        ("unblend__photometry__linear", LINEAR.replace('"""Linear."""\n\n', ""), (False, False)),
    ],
    ids=["script", "module", "module of a module", "io", "inside a function", "lazily", "docstring", "remark", "none"],
)
def test_code_counts_where_it_is_imported_and_means_something_else(tmp_path, base, module, text, changes):
    after = code_digests(tmp_path / "after", **{module: text})
    assert tuple(a != b for a, b in zip(after, base, strict=True)) == changes


def test_the_folder_does_not_count(tmp_path, base):
    assert code_digests(tmp_path / "elsewhere") == base


def test_a_new_version_of_a_package_counts_where_it_is_imported(tmp_path, base, monkeypatch):
    linear = "import scipy.linalg\n" + LINEAR
    before = code_digests(tmp_path / "before", unblend__photometry__linear=linear)
    monkeypatch.setattr(provenance_module, "installed_version", lambda package: f"{package} 99")
    after = code_digests(tmp_path / "after", unblend__photometry__linear=linear)
    assert after[0] != before[0] and after[1] == before[1] == base[1]


def test_the_version_of_a_package_that_is_not_there():
    assert provenance_module.installed_version("numpy") == np.__version__
    assert provenance_module.installed_version("no-such-package") == ""


def test_the_real_scripts_have_digests():
    scripts = Path(__file__).resolve().parents[3] / "scripts"
    names = [path.stem for path in scripts.glob("*.py")]
    provenance = Provenance(scripts, scripts / "nowhere")
    assert len({provenance.code(name) for name in names}) == len(names)


# Inputs -------------------------------------------------------------------------------------------------------------


@pytest.fixture
def provenance(tmp_path):
    return Provenance(tmp_path, tmp_path / "specs")


def test_content(tmp_path, provenance):
    path = tmp_path / "a.fits"
    assert provenance.content(str(path)) is None
    path.write_bytes(b"one")
    first = provenance.content(str(path))
    assert provenance.content(f"{path}[SCI]") == first
    os.utime(path, (5, 5))
    assert provenance.content(str(path)) == first
    path.write_bytes(b"two")
    assert provenance.content(str(path)) not in (None, first)


def test_an_older_file_copied_over_a_newer_one_is_seen(tmp_path, provenance):
    path, old = tmp_path / "a.fits", tmp_path / "old.fits"
    path.write_bytes(b"one")
    old.write_bytes(b"two")
    first = provenance.content(str(path))
    stat = path.stat()
    os.utime(old, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    old.replace(path)
    # the same size and the same time, but not the same file
    assert provenance.content(str(path)) != first


def test_digests_are_kept_and_a_large_file_is_read_once(tmp_path, monkeypatch):
    path = tmp_path / "a.fits"
    path.write_bytes(b"one")
    first = Provenance(tmp_path, tmp_path / "specs")
    digest = first.content(str(path))
    first.save()
    monkeypatch.setattr("unblend.plan.provenance.file_digest", lambda _: pytest.fail("read again"))
    assert Provenance(tmp_path, tmp_path / "specs").content(str(path)) == digest


def test_a_broken_store_is_begun_anew(tmp_path):
    (tmp_path / "specs").mkdir()
    (tmp_path / "specs" / "digests.json").write_text("{half")
    (tmp_path / "a.fits").write_bytes(b"one")
    assert Provenance(tmp_path, tmp_path / "specs").content(str(tmp_path / "a.fits"))


@pytest.mark.parametrize(
    ("name", "answer"),
    [
        ("http://x/a", True),
        ("https://x/a", True),
        ("s3://b/a", True),
        ("a.fits", False),
        ("ftp://x/a", False),
        ("http", False),
    ],
)
def test_is_url(name, answer):
    assert is_url(name) is answer


def test_a_url_counts_by_its_address(provenance):
    assert provenance.content("https://x/a.fits") == provenance.content("https://x/a.fits")
    assert provenance.content("https://x/a.fits") != provenance.content("https://x/b.fits")


def test_grid_sees_the_header_and_not_the_pixels(tmp_path, provenance):
    path = tmp_path / "a.fits"
    fits.PrimaryHDU(np.zeros((3, 3)), fits.Header({"CRVAL1": 1.0, "DATE": "2020-01-01"})).writeto(path)
    first = provenance.grid(str(path))
    fits.PrimaryHDU(np.ones((3, 3)), fits.Header({"CRVAL1": 1.0, "DATE": "2021-01-01"})).writeto(path, overwrite=True)
    assert provenance.grid(str(path)) == first
    fits.PrimaryHDU(np.ones((3, 4)), fits.Header({"CRVAL1": 1.0})).writeto(path, overwrite=True)
    second = provenance.grid(str(path))
    fits.PrimaryHDU(np.ones((3, 4)), fits.Header({"CRVAL1": 2.0})).writeto(path, overwrite=True)
    assert len({first, second, provenance.grid(str(path))}) == 3
    assert provenance.grid(str(tmp_path / "none.fits")) is None


def test_grids_of_extensions_are_their_own(tmp_path, provenance):
    path = tmp_path / "a.fits"
    planes = [fits.ImageHDU(np.zeros((3, side)), name=name) for side, name in ((3, "SCI"), (4, "ERR"))]
    fits.HDUList([fits.PrimaryHDU(), *planes]).writeto(path)
    assert provenance.grid(f"{path}[SCI]") != provenance.grid(f"{path}[ERR]")


def test_the_size_of_an_image_and_of_a_table(tmp_path, provenance):
    path, table = str(tmp_path / "a.fits"), str(tmp_path / "t.fits")
    assert provenance.shape(path) is None and provenance.rows(table) is None
    fits.HDUList(
        [fits.PrimaryHDU(), *(fits.ImageHDU(np.zeros((3, side)), name=f"N{side}") for side in (4, 5))]
    ).writeto(path)
    assert provenance.shape(path) == [3, 4] and provenance.shape(f"{path}[N5]") == [3, 5]
    for number in (7, 0):
        rows = np.zeros(number, dtype=[("id", "i4")])
        fits.BinTableHDU(rows).writeto(table, overwrite=True)
        assert provenance.rows(table) == number


def test_regions_count_by_what_they_mean(tmp_path, provenance):
    path = tmp_path / "a.reg"
    empty = provenance.regions(str(path))
    path.write_text('fk5;circle(1,2,3")\n')
    first = provenance.regions(str(path))
    path.write_text('# Region file\nglobal color=green\nfk5\ncircle(1,2,3")  # color=red\n')
    assert provenance.regions(str(path)) == first != empty
    path.write_text("fk5;circle(1,2\n")
    with pytest.raises(RegionError, match="line 1"):
        provenance.regions(str(path))
