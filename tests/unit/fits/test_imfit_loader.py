from __future__ import annotations

import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).parents[3] / "scripts"


def run(code: str) -> str:
    environment = {**os.environ, "PYTHONPATH": str(SCRIPTS), "OMP_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=True)
    return done.stdout + done.stderr


@pytest.mark.skipif(platform.machine() != "x86_64", reason="the count of cores is overwritten on x86-64 only")
def test_imfit_believes_in_one_core():
    code = "from unblend.fits.imfit_loader import *; load_pyimfit(); load_pyimfit(); print(core_count())"
    assert run(code).strip() == "1"


def test_a_machine_that_refuses_is_only_slower():
    code = (
        "import logging; logging.basicConfig(); import unblend.fits.imfit_loader as o; o.RETURN_ONE.clear()\n"
        "o._overwrite = None\n"
        "print(o.load_pyimfit().__name__, o.core_count())"
    )
    said = run(code)
    assert "pyimfit" in said
    # a machine with a single core has nothing to warn about
    assert os.cpu_count() == 1 or "one FFT thread per core" in said


def test_what_c_code_prints_is_silenced_and_what_comes_after_is_not():
    code = (
        "import ctypes; from unblend.fits.imfit_loader import silence\n"
        "libc = ctypes.CDLL(None)\n"
        "with silence(): libc.puts(b'noise')\n"
        "libc.puts(b'signal'); libc.fflush(None)"
    )
    assert run(code).strip() == "signal"


def test_imfit_alone_is_loaded():
    code = (
        "import sys; from unblend.fits.imfit_loader import load_pyimfit; load_pyimfit()\n"
        "print([name for name in ('pandas', 'scipy', 'pyimfit.utils') if name in sys.modules])\n"
        "import pyimfit.utils; print(callable(pyimfit.utils.ReadImfitConfigFile))"
    )
    assert run(code).split() == ["[]", "True"]
