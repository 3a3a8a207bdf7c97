"""The job server: a job of it is as a new Python would be, ends as one, and never outlives those who asked for it."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import pytest
from unblend.run.job_server import FRESH_VARIABLE, SERVER_VARIABLE, start_server, stop_server

SCRIPTS = Path(__file__).resolve().parents[3] / "scripts"
SCRIPT = """
import json, os, resource, signal, sys, time
print(json.dumps({
    "parent": os.getppid(), "name": __name__, "words": sys.argv, "path": sys.path[0], "folder": os.getcwd(),
    "python": sys.executable, "asked": os.environ.get("ASKED"), "environment": sorted(os.environ),
    "files": resource.getrlimit(resource.RLIMIT_NOFILE), "umask": oct(os.umask(0o77)), "in": sys.stdin.read(),
    "signals": [str(signal.getsignal(n))[-26:] for n in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGCHLD)],
    "open": sorted(int(n) for n in os.listdir("/proc/self/fd"))[:3],
}))
print("to standard error", file=sys.stderr)
"""
ENDS = {
    "well": ("", 0),
    "status": ("import sys; sys.exit(3)", 3),
    "sentence": ("import sys; sys.exit('a sentence')", 1),
    "exception": ("1 / 0", 1),
    "at once": ("import os; os._exit(7)", 7),
    "terminated": ("import os, signal; os.kill(os.getpid(), signal.SIGTERM)", -signal.SIGTERM),
    "killed": ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", -signal.SIGKILL),
    "crash": ("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", -signal.SIGSEGV),
}
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="jobs are forked on Linux only")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder of scripts with a space in its name."""
    made = tmp_path_factory.mktemp("a b")
    shutil.copy(SCRIPTS / "start_job.py", made)
    (made / "tell.py").write_text(SCRIPT)
    (made / "wait.py").write_text(
        "import os, signal, sys, time\n"
        "def end(*_):\n    print('asked to end', flush=True); os._exit(9)\n"
        "signal.signal(signal.SIGTERM, end)\nprint(os.getpid(), flush=True)\ntime.sleep(60)\n"
    )
    for name, (text, _) in ENDS.items():
        (made / f"{name}.py").write_text(text)
    return made


@pytest.fixture(scope="module")
def server():
    server = start_server(SCRIPTS)
    yield server
    stop_server(server)


def command(folder, *words, python=sys.executable):
    return [python, "-IS", str(folder / "start_job.py"), *words]


def tell(folder, environment, *words, python=sys.executable):
    """Return what a job says of itself, and what it writes to standard error."""
    shell = ["bash", "-c", 'trap "" HUP; ulimit -n 200; umask 027; exec "$@"', "bash"]
    done = subprocess.run(
        [*shell, *command(folder, "tell", *words, python=python)],
        input="from before", capture_output=True, text=True, env=environment, cwd=folder, check=True,
    )  # fmt: skip
    return json.loads(done.stdout), done.stderr


def test_a_job_of_the_server_is_as_a_new_process_would_be(folder, server):
    environment = {"ASKED": "ü \udcff", "PATH": os.environ["PATH"]}
    words = ("--log", "it's a {b}.log", "")
    fresh, fresh_error = tell(folder, environment, *words)
    served, served_error = tell(folder, environment | {SERVER_VARIABLE: os.environ[SERVER_VARIABLE]}, *words)
    assert served.pop("parent") == server.pid != fresh.pop("parent")
    served["environment"].remove(SERVER_VARIABLE)
    assert served == fresh
    assert served_error == fresh_error == "to standard error\n"
    assert fresh["signals"][2] == "1"
    assert fresh["in"] == "from before" and fresh["files"] == [200, 200] and fresh["umask"] == "0o27"


@pytest.mark.parametrize("name", ENDS)
def test_a_job_ends_as_a_new_process_would(folder, server, name):
    served = subprocess.run(command(folder, name), capture_output=True, text=True)
    fresh = subprocess.run(command(folder, name), capture_output=True, text=True, env=without_server())
    assert served.returncode == fresh.returncode == ENDS[name][1]
    assert served.stderr.strip().splitlines()[-1:] == fresh.stderr.strip().splitlines()[-1:]


