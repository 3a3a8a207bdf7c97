from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).parents[3] / "scripts"
COUNT_THREADS = """
import os, numpy as np
from unblend.fits.imfit_loader import load_pyimfit
pyimfit = load_pyimfit()
model = pyimfit.SimpleModelDescription()
model.x0.setValue(30.0); model.y0.setValue(30.0)
model.addFunction(pyimfit.make_imfit_function("Sersic"))
psf = np.outer(*[np.exp(-0.5 * ((np.arange(31) - 15) / 2.0) ** 2)] * 2)
before = len(os.listdir("/proc/self/task"))
pyimfit.Imfit(model, psf=psf).getModelImage(shape=(160, 160))
print("threads", before, len(os.listdir("/proc/self/task")))
"""


def run(code: str, **variables: str) -> str:
    environment = {**os.environ, "PYTHONPATH": str(SCRIPTS), "OMP_NUM_THREADS": "1", **variables}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=True)
    return done.stdout + done.stderr


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="threads are counted where Linux lists them")
def test_imfit_starts_no_thread():
    found = run(COUNT_THREADS)
    words = next(line for line in found.splitlines() if line.startswith("threads")).split()
    assert words[1] == words[2] and "one FFT thread per core" not in found


def test_without_the_library_the_fits_are_only_slower():
    code = "import logging; logging.basicConfig()\nimport unblend.fits.imfit_loader as o\n"
    code += "o.ONE_CORE_LIBRARY = o.ONE_CORE_LIBRARY.with_name('missing.so')\nprint(o.load_pyimfit().__name__)"
    found = run(code)
    assert "pyimfit" in found and "one FFT thread per core" in found and "scripts/build_one_core.py" in found


def test_what_c_code_prints_is_silenced_and_what_comes_after_is_not():
    code = (
        "import ctypes; from unblend.fits.imfit_loader import silence\n"
        "libc = ctypes.CDLL(None)\n"
        "with silence(): libc.puts(b'noise')\n"
        "libc.puts(b'signal'); libc.fflush(None)"
    )
    assert run(code).strip() == "signal"


def test_nothing_else_imports_pyimfit():
    """An import without the library leaves IMFIT with several FFT threads, and then a forked worker waits for ever."""
    importing = re.compile(r"^\s*(import pyimfit|from pyimfit )", re.MULTILINE)
    files = [path for folder in (SCRIPTS, SCRIPTS.parent / "tests") for path in folder.rglob("*.py")]
    assert {path.name for path in files if importing.search(path.read_text())} == {"imfit_loader.py"}
