"""Run a script of the workflow as a job: in a process that has the libraries loaded already, or else in a new one.

    python -IS start_job.py SCRIPT [WORD ...]

A new Python needs half a second of processor time to load its libraries, more than most jobs need for their work. A run
on one machine, and a submission of several jobs on a cluster, has a job server (`unblend.run.job_server`) that has
loaded them once; this program asks it for a process and waits for its end. Where there is no such server, or it
declines, this program becomes the script itself.
It imports little, and takes 20 ms.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import socket
import sys

SERVER_VARIABLE = "UNBLEND_JOB_SERVER"
LIMITS = ("RLIMIT_AS", "RLIMIT_CORE", "RLIMIT_CPU", "RLIMIT_DATA", "RLIMIT_FSIZE", "RLIMIT_NOFILE", "RLIMIT_STACK")
"""Limits of the shell (`ulimit`) that the job is to have, too."""
IGNORED = ("SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT")
"""Signals that the job is to ignore where its shell does, as below `nohup`."""
LOST = 70
"""Exit status of a job whose server has died: its processes have died with it."""


def main() -> None:
    """Run the script with its words, and end as it ends."""
    script = os.path.join(os.path.dirname(os.path.abspath(__file__)), sys.argv[1] + ".py")
    words = [script, *sys.argv[2:]]
    address = os.environ.get(SERVER_VARIABLE)
    link = ask(address, words) if address else None
    if link is None:
        os.execv(sys.executable, [sys.executable, *words])
    end(wait(link))


def ask(address: str, words: list[str]) -> socket.socket | None:
    """Return the connection to a server that has started the job, and hand signals on to it; None if there is none."""
    link = socket.socket(socket.AF_UNIX)
    try:
        content = json.dumps(request(words)).encode()
        link.connect(address)
        socket.send_fds(link, [len(content).to_bytes(8, "big")], [0, 1, 2])
        link.sendall(content)
        answer = link.recv(8)
    except OSError:
        return None
    if len(answer) < 8:
        return None
    job = int.from_bytes(answer, "big")
    # Ctrl-C reaches the job itself, which belongs to the same group of processes
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, lambda received, _: os.kill(job, received))
    return link


def request(words: list[str]) -> dict[str, object]:
    """Return what a new process would have from this one."""
    return {
        "python": sys.executable,
        "words": words,
        "folder": os.getcwd(),
        "environment": dict(os.environ),
        "umask": umask(),
        "ignored": [name for name in IGNORED if signal.getsignal(signal.Signals[name]) is signal.SIG_IGN],
        "limits": {name: resource.getrlimit(getattr(resource, name)) for name in LIMITS},
    }


def umask() -> int:
    """Return the mask of permissions of new files, which can only be read by setting it."""
    mask = os.umask(0)
    os.umask(mask)
    return mask


def wait(link: socket.socket) -> int | None:
    """Return the status of the job as `os.waitpid` has it; None if the server has died."""
    try:
        answer = link.recv(8)
    except OSError:
        return None
    return int.from_bytes(answer, "big") if len(answer) == 8 else None


def end(status: int | None) -> None:
    """End as the job has ended: with its exit status, or by the signal that has killed it."""
    if status is None:
        os.write(2, b"unblend: the process that starts the jobs of this run was killed: run again\n")
        os._exit(LOST)
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        if number != signal.SIGKILL:
            signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)
    os._exit(os.waitstatus_to_exitcode(status))


if __name__ == "__main__":
    main()
