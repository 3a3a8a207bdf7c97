"""Compile the library that keeps IMFIT on one thread, into the environment of the Python that runs this script."""

from __future__ import annotations

import logging
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from unblend.core.errors import UnblendError
from unblend.fits.imfit_loader import ONE_CORE_LIBRARY, ONE_CORE_SOURCE
from unblend.run.job_log import run

log = logging.getLogger("unblend.fits")


def main() -> None:
    """Compile the library; it appears whole or not at all.

    Raises
    ------
    UnblendError
        There is no C++ compiler, or it fails.
    """
    compiler = next(filter(None, (os.environ.get("CXX"), *map(shutil.which, ("g++", "c++", "clang++")))), None)
    if compiler is None:
        raise UnblendError("no C++ compiler was found: install g++ (on Debian or Ubuntu: sudo apt-get install g++).")
    ONE_CORE_LIBRARY.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=ONE_CORE_LIBRARY.parent) as folder:
        made = Path(folder) / ONE_CORE_LIBRARY.name
        command = [compiler, "-shared", "-fPIC", "-O1", "-o", str(made), str(ONE_CORE_SOURCE)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise UnblendError(f"{compiler} could not compile {ONE_CORE_SOURCE}: {done.stderr.strip()[:500]}")
        made.replace(ONE_CORE_LIBRARY)
    log.info("%s is ready", ONE_CORE_LIBRARY)


if __name__ == "__main__":
    run(main)
