"""pyimfit on one thread: a fit takes exactly one core, and the same sums in the same order on every machine.

IMFIT hands its FFT as many threads as the machine has physical cores, whatever `maxThreads` says. A 58-pixel cutout
with a 31-pixel PSF then costs 5.0 ms of CPU time per evaluation on two cores, 15 ms on eight, instead of 3.9 ms; and
the number of threads decides how FFTW splits its sums. Pinning the process to a core brings 6.7 ms on eight, but
several jobs may share a core then. So the library's own count of cores is made to answer one.
"""

from __future__ import annotations

import ctypes
import functools
import logging
import mmap
import os
import platform
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType

CORE_COUNT = "_Z20GetPhysicalCoreCountv"
"""C++ name of `int GetPhysicalCoreCount()`, which IMFIT asks before it plans an FFT."""

RETURN_ONE = {"x86_64": bytes.fromhex("b801000000c3"), "AMD64": bytes.fromhex("b801000000c3")}
"""Machine code of `return 1`. pyimfit's libraries exist for this processor only."""

log = logging.getLogger(__name__)


@functools.cache
def load_pyimfit() -> ModuleType:
    """Return pyimfit, made single-threaded where the system lets us (otherwise it is only slower)."""
    # Its helpers, which nothing else of it uses, import scipy.optimize and pandas: 0.5 s and 0.3 s a job.
    with _left_out("pyimfit.utils"):
        import pyimfit
    from pyimfit import pyimfit_lib

    if not _answer_one(pyimfit_lib.__file__):
        log.warning("IMFIT will start one FFT thread per core: expect several times the CPU time.")
    return pyimfit


@contextmanager
def _left_out(module: str) -> Iterator[None]:
    """Let `import module` give an empty one, unless it has been imported before."""
    hidden = module not in sys.modules
    if hidden:
        sys.modules[module] = ModuleType(module)
    try:
        yield
    finally:
        if hidden:
            del sys.modules[module]


def core_count() -> int:
    """Return the number of cores that the loaded IMFIT believes to have."""
    from pyimfit import pyimfit_lib

    return int(getattr(ctypes.CDLL(pyimfit_lib.__file__), CORE_COUNT)())


def _answer_one(library: str) -> bool:
    """Overwrite the first bytes of the core count of a loaded library by `return 1`; say whether it worked."""
    code = RETURN_ONE.get(platform.machine())
    try:
        function = getattr(ctypes.CDLL(library), CORE_COUNT)
        if function() == 1:
            return True
        if code is None:
            return False
        _overwrite(ctypes.cast(function, ctypes.c_void_p).value or 0, code)
    except (OSError, AttributeError):
        return False
    return int(function()) == 1


def _overwrite(address: int, code: bytes) -> None:
    """Write `code` over the instructions at `address`, whose pages are read-only before and after."""
    libc = ctypes.CDLL(None, use_errno=True)
    start = address - address % mmap.PAGESIZE
    length = ctypes.c_size_t(address + len(code) - start)
    if libc.mprotect(ctypes.c_void_p(start), length, mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC):
        raise OSError(ctypes.get_errno(), "mprotect")
    ctypes.memmove(address, code, len(code))
    libc.mprotect(ctypes.c_void_p(start), length, mmap.PROT_READ | mmap.PROT_EXEC)


@contextmanager
def silence() -> Iterator[None]:
    """Send what C code prints to nowhere: IMFIT writes to the file descriptors, not to sys.stdout."""
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
