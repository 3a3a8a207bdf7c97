"""A real Slurm on one node: munged, slurmctld and slurmd in a folder of the test, as root."""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "srun", "squeue", "scancel")
SEARCHED = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/sbin"])
CGROUP_ROOT = Path("/sys/fs/cgroup")
NODE_MB, NODE_CPUS = 16000, 4
START_S = 60.0
FOUND_AT = Path("/run/slurm/conf")
"""Where Slurm's programs look for their configuration if there is none in /etc/slurm. The variable SLURM_CONF is not
enough: Snakemake takes Slurm's variables out of the environment of a job."""
LOCK = Path("/run/unblend-slurm.lock")
"""A machine has one Slurm at a time."""

CONFIG = """
ClusterName=unblend
SlurmctldHost={host}(127.0.0.1)
SlurmUser=root
SlurmdUser=root
SlurmctldPort={controller_port}
SlurmdPort={node_port}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
CredType=cred/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
ProctrackType={tracking}
TaskPlugin={limits}
JobAcctGatherType=jobacct_gather/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SchedulerParameters=sched_interval=1,bf_interval=1
SlurmdParameters=config_overrides
ReturnToService=2
MpiDefault=none
KillWait=2
JobRequeue=0
MinJobAge=3600
NodeName={host} NodeAddr=127.0.0.1 CPUs={cpus} RealMemory={memory} State=UNKNOWN
PartitionName=main Nodes=ALL Default=YES State=UP
"""
CGROUP_CONFIG = """
CgroupPlugin=cgroup/v1
CgroupMountpoint=/sys/fs/cgroup
ConstrainRAMSpace=yes
ConstrainSwapSpace=no
"""


def what_is_missing() -> str:
    """Return what this machine lacks for a Slurm of its own, an empty text where it lacks nothing."""
    if not os.environ.get("UNBLEND_TEST_SLURM"):
        return "UNBLEND_TEST_SLURM is not set (these tests start a Slurm of their own)"
    lacking = [name for name in PROGRAMS if shutil.which(name, path=SEARCHED) is None]
    if lacking:
        return f"{', '.join(lacking)} not installed (Debian: slurm-wlm, munge)"
    if os.geteuid() != 0:
        return "only root can start Slurm"
    if Path("/etc/slurm/slurm.conf").exists() or (FOUND_AT.exists() and not FOUND_AT.is_symlink()):
        return "this machine has a Slurm of its own"
    return ""


def can_limit_memory() -> bool:
    """Return whether Slurm can limit the memory of jobs here: with control groups of version 1."""
    return all(os.access(CGROUP_ROOT / name, os.W_OK) for name in ("memory", "cpuset", "freezer", "devices"))


def free_ports(number: int) -> list[int]:
    """Return ports that nobody listens to."""
    sockets = [socket.socket() for _ in range(number)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


class SlurmNode:
    """A running Slurm; `environment` is what its commands need."""

    def __init__(self, folder: Path):
        self.folder, self.name = folder, socket.gethostname().split(".")[0]
        self.environment = {**os.environ, "PATH": SEARCHED}
        self._processes: list[subprocess.Popen[bytes]] = []

    def command(self, *words: str) -> str:
        """Run a command of Slurm and return what it prints."""
        return subprocess.run(words, env=self.environment, capture_output=True, text=True, check=True).stdout

    def jobs(self) -> dict[str, list[str]]:
        """Return the states of all jobs so far by name, first submitted first."""
        found: dict[str, list[str]] = {}
        for line in self.command("squeue", "--states=all", "--noheader", "--sort=i", "--format=%j|%T").splitlines():
            name, state = line.split("|")
            found.setdefault(name, []).append(state)
        return found

    def start(self) -> None:
        """Start the three daemons and wait until the node is idle."""
        for name in ("state", "spool"):
            (self.folder / name).mkdir()
        (self.folder / "munge.key").write_bytes(os.urandom(1024))
        (self.folder / "munge.key").chmod(0o600)
        controller_port, node_port = free_ports(2)
        values = {"folder": self.folder, "host": self.name, "cpus": NODE_CPUS}
        ports = {"controller_port": controller_port, "node_port": node_port, "memory": NODE_MB}
        plugins = ("proctrack/cgroup", "task/cgroup") if can_limit_memory() else ("proctrack/linuxproc", "task/none")
        limits = dict(zip(("tracking", "limits"), plugins, strict=True))
        (self.folder / "slurm.conf").write_text(CONFIG.format(**values, **ports, **limits))
        (self.folder / "cgroup.conf").write_text(CGROUP_CONFIG)
        munge = {"key-file": "munge.key", "socket": "munge.socket", "pid-file": "munge.pid", "log-file": "munge.log",
                 "seed-file": "munge.seed"}  # fmt: skip
        options = [f"--{option}={self.folder / name}" for option, name in munge.items()]
        self._start("munged", "--foreground", "--force", *options)
        self._wait_for(lambda: (self.folder / "munge.socket").exists())
        config = str(self.folder / "slurm.conf")
        self._start("slurmctld", "-D", "-c", "-f", config)
        self._start("slurmd", "-D", "-f", config)
        self._wait_for(lambda: "idle" in self._state())

    def stop(self) -> None:
        """Cancel what runs, and end the daemons."""
        subprocess.run(["scancel", "--user", "root"], env=self.environment, capture_output=True, check=False)
        self._wait_for(lambda: "comp" not in self._state(), ok=True)
        for process in reversed(self._processes):
            process.send_signal(signal.SIGTERM)
            process.wait(timeout=START_S)

    def _state(self) -> str:
        words = ["sinfo", "--noheader", "--format=%T"]
        return subprocess.run(words, env=self.environment, capture_output=True, text=True, check=False).stdout

    def _start(self, *words: str) -> None:
        with (self.folder / f"{words[0]}.out").open("wb") as out:
            process = subprocess.Popen(words, env=self.environment, stdout=out, stderr=out)
        self._processes.append(process)

    def _wait_for(self, condition, *, ok: bool = False) -> None:  # type: ignore[no-untyped-def]
        until = time.monotonic() + START_S
        while not condition():
            if time.monotonic() > until:
                assert ok, "Slurm did not start: " + "".join(
                    path.read_text(errors="replace")[-1500:] for path in self.folder.glob("slurm*.log")
                )
                return
            time.sleep(0.1)


@contextmanager
def slurm_node(folder: Path) -> Iterator[SlurmNode]:
    """Run a Slurm while the context lasts."""
    node = SlurmNode(folder)
    with LOCK.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        FOUND_AT.parent.mkdir(exist_ok=True)
        FOUND_AT.unlink(missing_ok=True)
        FOUND_AT.symlink_to(folder)
        try:
            node.start()
            yield node
        finally:
            node.stop()
            FOUND_AT.unlink()
