"""The pages of the documentation: every link leads somewhere, and every page can be found."""

from __future__ import annotations

import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").glob("*.md"), ROOT / "config/README.md"])
LISTS = {"index", "changelog"}
"""Pages that only the site has."""


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_lead_to_files(page):
    targets = re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8"))
    local = [target for target in targets if not target.startswith(("http://", "https://"))]
    assert [target for target in local if not (page.parent / target).exists()] == []


@pytest.mark.parametrize("page", sorted((ROOT / "docs").glob("*.md")), ids=lambda page: page.stem)
def test_links_of_the_site_stay_on_it(page):
    """The site has the pages of docs/ alone, the README as its first one."""
    assert re.findall(r"\]\(\.\./[^)]*\)", page.read_text(encoding="utf-8")) == []


def test_every_page_is_in_the_readme_and_on_the_site():
    pages = {page.stem for page in (ROOT / "docs").glob("*.md")} - LISTS
    listed = set(re.findall(r"^([a-z0-9-]+)$", (ROOT / "docs/index.md").read_text(), re.MULTILINE))
    assert pages == listed - LISTS
    linked = set(re.findall(r"\]\(docs/([\w-]+)\.md", (ROOT / "README.md").read_text()))
    # these two belong to other pages: accuracy.md, architecture.md
    assert pages - linked <= {"accuracy-table", "lint"}


@pytest.mark.skipif(
    any(find_spec(name) is None for name in ("sphinx", "myst_parser", "furo")),
    reason="`make site` has its own packages",
)
def test_the_site_is_made_without_a_warning(tmp_path):
    command = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "-b", "html", str(ROOT / "docs")]
    done = subprocess.run([*command, str(tmp_path)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "bands.{band}" in (tmp_path / "config.html").read_text()
