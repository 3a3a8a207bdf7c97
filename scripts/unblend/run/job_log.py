"""Logging for scripts, and the work log: what was really computed, not what was merely run."""

from __future__ import annotations

import argparse
import contextlib
import gc
import inspect
import json
import logging
import os
import signal
import sys
import time
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from ..core.errors import UnblendError
from ..core.tiles import FOLDER as TILES_FOLDER
from .benchmark import logs_folder, write_benchmark
from .machine_trouble import machine_trouble

LONG_KEYWORD = "Keyword name .* is greater than 8 characters"
"""Warning of astropy about headers of images that is no fault of the data."""
WORK_LOG_VARIABLE = "UNBLEND_WORK_LOG"
COLLECT_AFTER = 100_000
"""New objects after which Python looks for cycles; its 700 is reached hundreds of times while Astropy is imported."""


class Terminated(BaseException):
    """The job was asked to end, by a scheduler or by `kill`: a signal as an exception, so that workers are ended."""


def _terminate(number: int, _: Any) -> None:
    """Raise the exception that a signal stands for; a second signal ends the job at once."""
    signal.signal(number, signal.SIG_DFL)
    raise Terminated(signal.Signals(number).name)


def run(main: Callable[..., None]) -> None:
    """Call `main` with the options of the command line; write messages to the file after `--log`.

    A mistake of the user (UnblendError) ends in one sentence on the terminal and exit status 1; anything else leaves
    its traceback in the log and a sentence that says so; Ctrl-C, SIGTERM and SIGHUP leave a line in the log and the
    status 130, 143 or 129. A job that ends well writes its benchmark file. The process ends with `main`: Python does
    not clean up its modules first, which costs a job a quarter of a second.
    """
    started = time.monotonic()
    gc.set_threshold(COLLECT_AFTER)
    words = sys.argv[1:]
    log_file = None
    if "--log" in words:
        at = words.index("--log")
        log_file = words[at + 1]
        words = words[:at] + words[at + 2 :]
    positional, named = _arguments(main, words)
    start_logging(log_file)
    logging.raiseExceptions = False  # on a full disk each message would print a traceback of its own
    for number in (signal.SIGTERM, signal.SIGHUP):
        # nohup ignores SIGHUP
        if signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, _terminate)
    try:
        main(*positional, **named)
        if log_file:
            write_benchmark(log_file, started)
    except UnblendError as error:
        logging.getLogger("unblend").error("%s", error)
        if log_file and not _damage_is_the_cause(log_file, words):
            print(f"\nunblend: {error}\n", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        # Ctrl-C in a run reaches every job; Snakemake itself tells the user
        logging.getLogger("unblend").error("stopped by the user")
        sys.exit(130)
    except Terminated as stop:
        logging.getLogger("unblend").error(
            "the job was ended from outside (%s), for example by a scheduler at its time limit; finished work is kept: "
            "run again",
            stop,
        )
        sys.exit(128 + signal.Signals[str(stop)])
    except Exception as error:
        if isinstance(error, BrokenPipeError) and not log_file:
            os._exit(128 + signal.SIGPIPE)  # `./unblend check | head`: nobody reads on
        logging.getLogger("unblend").exception("unexpected error")
        trouble = machine_trouble(error, Path(log_file).parent if log_file else Path())
        if trouble is not None:
            print(f"\nunblend: {trouble}\n", file=sys.stderr)
        elif log_file and not _damage_is_the_cause(log_file, words):
            print(f"\nunblend: {type(error).__name__}: {error} (traceback in {log_file})\n", file=sys.stderr)
        sys.exit(1)
    logging.shutdown()
    with contextlib.suppress(BrokenPipeError):
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(0)


def _damage_is_the_cause(log_file: str, words: Sequence[str]) -> bool:
    """Move products aside that cannot be read, say so on the terminal, and return whether there were any.

    Parameters
    ----------
    log_file : str
        The log of the job, below `logs` in the results folder.
    words : sequence of str
        The words of the command line, with the files that the job has read.
    """
    logs = logs_folder(log_file)
    if logs is None:
        return False
    from ..io.damage import set_damaged_aside

    try:
        sentences = set_damaged_aside(logs.parent, words)
    except OSError:
        return False
    for sentence in sentences:
        logging.getLogger("unblend").error("%s", sentence)
        print(f"\nunblend: {sentence}\n", file=sys.stderr)
    return bool(sentences)


def _arguments(main: Callable[..., None], words: list[str]) -> tuple[list[str], dict[str, Any]]:
    """Return the arguments of `main`: all words where it takes `*words` and has a parser of its own, else options."""
    parameters = inspect.signature(main).parameters
    if any(parameter.kind is parameter.VAR_POSITIONAL for parameter in parameters.values()):
        return words, {}
    return [], vars(script_parser(main).parse_args(words))


def script_parser(main: Callable[..., None]) -> argparse.ArgumentParser:
    """Return a parser with an option for every parameter of `main`: `spec_path` becomes `--spec`.

    A parameter with a default may be left out, or be given without a value: an optional input of a rule may be empty.
    """
    parser = argparse.ArgumentParser(description=main.__doc__)
    for name, parameter in inspect.signature(main).parameters.items():
        option = "--" + name.removesuffix("_path").removesuffix("_dir").replace("_", "-")
        kind = int if parameter.annotation in (int, "int") else str
        if parameter.default is parameter.empty:
            parser.add_argument(option, dest=name, type=kind, required=True)
        else:
            parser.add_argument(
                option, dest=name, type=kind, nargs="?", default=parameter.default, const=parameter.default
            )
    return parser


def start_logging(log_file: str | None = None, level: int = logging.INFO) -> None:
    """Send the library's messages and all warnings to `log_file`, or to standard error as sentences for a user."""
    handler: logging.Handler = logging.StreamHandler(sys.stderr)
    style = "unblend: %(message)s"
    if log_file:
        Path(log_file).parent.mkdir(parents=True, exist_ok=True)
        handler, style = logging.FileHandler(log_file, mode="w"), "%(asctime)s %(levelname)s %(message)s"
    logging.basicConfig(handlers=[handler], level=level, format=style, force=True)
    logging.captureWarnings(True)
    warnings.filterwarnings("ignore", message=LONG_KEYWORD)


def band_of(product: str | Path) -> str:
    """Return the band, or the tile of a band, to whose folder a product belongs."""
    folder = Path(product).parent
    is_tile = folder.parent.name == TILES_FOLDER
    return f"{folder.parent.parent.name}/{TILES_FOLDER}/{folder.name}" if is_tile else folder.name


def record_work(stage: str, what: str | int, seconds: float | None = None) -> None:
    """Add a line to the work log, whose path is in the environment variable UNBLEND_WORK_LOG; without it do nothing.

    A line is one write in append mode, so that the lines of jobs side by side do not mix.

    Parameters
    ----------
    stage : str
        What was done: fit_first, render, extract …
    what : str or int
        For which source, group or band.
    seconds : float, optional
        Processor time that it took.
    """
    path = os.environ.get(WORK_LOG_VARIABLE)
    if not path:
        return
    content = {"stage": stage, "what": str(what)} | ({} if seconds is None else {"seconds": round(seconds, 3)})
    line = json.dumps(content) + "\n"
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    with Path(path).open("a") as log:
        log.write(line)
