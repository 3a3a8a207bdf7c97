"""The real DS9 on a screen of its own (Xvfb), driven through XPA.

A mistake in what it is told opens a window that waits for a click: every message has a time limit.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

PROGRAMS = {"ds9": "saods9", "Xvfb": "xvfb", "xpaset": "xpa-tools"}
MISSING = [package for program, package in PROGRAMS.items() if shutil.which(program) is None]
"""Debian packages that are not installed."""
PATIENCE_S = 15
"""For one message to DS9 (0.03 s measured) and for its start (2 s)."""
TITLE = "unblend-test"


class Ds9:
    """A DS9 on a screen of its own, with its own name server and home, so that no other DS9 is met."""

    def __init__(self, size: tuple[int, int] = (1200, 900)) -> None:
        self.size = size
        # Not pytest's folder: the path of a socket is at most 107 characters long.
        self.home = Path(tempfile.mkdtemp(prefix="ds9-"))
        self.env = os.environ | {
            "HOME": str(self.home),
            "XPA_METHOD": "local",
            "XPA_TMPDIR": str(self.home),
            "LC_ALL": "C.UTF-8",
        }
        self.processes: list[subprocess.Popen[bytes]] = []
        self.screen = self.start_screen()
        self.env["DISPLAY"] = self.screen
        self.start("xpans")
        self.title = TITLE

    def start(self, *command: str, **options: object) -> subprocess.Popen[bytes]:
        """Start a program that `stop` ends."""
        quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        process = subprocess.Popen(command, env=self.env, cwd=self.home, **(quiet | options))  # type: ignore[call-overload]
        self.processes.append(process)
        return process

    def start_screen(self) -> str:
        """Start Xvfb on the first free display and return its name."""
        display = self.home / "display"
        with display.open("w") as stream:
            fd = stream.fileno()
            self.start(
                "Xvfb", "-displayfd", str(fd), "-screen", "0", f"{self.size[0]}x{self.size[1]}x24", pass_fds=(fd,)
            )
        self.wait(lambda: display.read_text().endswith("\n"), "Xvfb does not start")
        return f":{display.read_text().strip()}"

    def wait(self, done: Callable[[], bool], complaint: str) -> None:
        """Wait until `done()`, for PATIENCE_S at most."""
        until = time.monotonic() + PATIENCE_S
        while not done():
            assert time.monotonic() < until, complaint
            time.sleep(0.05)

    def open(self, command: list[str], title: str = TITLE) -> None:
        """Start DS9 and wait until it answers; what it is told and asked from now on goes to this one."""
        self.title = title
        self.start(*command, "-title", title)
        self.wait(lambda: self.client("xpaaccess", "-n", title).stdout.strip() == "1", "DS9 does not answer")

    def client(self, *command: str) -> subprocess.CompletedProcess[str]:
        """Run a program of XPA."""
        return subprocess.run(command, env=self.env, capture_output=True, text=True, timeout=PATIENCE_S)

    def tell(self, *words: str | Path) -> None:
        """Send DS9 a command."""
        done = self.client("xpaset", "-p", self.title, *map(str, words))
        assert done.returncode == 0, f"{words}: {done.stderr}"

    def ask(self, *words: str) -> str:
        """Return DS9's answer to a question."""
        done = self.client("xpaget", self.title, *words)
        assert done.returncode == 0, f"{words}: {done.stderr}"
        return done.stdout.strip()

    def stop(self) -> None:
        """End what was started, and nothing else."""
        for process in reversed(self.processes):
            process.kill()
            process.wait()
        shutil.rmtree(self.home, ignore_errors=True)
