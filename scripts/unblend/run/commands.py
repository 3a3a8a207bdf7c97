"""What the commands of `./unblend` share: which field they are asked about."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from ..core.errors import InputError
from ..plan.config import Config, load_config

SCHEMA = Path(__file__).resolve().parents[3] / "workflow/schemas/config.schema.yaml"


def field_parser(name: str, description: str) -> argparse.ArgumentParser:
    """Return the parser of `./unblend name` with the options that say which field is meant."""
    parser = argparse.ArgumentParser(prog=f"./unblend {name}", description=description)
    parser.add_argument("--configfile", default="config.yaml", help="the field's config (default: %(default)s)")
    parser.add_argument("--directory", default=".", help="where Snakemake runs it (default: here)")
    return parser


def field_of(options: argparse.Namespace) -> Config:
    """Return the configuration of the field; its relative paths are made to hold from here.

    Raises
    ------
    InputError
        There is no such file, or it has mistakes.
    """
    import yaml

    path = Path(options.configfile)
    # As Snakemake does: relative to the directory first.
    found = next((p for p in (Path(options.directory) / path, path) if p.is_file()), None)
    if found is None:
        raise InputError(f"{path}: no such config; name it with --configfile, or its folder with --directory.")
    raw: dict[str, Any] = yaml.safe_load(found.read_text())
    here = Path(options.directory)
    raw["data_dir"] = str(here / raw.get("data_dir", "."))
    raw["results_dir"] = str(here / raw.get("results_dir", "results"))
    return load_config(raw, yaml.safe_load(SCHEMA.read_text()))
