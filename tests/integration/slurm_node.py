"""A real Slurm on one node: munged, slurmctld and slurmd in a folder of the test, as root.

Nothing of it outlives the test, however that ends: the kernel kills each daemon when the test's process dies, and with
it all processes of its namespace: with `slurmd`, all jobs.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "srun", "squeue", "scancel")
SEARCHED = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/sbin"])
CGROUP_ROOT = Path("/sys/fs/cgroup")
NODE_MB, NODE_CPUS = 16000, 8
"""What Slurm believes the node to have: jobs that only wait must not keep others from running."""
START_S = 120.0
"""How long daemons may take to start, and the node to come back, on a busy machine, seconds."""
SWITCH = "UNBLEND_TEST_SLURM"
"""Environment variable that switches the tests off if it is 0."""
FOUND_AT = Path("/run/slurm/conf")
"""Where Slurm's programs look for their configuration if there is none in /etc/slurm. The variable SLURM_CONF is not
enough: Snakemake takes Slurm's variables out of the environment of a job."""
LOCK = Path("/run/unblend-slurm.lock")
"""A machine has one Slurm at a time."""
ENDS_WITH_US = ("setpriv", "--pdeathsig", "KILL")
"""Starts a program that the kernel kills when the process that has started it dies."""
NAMESPACE = ("unshare", "--pid", "--fork", "--kill-child", "--mount-proc")
INIT = ("sh", "-c", '"$@" & wait', "sh")
"""The first process of a namespace of a daemon, which collects orphans."""

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
    if os.environ.get(SWITCH) != "1":
        return f"runs on request: {SWITCH}=1"
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


def can_separate() -> bool:
    """Return whether processes can have a namespace of their own: in some containers not even root may make one."""
    return subprocess.run([*NAMESPACE, "true"], capture_output=True, check=False).returncode == 0


def contained(*words: str, collects_orphans: bool = False) -> list[str]:
    """Return the command that runs a program which ends, with all that it has started, when its parent dies."""
    namespace = (*NAMESPACE, *(INIT if collects_orphans else ())) if can_separate() else ()
    return [*ENDS_WITH_US, *namespace, *words]


def remove_control_groups() -> None:
    """Remove the control groups of jobs that were killed with their Slurm, which takes the kernel a moment."""
    until = time.monotonic() + 5.0
    while (folders := [*CGROUP_ROOT.glob("*/slurm*")]) and time.monotonic() < until:
        for folder in folders:
            for path, _, _ in os.walk(folder, topdown=False):
                with suppress(OSError):
                    os.rmdir(path)
        time.sleep(0.05)


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

    def jobs(self, folder: Path) -> dict[str, list[str]]:
        """Return the states of all jobs so far of the run in a folder, by name, first submitted first."""
        found: dict[str, list[str]] = {}
        for line in self.command("squeue", "--states=all", "--noheader", "--sort=i", "--format=%j|%T|%Z").splitlines():
            name, state, where = line.split("|")
            if Path(where) == folder:
                found.setdefault(name, []).append(state)
        return found

    def running(self, folder: Path, job: str) -> str:
        """Return the number of the job of that name which runs for a folder."""
        listed = self.command("squeue", "--states=running", f"--name={job}", "--noheader", "--format=%i|%Z")
        numbers = [line.split("|")[0] for line in listed.splitlines() if Path(line.split("|")[1]) == folder]
        assert len(numbers) == 1, f"{job} runs {len(numbers)} times"
        return numbers[0]

    def start(self) -> None:
        """Start the three daemons and wait until the node is idle."""
        remove_control_groups()
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
        self._wait_for((self.folder / "munge.socket").exists)
        config = str(self.folder / "slurm.conf")
        self._start("slurmctld", "-D", "-c", "-f", config)
        self._start("slurmd", "-D", "-f", config)
        self._wait_for(self.is_usable)

    def stop(self) -> None:
        """End the daemons, and with them all jobs."""
        try:
            if not can_separate():
                self._try("scancel", "--user=root")
                self._wait_for(lambda: not self._try("squeue", "--states=running,completing", "--noheader"))
        finally:
            for process in reversed(self._processes):
                process.kill()
                process.wait()
            remove_control_groups()

    def lose(self) -> None:
        """Tell Slurm that the node has failed, with all its jobs, and wait until it is back."""
        self.command("scontrol", "update", f"nodename={self.name}", "state=down", "reason=lost")
        # A node that reports to Slurm in between is back already, and there is nothing to resume.
        self._try("scontrol", "update", f"nodename={self.name}", "state=resume")
        self._wait_for(self.is_usable)

    def is_usable(self) -> bool:
        """Return whether Slurm would start a job on the node."""
        return self._try("sinfo", "--noheader", "--format=%T").strip() in ("idle", "mixed", "allocated")

    def _try(self, *words: str) -> str:
        return subprocess.run(words, env=self.environment, capture_output=True, text=True, check=False).stdout

    def _start(self, *words: str) -> None:
        with (self.folder / f"{words[0]}.out").open("wb") as out:
            process = subprocess.Popen(
                contained(*words, collects_orphans=True), env=self.environment, stdin=subprocess.DEVNULL, stdout=out,
                stderr=out, start_new_session=True,
            )  # fmt: skip
        self._processes.append(process)

    def _wait_for(self, condition: Callable[[], bool]) -> None:
        until = time.monotonic() + START_S
        while not condition():
            logs = [path for pattern in ("*.out", "*.log") for path in self.folder.glob(pattern)]
            assert time.monotonic() < until, "Slurm is not ready: " + "".join(
                f"\n{path.name}: {path.read_text(errors='replace')[-1500:]}" for path in logs
            )
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
            FOUND_AT.unlink(missing_ok=True)
