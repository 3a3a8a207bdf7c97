"""Whether a failure may be due to a lack of memory: code in C that is refused memory often does not say so."""

from __future__ import annotations

import mmap

MIN_FREE_MEMORY = 2**29
"""Bytes that must be free for a failure of a fit not to be put down to memory. The largest array of a large group, the
derivatives with respect to 60 parameters on 500 × 500 pixels, takes 120 MB."""


def has_free_memory(size: int = MIN_FREE_MEMORY) -> bool:
    """Return whether the limits of the process (`ulimit -v`, the batch system) leave it `size` bytes."""
    try:
        mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS).close()
    except (OSError, MemoryError):
        return False
    return True
