from __future__ import annotations

import os
import resource
from pathlib import Path

import pytest
from unblend.core.memory import has_free_memory


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="reads the size of the process")
def test_memory_is_short_near_the_limit_of_the_process():
    assert has_free_memory(2**20)
    child = os.fork()
    if child == 0:
        size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (size + 2**28, resource.RLIM_INFINITY))
        os._exit(int(has_free_memory(2**27)) + 2 * int(has_free_memory()))
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 1
