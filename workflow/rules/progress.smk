"""Messages of a run: its progress, and at the end where the results are. `snakemake -p` prints Snakemake's output."""

import logging
import os

from unblend.run.job_server import start_server, stop_server
from unblend.run.watch import RunWatch

WATCH = RunWatch(JOBS)
SERVERS = []
if workflow.is_main_process:
    WATCH.attach(logging.getLogger("snakemake.logging"))
elif workflow.remote_exec and os.environ.get("UNBLEND_SUBMITTED_TOGETHER"):
    # Jobs of one submission; the server ends with this process.
    SERVERS.append(start_server(SCRIPTS))


def begin_run():
    """Start the display, and the job server of a run on one machine."""
    WATCH.begin()
    if workflow.local_exec:
        SERVERS.append(start_server(SCRIPTS))


def end_run(failed=False):
    """End the job server, and write the last lines of the run."""
    stop_server(SERVERS.pop() if SERVERS else None)
    WATCH.end(failed=failed)


if not workflow.modifier.is_main_snakefile():
    # Of a module, Snakemake calls none of the following.
    WATCH.follow_jobs(begin_run, end_run)


onstart:
    begin_run()


onsuccess:
    end_run()


onerror:
    end_run(failed=True)
