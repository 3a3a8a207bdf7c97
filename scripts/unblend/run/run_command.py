"""The command line of Snakemake with which a field is run."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from ..core.errors import InputError, UnblendError
from ..core.large_field import is_large
from ..io.images import read_shape
from ..plan.config import load_config
from ..plan.config_text import read_config_file
from .commands import config_file, in_folder

PROGRAM = Path(__file__).resolve().parents[3]
CORES = ("--cores", "-c", "--jobs", "-j", "--profile", "--workflow-profile")
"""Options of Snakemake that say how many jobs run at the same time, or where."""
RATE = "--max-jobs-per-timespan"
SLOW_RATE = (RATE, "6000/1m")
"""Snakemake works out the requests of all waiting jobs again at the end of each timespan, once for every job that has
ended. In a large field these are thousands, so that with its timespan of a second it would be busy with nothing else;
with a minute, it ends up to a minute after its last line."""
DESCRIPTION = (
    "Run the workflow on the field in the folder FIELD, whose configuration is FIELD/config.yaml, with all cores. All "
    "other words are handed on to Snakemake: products to make (relative to FIELD), and options such as -n (dry run), "
    "--cores 4, --unlock."
)


def command(words: tuple[str, ...]) -> list[str]:
    """Return the command line of Snakemake.

    Raises
    ------
    InputError
        There is no such folder, or no configuration in it.
    """
    parser = argparse.ArgumentParser(prog="./unblend run", description=DESCRIPTION)
    parser.add_argument("field", metavar="FIELD", nargs="?", default=".", help="folder of the field (default: .)")
    parser.add_argument("--configfile", help="another configuration than FIELD/config.yaml; one file")
    first = [words[0]] if words and not words[0].startswith("-") else []
    if any(word in ("-h", "--help") for word in words):
        parser.parse_args(["--help"])
    field = Path(first[0] if first else ".")
    if not field.is_dir():
        raise InputError(f"{field} is not a folder; expected that of a field as the first word: ./unblend run FIELD.")
    # Snakemake takes every word after --configfile as one more file: it comes last.
    options, others = _configfile(words[len(first) :])
    path = config_file(options, field)
    cores = [] if any(word.split("=")[0] in CORES or _is_short(word) for word in others) else ["--cores", _cores()]
    if not any(word.split("=")[0] == RATE for word in others) and _is_large(path, field):
        others += SLOW_RATE
    named = ["--configfile", str(path.resolve())] if options else []
    return [sys.executable, "-m", "snakemake", "--snakefile", str(PROGRAM / "Snakefile"), *others, *cores,
            "--directory", str(field), *named]  # fmt: skip


def _configfile(words: tuple[str, ...]) -> tuple[str | None, list[str]]:
    """Return the file after --configfile, None without one, and the other words."""
    found, others = None, list(words)
    for at, word in enumerate(words):
        name, equals, value = word.partition("=")
        if name != "--configfile":
            continue
        if not equals and at + 1 == len(words):
            raise InputError("--configfile: expected the name of a file after it.")
        found = value if equals else words[at + 1]
        others = [*words[:at], *words[at + (1 if equals else 2) :]]
        break
    return found, others


def _is_large(path: Path, folder: Path) -> bool:
    """Return whether the detection image of a field is a large one; of its mistakes Snakemake tells."""
    try:
        config = in_folder(load_config(read_config_file(path)), folder)
        image = config.bands[config.detection.flux_band].image
        return image is not None and is_large(read_shape(str(Path(config.data_dir) / image)))
    except (UnblendError, OSError, LookupError):
        return False


def _is_short(word: str) -> bool:
    """Return whether a word is -c or -j with its number attached, as in -j4."""
    return word[:2] in ("-c", "-j") and word[2:].isdigit()


def _cores() -> str:
    # macOS does not say which cores a process may use
    return str(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count())
