"""Errors of a job whose reason is the machine: no space left, no memory, a disk that cannot be written."""

from __future__ import annotations

import errno
import shutil
from pathlib import Path

FULL_BYTES = 1 << 20
"""Free space below which a disk counts as full: CFITSIO, zip and Matplotlib do not hand on why they could not write."""
_UNWRITABLE = (errno.EROFS, errno.EACCES, errno.EPERM)


def machine_trouble(error: BaseException, folder: Path) -> str | None:
    """Return a sentence on an error that comes from the machine and not from the field or the program; None for others.

    Parameters
    ----------
    error : exception
    folder : Path
        Folder on the disk to which the job writes.
    """
    if isinstance(error, MemoryError):
        return (
            f"the job needs more memory than it may have ({error or 'MemoryError'}); nothing was stored for it, and "
            "finished work is kept. Allow more memory or fewer jobs at a time (--cores), and run again."
        )
    if not isinstance(error, OSError):
        return None
    if error.errno in (errno.ENOSPC, errno.EDQUOT) or (error.errno is None and is_full(folder)):
        return (
            f"no space is left on the disk of {folder}, or the quota is used up; finished work is kept. Free some "
            "space and run again."
        )
    if error.errno in _UNWRITABLE:
        return (
            f"{error.filename or folder} cannot be read or written ({error.strerror}); finished work is kept. Change "
            "its permissions and run again."
        )
    return None


def is_full(folder: Path) -> bool:
    """Return whether a disk is full; False where this cannot be told."""
    try:
        return shutil.disk_usage(folder).free < FULL_BYTES
    except OSError:
        return False
