"""The job server of a run on one machine, or of jobs that are submitted to a cluster together.

It loads the libraries once, and every job is a fork of it.

Loading numpy, scipy and astropy takes a new Python half a second of processor time, more than most jobs need for their
work. `scripts/start_job.py`, which is what the rules call, asks the server for a process with its own words,
environment, folder, limits, and standard input, output and error; it waits for its end, and ends likewise.

A job ends when its `start_job.py` is killed, when the server dies, and when Snakemake dies, as it would without the
server. Only processes below the Snakemake process that has started the server may ask it, and only those of the same
Python: jobs on other machines, in containers and in conda environments start their own.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import json
import os
import pkgutil
import resource
import runpy
import selectors
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import traceback
from pathlib import Path
from typing import Any, NoReturn

from setproctitle import setproctitle

from .workers import end_with

SERVER_VARIABLE = "UNBLEND_JOB_SERVER"
"""Environment variable with the address of the server."""
FRESH_VARIABLE = "UNBLEND_FRESH_JOBS"
"""Environment variable that switches the server off: every job is then a new Python."""
ONE_THREAD = {f"{library}_NUM_THREADS": "1" for library in ("OMP", "OPENBLAS", "MKL", "BLIS")}
"""The libraries of the server must have no threads of their own, which a fork would lose."""
ROOMS = ("core", "io", "images", "models", "photometry", "registration", "detection", "fits", "field")
"""Packages of unblend that are loaded; the report's Matplotlib serves two jobs only."""
LATER = ("unblend.io.http_files",)
"""Modules of these that few jobs need, with libraries that take long to load."""
LIBRARIES = (
    "astropy.coordinates", "astropy.io.fits", "astropy.units", "astropy.wcs", "finufft", "fitsio", "numpy.fft",
    "numpy.ma", "scipy.fft", "scipy.linalg", "scipy.ndimage", "scipy.sparse.csgraph",
    "scipy.sparse.linalg", "scipy.spatial", "scipy.special", "sep", "yaml",
)  # fmt: skip
"""Libraries that modules of unblend import only where they need them."""
REQUEST_S = 10.0
"""Time for a request; it is written at once."""
_BYTES = 8


def start_server(scripts: Path) -> subprocess.Popen[bytes] | None:
    """Start the job server of this process and put its address into the environment; None where there is none.

    Parameters
    ----------
    scripts : Path
        The folder of the scripts.
    """
    if sys.platform != "linux" or os.environ.get(FRESH_VARIABLE):
        return None
    folder = tempfile.mkdtemp(prefix="unblend-")
    address = str(Path(folder) / "jobs")
    try:
        listening = socket.socket(socket.AF_UNIX)
        listening.bind(address)
        listening.listen(128)
        # The server ends when its standard input does: with this process, however that ends.
        server = subprocess.Popen(
            [sys.executable, str(scripts / "serve_jobs.py"), str(listening.fileno()), address],
            stdin=subprocess.PIPE, pass_fds=[listening.fileno()], env=os.environ | ONE_THREAD,
        )  # fmt: skip
    except OSError:
        shutil.rmtree(folder, ignore_errors=True)
        return None
    # so that nobody waits for a server that has died
    listening.close()
    os.environ[SERVER_VARIABLE] = address
    return server


def stop_server(server: subprocess.Popen[bytes] | None) -> None:
    """End a job server that has no jobs any more."""
    os.environ.pop(SERVER_VARIABLE, None)
    if server is not None and server.stdin is not None:
        server.stdin.close()
        server.wait()


def serve() -> None:
    """Serve jobs until Snakemake has ended: the body of scripts/serve_jobs.py."""
    number, address = int(sys.argv[1]), sys.argv[2]
    setproctitle(f"unblend: starts the jobs of process {os.getppid()}")
    try:
        server = _Server(socket.socket(fileno=number), os.getppid())
        load_libraries()
        server.serve()
    finally:
        shutil.rmtree(Path(address).parent, ignore_errors=True)


def load_libraries() -> None:
    """Import what the jobs need; what is missing, each job that needs it says itself."""
    package = importlib.import_module("unblend")
    rooms = [str(Path(package.__path__[0]) / room) for room in ROOMS]
    names = [f"unblend.{Path(m.module_finder.path).name}.{m.name}" for m in pkgutil.iter_modules(rooms)]  # type: ignore[union-attr]
    for name in (*LIBRARIES, *(name for name in names if name not in LATER)):
        try:
            importlib.import_module(name)
        except ImportError:
            continue
    # pages of memory with the libraries' objects stay common to all jobs
    gc.collect()
    gc.freeze()


