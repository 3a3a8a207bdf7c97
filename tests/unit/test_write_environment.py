"""The conda environment, the image and the lock have the same packages and the same Python."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
import yaml
from write_environment import EXTRAS, PYTHON, environment, name_of, needed, read_lock

ROOT = Path(__file__).resolve().parents[2]
LOCK = """\
numpy==2.3.1
    # via
    #   scipy
    #   unblend (pyproject.toml)
python-dateutil==2.9
    # via matplotlib
Scipy==1.16.0
    # via unblend (pyproject.toml)
pytest==8.2
    # via unblend (pyproject.toml)
matplotlib[all]==3.9
    # via unblend (pyproject.toml)
iniconfig==2.0
    # via pytest
"""


def test_the_environment_is_that_of_the_lock():
    text = (ROOT / "envs/unblend.yaml").read_text()
    assert text == environment(ROOT), "envs/unblend.yaml is not that of the lock: run scripts/write_environment.py"


def test_every_package_of_the_project_is_in_the_environment_and_no_package_of_the_tests():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    content = yaml.safe_load((ROOT / "envs/unblend.yaml").read_text())["dependencies"]
    pinned = dict(each.split("==") for each in content[-1]["pip"])
    extras = project["optional-dependencies"]
    wanted = [*project["dependencies"], *(each for extra in EXTRAS for each in extras[extra])]
    assert {name_of(each) for each in wanted} <= set(pinned)
    assert not {"pytest", "mypy", "selenium", "hypothesis", "ruff"} & set(pinned)
    assert f"python={PYTHON}" in content


def test_packages_are_followed_to_those_that_need_them():
    packages = read_lock(LOCK)
    assert packages["numpy"] == ("2.3.1", {"scipy", "unblend"})
    assert needed(packages, {"matplotlib"}) == {"matplotlib": "3.9", "python-dateutil": "2.9"}
    assert needed(packages, {"scipy"}) == {"scipy": "1.16.0", "numpy": "2.3.1"}


@pytest.mark.parametrize(
    ("requirement", "name"), [("fsspec[http]>=2024.6", "fsspec"), ("PyYAML", "pyyaml"), ("a_b.c>1; x", "a-b-c")]
)
def test_names_are_written_in_one_way(requirement, name):
    assert name_of(requirement) == name


def test_a_lock_that_lacks_a_package_or_a_version_is_refused():
    with pytest.raises(ValueError, match=r"lacks zarr: run `make lock`"):
        needed(read_lock(LOCK), {"zarr"})
    with pytest.raises(ValueError, match="line 2: expected a package with its version, found 'scipy>=1'"):
        read_lock("numpy==2\nscipy>=1\n")


def test_the_image_has_the_same_python_and_its_packages_from_the_lock_alone():
    text = (ROOT / "Dockerfile").read_text()
    assert set(re.findall(r"^FROM python:([\d.]+)-", text, re.MULTILINE)) == {PYTHON}
    installed = re.findall(r"pip install (.*)", text)
    assert len(installed) == 1 and installed[0].endswith("--no-deps --requirement /opt/unblend/requirements.lock")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["requires-python"] == f">={PYTHON}"
    left_out = (ROOT / ".dockerignore").read_text().split()
    assert {".git", ".venv", "results", "example"} <= set(left_out)
