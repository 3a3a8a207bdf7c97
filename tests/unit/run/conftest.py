"""The signals of a process as a terminal leaves them."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True)
def _default_hang_up() -> Iterator[None]:
    """Let a hang-up end a process also where the shell has these tests ignore it, as nohup does."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)
