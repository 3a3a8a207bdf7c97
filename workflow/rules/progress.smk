"""Messages of a run: its progress, and at the end where the results are. `snakemake -p` prints Snakemake's output."""

import logging

from unblend.run.watch import RunWatch

WATCH = RunWatch(JOBS)
if workflow.is_main_process:
    WATCH.attach(logging.getLogger("snakemake.logging"))


onstart:
    WATCH.begin()


onsuccess:
    WATCH.end()


onerror:
    WATCH.end(failed=True)
