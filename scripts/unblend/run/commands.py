"""Options shared by the commands of `./unblend`: they select the field."""

from __future__ import annotations

import argparse
from pathlib import Path

from ..core.errors import InputError
from ..plan.config import Config, load_config
from ..plan.config_text import read_config_file


def field_parser(name: str, description: str, *, folder: bool = False) -> argparse.ArgumentParser:
    """Return the parser of `./unblend name` with the options that select the field.

    With `folder` the folder of the field may also be the first word.

    Parameters
    ----------
    name : str
        Of the command.
    description : str
    folder : bool
    """
    parser = argparse.ArgumentParser(prog=f"./unblend {name}", description=description)
    if folder:
        parser.add_argument(
            "folder",
            metavar="FIELD",
            nargs="?",
            help="folder of the field, the same as --directory; or its configuration, the same as --configfile",
        )
    parser.add_argument("--configfile", help="configuration of the field (default: config.yaml in its folder)")
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
    first = getattr(options, "folder", None)
    if first is not None and options.configfile is None and Path(first).is_file():
        # a configuration: the field is in its folder
        options.configfile, options.folder = str(Path(first).absolute()), str(Path(first).parent)
    directory = Path(getattr(options, "folder", None) or options.directory)
    return in_folder(load_config(read_config_file(config_file(options.configfile, directory))), directory)


def config_file(name: str | None, directory: Path) -> Path:
    """Return the path of a configuration: config.yaml in the folder of the field, or a file that is named.

    A file that is named is looked for in that folder first, as Snakemake does.

    Raises
    ------
    InputError
        There is no such file.
    """
    places = [directory / "config.yaml"] if name is None else [directory / name, Path(name)]
    found = next((path for path in places if path.is_file()), None)
    if found is None:
        raise InputError(
            f"{places[0]}: there is no such file; name the folder of the field, or give --configfile. "
            "`./unblend new` writes one."
        )
    return found


def in_folder(config: Config, folder: Path) -> Config:
    """Return a configuration with its relative paths changed from relative to `folder` to the current folder."""
    paths = {"data_dir": str(folder / config.data_dir), "results_dir": str(folder / config.results_dir)}
    return config.model_copy(update=paths)
