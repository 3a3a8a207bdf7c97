"""What a run prints: how far it is, and at the end where the results are. `snakemake -p` prints Snakemake's own scroll."""

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
