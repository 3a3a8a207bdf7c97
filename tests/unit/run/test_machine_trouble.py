from __future__ import annotations

import errno
from collections import namedtuple
from pathlib import Path

import numpy as np
import pytest
from unblend.run import machine_trouble as module
from unblend.run.machine_trouble import machine_trouble

Usage = namedtuple("Usage", "free")


def test_the_machine_is_named_in_a_sentence():
    place = Path("results/logs")
    full = machine_trouble(OSError(errno.ENOSPC, "No space left on device"), place)
    assert full is not None and full.startswith("no space is left on the disk of results/logs")
    shut = machine_trouble(OSError(errno.EROFS, "Read-only file system", "results/x.fits"), place)
    assert shut is not None and shut.startswith("results/x.fits cannot be read or written (Read-only file system)")
    with pytest.raises(MemoryError) as caught:
        np.ones(2**55)
    memory = machine_trouble(caught.value, place)
    assert memory is not None and memory.startswith("the job needs more memory than it may have (Unable to allocate")


@pytest.mark.parametrize(("free", "said"), [(0, True), (10**9, False)])
def test_an_error_of_cfitsio_on_a_full_disk(monkeypatch, tmp_path, free, said):
    """It has no number of the system."""
    monkeypatch.setattr(module.shutil, "disk_usage", lambda folder: Usage(free))
    found = machine_trouble(OSError("FITSIO status = 106: error writing to FITS file"), tmp_path)
    assert (found is not None) == said


def test_other_errors_are_not_the_machines(tmp_path):
    assert machine_trouble(ValueError("no space"), tmp_path) is None
    assert machine_trouble(OSError("FITSIO status = 106: error writing to FITS file"), tmp_path / "none") is None
