"""Options shared by the commands of `./unblend`: they select the field."""

from __future__ import annotations

import argparse
from pathlib import Path

from ..core.errors import InputError
from ..plan.config import Config, load_config
from ..plan.config_text import read_text


def field_parser(name: str, description: str) -> argparse.ArgumentParser:
    """Return the parser of `./unblend name` with the options that select the field."""
    parser = argparse.ArgumentParser(prog=f"./unblend {name}", description=description)
    parser.add_argument("--configfile", default="config.yaml", help="configuration of the field (default: %(default)s)")
    parser.add_argument("--directory", default=".", help="folder in which Snakemake runs (default: this one)")
    return parser


def read_field_config(options: argparse.Namespace) -> Config:
    """Return the configuration of the field, with its relative paths changed to be relative to the current folder.

    Raises
    ------
    InputError
        There is no such file.
    ConfigError
        The file is not YAML, or the configuration has mistakes.
    """
    path = Path(options.configfile)
    # Like Snakemake, look in the directory first.
    found = next((p for p in (Path(options.directory) / path, path) if p.is_file()), None)
    if found is None:
        raise InputError(f"{path}: no such configuration; give it with --configfile, or its folder with --directory.")
    config, here = load_config(read_text(found)), Path(options.directory)
    paths = {"data_dir": str(here / config.data_dir), "results_dir": str(here / config.results_dir)}
    return config.model_copy(update=paths)
