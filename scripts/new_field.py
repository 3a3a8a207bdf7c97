"""`./unblend new FOLDER IMAGE…`: look at images, and write a config.yaml that uses them into a folder."""

from __future__ import annotations

import argparse
import logging
import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from unblend.core.errors import InputError, UnblendError
from unblend.io.files import write_text
from unblend.plan.checks import check_inputs, jobs_of
from unblend.plan.config import load_config
from unblend.plan.config_text import read_config_file
from unblend.plan.found_images import find_images
from unblend.plan.new_config import config_text
from unblend.run.commands import in_folder
from unblend.run.job_log import run
from unblend.run.new_field import choose, notes, table

DESCRIPTION = (
    "Look at images, say what was found, and write a commented config.yaml into FOLDER. Weight maps and PSFs are found "
    "in the files and beside them by their usual names. Nothing else is written, and no file is changed."
)


def main(*words: str) -> None:
    """Write FOLDER/config.yaml, which must not exist."""
    parser = argparse.ArgumentParser(prog="./unblend new", description=DESCRIPTION)
    parser.add_argument("folder", metavar="FOLDER", help="where config.yaml is written and the field is run")
    parser.add_argument("images", metavar="IMAGE", nargs="+", help="FITS images, or folders of them")
    parser.add_argument("--yes", action="store_true", help="ask nothing: take the likely answers, and say which")
    options = parser.parse_args(words)
    folder = Path(options.folder)
    path = folder / "config.yaml"
    if path.exists():
        raise InputError(f"{path} exists and is not changed; name another folder.")
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder} is a file; expected a new folder. Name the folder first, then the images.")
    with only_errors():
        images, problems = find_images(options.images)
    say("\n".join(table(images)), "")
    asks = not options.yes and sys.stdin.isatty()
    choices = choose(images, answer if asks else lambda question: "", say)
    write_text(path, config_text(images, choices, folder))
    said = list(notes(images, problems))
    say("", *(["what is missing or uncertain:"] if said else []), *(f"  {note}" for note in said))
    say("", f"{path}: written. Look it over; every line has its reason.", *next_steps(folder))


@contextmanager
def only_errors() -> Iterator[None]:
    """Log no warnings: files that `new` looks at and does not use are not mistakes of the user."""
    log = logging.getLogger("unblend")
    before = log.level
    log.setLevel(logging.ERROR)
    try:
        yield
    finally:
        log.setLevel(before)


def answer(question: str) -> str:
    """Return the answer of the user; the end of the input (Ctrl-D) is an empty one."""
    try:
        return input(question)
    except EOFError:
        say()
        return ""


def next_steps(folder: Path) -> list[str]:
    """Return what to do next, after a check of the new field."""
    place = shlex.quote(str(folder))
    try:
        config = in_folder(load_config(read_config_file(folder / "config.yaml")), folder)
        check_inputs(jobs_of(config, Path(__file__).resolve().parent))
    except UnblendError as error:
        return [f"It cannot be run yet: {error}", f"Then: ./unblend check {place}, and ./unblend run {place}"]
    return [f"It has no mistakes. Run it: ./unblend run {place}"]


def say(*lines: str) -> None:
    """Print lines."""
    sys.stdout.write("".join(f"{line}\n" for line in lines))
    sys.stdout.flush()


if __name__ == "__main__":
    run(main)