def without_server():
    return {name: value for name, value in os.environ.items() if name != SERVER_VARIABLE}


@contextmanager
def waiting(folder):
    """Start a job that waits for a minute; give it and the number of its process."""
    with subprocess.Popen(command(folder, "wait"), stdout=subprocess.PIPE, text=True) as job:
        try:
            yield job, int(job.stdout.readline())
        finally:
            job.kill()


def has_ended(process):
    """Return whether a process ends within five seconds."""
    until = time.monotonic() + 5.0
    while Path(f"/proc/{process}").exists():
        if time.monotonic() > until:
            return False
        time.sleep(0.01)
    return True


def test_a_request_to_end_reaches_the_job(folder, server):
    with waiting(folder) as (job, process):
        assert f"{folder / 'wait.py'}" in Path(f"/proc/{process}/cmdline").read_text()
        job.terminate()
        assert job.stdout.read() == "asked to end\n"
        assert job.wait() == 9


def test_a_job_ends_with_the_command_that_asked_for_it(folder, server):
    with waiting(folder) as (first, process), waiting(folder) as (_, other):
        first.kill()
        assert has_ended(process)
        assert Path(f"/proc/{other}").exists()


def test_the_server_has_loaded_the_libraries_and_has_one_thread(folder, server):
    (folder / "loaded.py").write_text("import sys; print(*sorted(sys.modules))")
    loaded = subprocess.run(command(folder, "loaded"), capture_output=True, text=True).stdout.split()
    assert {"astropy.wcs", "unblend.models.templates", "unblend.fits.passes", "scipy.ndimage"} <= set(loaded)
    # a fork would have the locks of other threads without the threads
    assert len(list(Path(f"/proc/{server.pid}/task").iterdir())) == 1


def test_other_processes_are_declined(folder, server):
    """A process that does not descend from the one with the server, and another Python, start their own."""
    script = "import os, sys\nif os.fork() == 0:\n    os.setsid(); os.execv(sys.argv[1], sys.argv[1:])\n"
    told = subprocess.run(
        [sys.executable, "-c", script + "os._exit(0)", *command(folder, "tell")],
        stdin=subprocess.DEVNULL, capture_output=True, text=True,
    )  # fmt: skip
    assert json.loads(told.stdout)["parent"] != server.pid
    other = Path(sys.base_prefix) / "bin" / Path(sys.executable).name
    assert other.exists() and other != Path(sys.executable)
    told, _ = tell(folder, dict(os.environ), python=str(other))
    assert told["parent"] != server.pid and told["python"] == str(other)


@pytest.mark.parametrize("address", ["/nowhere/jobs", "x" * 300])
def test_without_a_server_the_script_runs(folder, address):
    told, _ = tell(folder, os.environ | {SERVER_VARIABLE: address})
    assert told["name"] == "__main__"


def test_the_server_can_be_switched_off(monkeypatch):
    monkeypatch.setenv(FRESH_VARIABLE, "1")
    assert start_server(SCRIPTS) is None


OWNER = """
import os, sys
sys.path.insert(0, {scripts!r})
from pathlib import Path
from unblend.run.job_server import start_server
server = start_server(Path({scripts!r}))
print(server.pid, os.environ["UNBLEND_JOB_SERVER"], flush=True)
os.spawnv(os.P_NOWAIT, sys.executable, {job!r})
sys.stdin.read()
"""


@pytest.mark.parametrize("victim", ["snakemake", "server"])
def test_jobs_end_with_snakemake_and_with_the_server(folder, victim):
    script = OWNER.format(scripts=str(SCRIPTS), job=command(folder, "wait"))
    pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    with subprocess.Popen([sys.executable, "-c", script], text=True, **pipes) as owner:
        server, address = owner.stdout.readline().split()
        job = int(owner.stdout.readline())
        os.kill(owner.pid if victim == "snakemake" else int(server), signal.SIGKILL)
        assert has_ended(job)
        if victim == "snakemake":
            assert has_ended(int(server))
            assert not Path(address).parent.exists()
        else:
            assert "run again" in owner.stderr.readline()
            shutil.rmtree(Path(address).parent)
