"""pyimfit on one thread: a fit takes exactly one core, and the same sums in the same order on every machine.

IMFIT gives its FFT as many threads as the machine has physical cores, whatever `maxThreads` says. A 58-pixel cutout
with a 31-pixel PSF then costs 5.0 ms of CPU time per evaluation on two cores, 15 ms on eight, instead of 3.9 ms; and
the number of threads decides how FFTW splits its sums. A library of one function, compiled when the environment is
made (scripts/build_one_core.py), is opened first and answers IMFIT's question for the number of cores with one.
"""

from __future__ import annotations

import ctypes
import functools
import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

ONE_CORE_SOURCE = Path(__file__).with_name("one_core.cpp")
"""The source of the library."""

ONE_CORE_LIBRARY = Path(sys.prefix) / "lib" / "unblend" / "one_core.so"
"""The compiled library, in the Python environment that it belongs to."""

log = logging.getLogger(__name__)


@functools.cache
def load_pyimfit() -> ModuleType:
    """Return pyimfit, single-threaded where the library has been compiled; without it the fits are only slower."""
    if "pyimfit" in sys.modules or not _open_one_core():
        log.warning(
            "IMFIT will start one FFT thread per core: expect several times the CPU time. Run "
            "`python %s` once in this environment (it needs a C++ compiler).",
            ONE_CORE_SOURCE.parents[2] / "build_one_core.py",
        )
    import pyimfit

    return pyimfit


def _open_one_core() -> bool:
    """Open the library with its symbols global, so that it is found before IMFIT's own; return whether it worked."""
    try:
        ctypes.CDLL(str(ONE_CORE_LIBRARY), mode=ctypes.RTLD_GLOBAL)
    except OSError:
        return False
    return True


@contextmanager
def silence() -> Iterator[None]:
    """Discard what C code prints: IMFIT writes to the file descriptors, not to sys.stdout."""
    libc = ctypes.CDLL(None)
    kept = [os.dup(1), os.dup(2)]
    nowhere = os.open(os.devnull, os.O_WRONLY)
    libc.fflush(None)
    try:
        os.dup2(nowhere, 1)
        os.dup2(nowhere, 2)
        yield
    finally:
        libc.fflush(None)
        for descriptor, copy in zip((1, 2), kept, strict=True):
            os.dup2(copy, descriptor)
            os.close(copy)
        os.close(nowhere)