class _Server:
    """The server's loop: requests, ends of jobs, and the end of Snakemake on standard input."""

    def __init__(self, listening: socket.socket, snakemake: int):
        self.listening, self.snakemake, self.process = listening, snakemake, os.getpid()
        self.selector = selectors.DefaultSelector()
        self.running: dict[int, socket.socket] = {}
        self.woken, self.wakes = socket.socketpair()
        for end in (self.woken, self.wakes):
            end.setblocking(False)

    def serve(self) -> None:
        """Start jobs until standard input ends, and end those that are then still running."""
        signal.set_wakeup_fd(self.wakes.fileno())
        for number in (signal.SIGCHLD, signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            # A signal to the whole group of processes reaches the jobs, too; the server then hands on how they end.
            signal.signal(number, _do_nothing)
        for source, act in ((self.listening, self._accept), (self.woken, self._reap), (sys.stdin, None)):
            self.selector.register(source, selectors.EVENT_READ, act)
        while True:
            for key, _ in self.selector.select():
                if key.data is None:
                    for job in self.running:
                        os.kill(job, signal.SIGKILL)
                    return
                key.data(key.fileobj)

    def _accept(self, listening: socket.socket) -> None:
        """Start the job of a new connection, if it may ask for one."""
        link, _ = listening.accept()
        link.settimeout(REQUEST_S)
        request = self._request(link)
        if request is None:
            link.close()
            return
        wanted, files = request
        job = os.fork()
        if job == 0:
            self._become(wanted, files, link)
        for number in files:
            os.close(number)
        self.running[job] = link
        self.selector.register(link, selectors.EVENT_READ, lambda _: self._abandon(job))

    def _request(self, link: socket.socket) -> tuple[dict[str, Any], list[int]] | None:
        """Return what is asked for, and the files for standard input, output and error; None if it is declined."""
        files: list[int] = []
        try:
            content, files, _, _ = socket.recv_fds(link, _BYTES, 3)
            length, text = int.from_bytes(content, "big"), bytearray()
            while len(text) < length:
                part = link.recv(length - len(text))
                if not part:
                    raise OSError("the request is cut")
                text += part
            request = json.loads(text)
            if (
                len(files) == 3
                and self._may_ask(link)
                and Path(request["python"]).parent == Path(sys.executable).parent
            ):
                return request, files
        except (OSError, ValueError, KeyError):
            pass
        for number in files:
            os.close(number)
        return None

    def _may_ask(self, link: socket.socket) -> bool:
        """Return whether a connection comes from a process below Snakemake."""
        asker, user, _ = struct.unpack("3i", link.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
        while asker > 1 and asker != self.snakemake:
            asker = int(Path(f"/proc/{asker}/stat").read_text().rsplit(")", 1)[1].split()[1])
        return user == os.getuid() and asker == self.snakemake

    def _abandon(self, job: int) -> None:
        """End a job whose `start_job.py` is gone."""
        if job in self.running:
            self.selector.unregister(self.running[job])
            os.kill(job, signal.SIGKILL)

    def _reap(self, woken: socket.socket) -> None:
        """Tell those who wait for jobs how these have ended."""
        woken.recv(4096)
        while self.running:
            job, status = os.waitpid(-1, os.WNOHANG)
            if job == 0:
                return
            link = self.running.pop(job)
            with contextlib.suppress(KeyError):  # of a job whose `start_job.py` is gone
                self.selector.unregister(link)
            with contextlib.suppress(OSError):
                link.sendall(status.to_bytes(_BYTES, "big"))
            link.close()

    def _become(self, request: dict[str, Any], files: list[int], link: socket.socket) -> NoReturn:
        """Be the job from here on, and end with it."""
        status = 1
        try:
            self.selector.close()
            for source in (self.listening, self.woken, self.wakes, *self.running.values()):
                source.close()
            end_with(self.process)
            # before anything else: who asked either knows of this job, or starts one of its own because there is none
            with link:
                link.sendall(os.getpid().to_bytes(_BYTES, "big"))
            _take_over(request, files)
            status = _run(request["words"])
        except BrokenPipeError:  # whoever asked is gone
            pass
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(status)


def _take_over(request: dict[str, Any], files: list[int]) -> None:
    """Give this process what a new one would have had from its shell."""
    signal.set_wakeup_fd(-1)
    for name in ("SIGCHLD", "SIGTERM", "SIGHUP"):
        signal.signal(signal.Signals[name], signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for name in request["ignored"]:
        signal.signal(signal.Signals[name], signal.SIG_IGN)
    for number, file in enumerate(files):
        os.dup2(file, number)
        os.close(file)
    os.chdir(request["folder"])
    os.environ.clear()
    os.environ.update(request["environment"])
    os.umask(request["umask"])
    for name, limits in request["limits"].items():
        resource.setrlimit(getattr(resource, name), tuple(limits))
    setproctitle(" ".join([sys.executable, *request["words"]]))


def _run(words: list[str]) -> int:
    """Run a script as the main program, and return its exit status."""
    sys.argv = words
    sys.path[0] = os.path.dirname(words[0])
    status = 0
    try:
        runpy.run_path(words[0], run_name="__main__")
    except SystemExit as end:
        if end.code is not None and not isinstance(end.code, int):
            sys.stderr.write(f"{end.code}\n")
        status = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        traceback.print_exc()
        status = 1
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    return status


def _do_nothing(*_: Any) -> None:
    """Let a signal only wake the loop."""
