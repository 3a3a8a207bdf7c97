"""Snakemake in forks of a process that has loaded it: two seconds of processor time less for each of the many runs.

`run_snakemake` does what the command line does, in a process of its own. Tests of what a user types, of signals and of
kills start Python anew. As a script: the process that is forked.
"""

from __future__ import annotations

import atexit
import functools
import json
import os
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NoReturn


def run_snakemake(options: Sequence[str], env: Mapping[str, str], cwd: Path | None = None) -> tuple[int, str]:
    """Run Snakemake to its end.

    Parameters
    ----------
    options : sequence of str
        Of the command line.
    env : mapping
        Environment variables.
    cwd : Path, optional
        Where it runs; by default where this process does.

    Returns
    -------
    status : int
        The exit status; negative for the signal that has ended the process.
    messages : str
        Standard output and standard error.
    """
    with tempfile.NamedTemporaryFile() as messages:
        server = _server()
        assert server.stdin is not None and server.stdout is not None
        request = {"options": options, "env": dict(env), "messages": messages.name, "cwd": str(cwd or Path.cwd())}
        server.stdin.write(json.dumps(request) + "\n")
        server.stdin.flush()
        status = int(server.stdout.readline())
        return status, Path(messages.name).read_text(errors="replace")


@functools.cache
def _server() -> subprocess.Popen[str]:
    """Return the process that is forked, which ends with this one."""
    started = subprocess.Popen([sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    atexit.register(started.communicate)
    return started


def serve() -> None:
    """Run Snakemake for every request on standard input, and print its exit status."""
    from snakemake.cli import get_argument_parser

    get_argument_parser()  # loads all plugins
    for line in sys.stdin:
        child = os.fork()
        if not child:
            run(**json.loads(line))
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)  # noqa: T201


def run(options: list[str], env: dict[str, str], messages: str, cwd: str) -> NoReturn:
    """Run Snakemake and end this process."""
    from snakemake.cli import main

    for number, path in ((0, os.devnull), (1, messages), (2, messages)):
        os.dup2(os.open(path, os.O_RDWR | os.O_APPEND), number)
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(env)
    sys.argv[1:], sys.path[0] = options, cwd
    try:
        main()
        status = 0
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        traceback.print_exc()
        status = 1
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


if __name__ == "__main__":
    serve()
