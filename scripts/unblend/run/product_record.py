"""What made the products of a field: versions, configuration, input files and code, from the specs of its jobs."""

from __future__ import annotations

import platform
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from ..io.files import digest_of, read_note

PACKAGES = ("numpy", "scipy", "astropy", "finufft", "fitsio", "pyimfit", "sep", "snakemake", "matplotlib")
"""The packages with which the products are computed."""
NO_SETTINGS = ("code", "lost", "damaged", "again")
"""Keys of a job spec that are no settings: the digest of its code, and marks of what is made again."""


def product_record(results: Path, own_version: str) -> dict[str, Any]:
    """Return versions, configuration, the digests of input files by path, and of code and settings by stage.

    Parameters
    ----------
    results : Path
        Folder of the products, with the specs of the jobs that made them.
    own_version : str
    """
    inputs: dict[str, Any] = {}
    stages: dict[str, Any] = {}
    config = results / "specs" / "config.json"
    for path in sorted((results / "specs").rglob("spec.json")):
        spec = read_note(path, {})
        stage = path.parent.relative_to(results / "specs").as_posix()
        settings = {name: value for name, value in spec.items() if name not in NO_SETTINGS}
        stages[stage] = {"code": spec.get("code"), "settings": digest_of(settings)}
        inputs |= dict(_files(spec))
    return {
        "unblend": own_version,
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "packages": {name: _version(name) for name in PACKAGES},
        "command": "unblend run FIELD, or: snakemake --directory FIELD",
        "config": read_note(config, {}) or None,
        "inputs": inputs,
        "stages": stages,
    }


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _files(content: Any) -> Iterator[tuple[str, Any]]:
    """Yield the path and digest of every file that is recorded somewhere in a spec."""
    if isinstance(content, dict):
        if isinstance(content.get("file"), str) and content.get("digest"):
            yield content["file"], content["digest"]
        for value in content.values():
            yield from _files(value)
    elif isinstance(content, list):
        for value in content:
            yield from _files(value)
