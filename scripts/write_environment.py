"""Write envs/unblend.yaml, the conda environment, with the versions of requirements.lock: `make lock` does it."""

from __future__ import annotations

import argparse
import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PYTHON = "3.11"
"""The Python for which requirements.lock is made; the Dockerfile has the same."""
EXTRAS = ("example", "s3")
"""Extras of pyproject.toml whose packages the environment has, beside those that are always needed."""
HEAD = f"""\
# Made by `make lock` from requirements.lock: the packages of the workflow, of the example field and of s3 mosaics.
# For `snakemake --software-deployment-method conda`, or `conda env create -f envs/unblend.yaml`.
name: unblend
channels:
  - conda-forge
  - nodefaults
dependencies:
  - python={PYTHON}
  - cxx-compiler
  - pip
  - pip:
"""
PINNED = re.compile(r"^(?P<name>[A-Za-z0-9._-]+)(?:\[[^]]*\])?==(?P<version>\S+)")
PARENT = re.compile(r"^    #(?: via|  ) (?P<name>[A-Za-z0-9._-]+)")


def main() -> None:
    """Write the environment."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    (ROOT / "envs/unblend.yaml").write_text(environment(ROOT))


def environment(root: Path) -> str:
    """Return the text of the environment."""
    project = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    wanted = [*project["dependencies"], *(each for extra in EXTRAS for each in project["optional-dependencies"][extra])]
    pins = needed(read_lock((root / "requirements.lock").read_text()), {name_of(each) for each in wanted})
    return HEAD + "".join(f"      - {name}=={version}\n" for name, version in sorted(pins.items()))


def name_of(requirement: str) -> str:
    """Return the name of a package in a requirement, as the lock has it: `fsspec` of `fsspec[http]>=2024.6`."""
    return re.sub(r"[-_.]+", "-", re.split(r"[^A-Za-z0-9._-]", requirement)[0]).lower()


def read_lock(text: str) -> dict[str, tuple[str, set[str]]]:
    """Return version and dependants of every package in a lock of pip-compile.

    Raises
    ------
    ValueError
        A line is neither a pinned package nor a comment.
    """
    packages: dict[str, tuple[str, set[str]]] = {}
    dependants: set[str] = set()
    for number, line in enumerate(text.splitlines(), 1):
        if found := PINNED.match(line):
            dependants = set()
            packages[name_of(found["name"])] = found["version"], dependants
        elif parent := PARENT.match(line):
            dependants.add(name_of(parent["name"]))
        elif line.strip() not in ("", "# via") and not line.startswith("#"):
            raise ValueError(f"requirements.lock, line {number}: expected a package with its version, found {line!r}.")
    return packages


def needed(packages: dict[str, tuple[str, set[str]]], wanted: set[str]) -> dict[str, str]:
    """Return the versions of the packages that are wanted, and of those that they need.

    Raises
    ------
    ValueError
        A wanted package is not in the lock.
    """
    if missing := wanted - set(packages):
        raise ValueError(f"requirements.lock lacks {', '.join(sorted(missing))}: run `make lock`.")
    found: set[str] = set()
    while wanted - found:
        found |= wanted
        wanted = {name for name, (_, dependants) in packages.items() if dependants & found}
    return {name: packages[name][0] for name in found}


if __name__ == "__main__":
    main()
