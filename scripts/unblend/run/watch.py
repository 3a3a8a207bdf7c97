"""What a run prints: its progress instead of a header for every job. The records are those of Snakemake's logger."""

from __future__ import annotations

import json
import logging
import os
import re
import shutil
import socket
import sys
import threading
import time
from pathlib import Path
from typing import Any, TextIO

from ..core.errors import UnblendError
from ..core.flags import Flag
from ..io.files import write_json
from ..plan.jobs import Jobs
from .field_state import RUN_FILE, fit_flags, list_results, missing_fits, warnings_in
from .progress import RunState, closing, count, duration, flag_counts, status, stopping

BEAT_S, LINE_S, WRITE_S = 0.5, 10.0, 2.0
"""Seconds between looks, between lines where there is no terminal, and between writes of the run file."""
SCROLL = {"job_info", "job_started", "job_finished", "job_error", "progress", "shellcmd", "run_info", "resources_info",
          "workflow_started", "group_info"}  # fmt: skip
"""Events of Snakemake's logger that are not shown; the file in .snakemake/log has them all."""
NOISE = re.compile(
    r"Building DAG of jobs|Using shell: |Conda environments: ignored|Singularity containers: ignored|Elapsed time: |"
    r"Select jobs to execute|DAG of jobs will be updated|Updating checkpoint dependencies|Group jobs: inactive|"
    r"Processed \d+ potential jobs|Restored previous version of |.*has been submitted with SLURM jobid"
)
UP_TO_DATE, INTERRUPTED = "Nothing to be done", "Terminating processes on user request"
JOB_ENDED = re.compile(r"(?s)RuleException.*CalledProcessError.*returned non-zero exit status 1\.\s*$")
"""What Snakemake adds about a failed job that has printed its own sentence; killed jobs are not among these."""
FIT_RULES = ("fit_first_pass", "fit_second_pass")
LAST_OF_BAND = "run_monte_carlo"


class RunWatch(logging.Handler):
    """Listens to Snakemake's logger, follows the work log, and prints a line now and then.

    Warnings, errors and all that is not known to be scroll pass through as they are. On a terminal one line is
    renewed in place; elsewhere a line comes every ten seconds, and at milestones.

    Parameters
    ----------
    jobs : Jobs
        Of the field.
    """

    def __init__(self, jobs: Jobs):
        super().__init__()
        self.jobs, self.results, self.state = jobs, jobs.results, RunState()
        self.stream: TextIO = sys.stderr
        self.hides = self._attached = False
        self._guard, self._over = threading.RLock(), threading.Event()
        self._running: dict[int, logging.LogRecord] = {}
        self._began = self._fits_began = self._bands_began = self._printed = self._written = 0.0
        self._interrupted = False
        self._offset, self._line, self._beat = 0, "", threading.Thread(target=self._watch, daemon=True)

    # Attaching ---------------------------------------------------------------------------------------------------

    def attach(self, logger: logging.Logger) -> None:
        """Replace Snakemake's output, unless a dry run or another output (-p, --verbose, --quiet) was requested."""
        own = next((h for h in logger.handlers if h.name == "DefaultStreamHandler"), None)
        asked = next((f for f in own.filters if hasattr(f, "dryrun")), None) if own else None
        if own is None or asked is None or asked.dryrun:
            return
        self.stream = getattr(own, "stream", sys.stderr)
        self.hides = not any(
            getattr(asked, name, False) for name in ("printshellcmds", "verbose", "debug_dag", "quiet")
        )
        own.addFilter(self.passes)
        logger.addHandler(self)
        self._attached = True

    def passes(self, record: logging.LogRecord) -> bool:
        """Whether Snakemake's own handler should print a record."""
        if not self.hides:
            return True
        event = getattr(record, "event", None)
        scroll = str(event) in SCROLL if event is not None else record.levelno < logging.WARNING
        text = str(record.msg)
        if (scroll and (event is not None or NOISE.match(text))) or JOB_ENDED.match(text):
            return False
        with self._guard:
            self._wipe()
        return True

    # Records of Snakemake -----------------------------------------------------------------------------------------

    def emit(self, record: logging.LogRecord) -> None:
        """Note a record; if it cannot be understood, the terminal is given back to Snakemake."""
        try:
            with self._guard:
                self._note(record)
        except Exception:
            self.hides = False

    def _note(self, record: logging.LogRecord) -> None:
        event = str(getattr(record, "event", None))
        noted: Any = record
        if event == "run_info":
            self.state.bands_total = noted.stats.get(LAST_OF_BAND, 0)
        elif event == "progress":
            self.state.jobs_done, self.state.jobs_total = noted.done, noted.total
        elif event == "job_info":
            self._running[noted.jobid] = record
            self._job_begins(noted.rule_name)
        elif event == "job_finished":
            self._job_ends(self._running.pop(noted.job_id, None))
        elif event == "job_error":
            self._job_fails(noted)
        elif str(record.msg).startswith(INTERRUPTED):
            self._interrupted = True
        elif str(record.msg).startswith(UP_TO_DATE) and self.hides:
            self._lines(closing(0.0, self._rows())[1:])

    def _job_begins(self, rule: str) -> None:
        if rule in FIT_RULES and not self._fits_began:
            self._fits_began = time.monotonic()
            todo = [missing_fits(self.jobs, which) for which in ("first", "second")]
            self.state.fits_total = sum(map(len, todo))
            sources = sum(len(group["members"]) for group in self.jobs.fits.groups.values())
            groups = count(len(self.jobs.fits.groups), "group")
            self.say(
                f"{count(sources, 'source')} in {groups}: {count(self.state.fits_total, 'fit')} to do, in two passes"
            )
        if rule == "make_templates" and not self._bands_began:
            self._bands_began = time.monotonic()

    def _job_ends(self, job: Any) -> None:
        if job is None:
            return
        logs = warnings_in(Path(path) for path in job.log)
        self.state.warnings += sum(logs.values())
        if job.rule_name == "collect_models" and self.state.fits_total:
            self._follow()
            trouble = flag_counts([Flag.FIT_RETRIED] * self.state.retried + [Flag.FIT_REPLACED] * self.state.replaced)
            self.say(f"{count(self.state.fits_done, 'fit')} done{': ' if trouble else ''}{trouble}")
        if job.rule_name == LAST_OF_BAND:
            self.state.bands_done += 1
            self.say(f"{job.wildcards['band']} done ({self.state.bands_done} of {self.state.bands_total} bands)")

    def _job_fails(self, failed: Any) -> None:
        known: Any = self._running.pop(failed.jobid, None)
        if self._interrupted:
            return
        wildcards = " ".join(f"{name} {value}" for name, value in known.wildcards.items()) if known else ""
        where = f"see {', '.join(failed.log)}" if failed.log else "no log"
        self.state.failed.append(f"{' '.join([failed.rule_name, wildcards]).strip()}: {where}")
        self.say(f"failed: {self.state.failed[-1]}")

    # The run -----------------------------------------------------------------------------------------------------

    def begin(self) -> None:
        """Start to follow the work log, except in a process that runs one job for another Snakemake process."""
        if not self._attached:
            return
        self._began = self._printed = time.monotonic()
        self._offset = self._log.stat().st_size if self._log.exists() else 0
        self._write("running")
        self._beat.start()

    def end(self, *, failed: bool = False) -> None:
        """Print the results of the run and where they are."""
        if not self._began:
            return
        self._over.set()
        self._beat.join(timeout=5.0)
        with self._guard:
            self._follow()
            self._write("failed" if failed else "done")
            self._wipe()
            if self.hides:
                seconds = time.monotonic() - self._began
                self._lines(stopping(seconds, self.state.failed) if failed else closing(seconds, self._rows()))

    def say(self, text: str) -> None:
        """Print a milestone, with the time since the start."""
        if self.hides and self._began:
            self._wipe()
            self._print(text)

    def _rows(self) -> dict[str, str]:
        """Return the products to look at; an unreadable one must not spoil the end of a run."""
        try:
            return list_results(self.results)
        except (UnblendError, OSError, ValueError):
            return {}

    def _lines(self, lines: list[str]) -> None:
        self.stream.write("\n".join(lines) + "\n")
        self.stream.flush()

    def _print(self, text: str) -> None:
        elapsed = int(time.monotonic() - self._began)
        self.stream.write(f"{elapsed // 60:4d}:{elapsed % 60:02d}  {text}\n")
        self.stream.flush()
        self._printed = time.monotonic()

    def _wipe(self) -> None:
        if self._line:
            self.stream.write("\r\x1b[K")
            self._line = ""

    @property
    def _log(self) -> Path:
        return self.results / "logs/work.jsonl"

    def _watch(self) -> None:
        """Look, now and then, until the run is over: the body of the thread."""
        terminal, shown = self.stream.isatty(), ""
        while not self._over.wait(BEAT_S):
            with self._guard:
                self._follow()
                now, line = time.monotonic(), status(self.state)
                if now - self._written > WRITE_S:
                    self._write("running")
                if self.hides and terminal:
                    self._redraw(line)
                elif self.hides and line and line != shown and now - self._printed > LINE_S:
                    self._print(line)
                    shown = line

    def _redraw(self, line: str) -> None:
        elapsed = duration(time.monotonic() - self._began)
        width = shutil.get_terminal_size().columns - 1
        self._line = f"{elapsed}: {line}"[:width]
        self.stream.write("\r\x1b[K" + self._line)
        self.stream.flush()

    def _follow(self) -> None:
        """Count the new lines of the work log; a line that is not complete yet is left for the next time."""
        now = time.monotonic()
        self.state.fits_s = now - self._fits_began if self._fits_began else 0.0
        self.state.bands_s = now - self._bands_began if self._bands_began else 0.0
        if not self._log.exists():
            return
        with self._log.open("rb") as stream:
            stream.seek(self._offset)
            new = stream.read()
        whole = new[: new.rfind(b"\n") + 1]
        self._offset += len(whole)
        for line in whole.splitlines():
            self._count(json.loads(line))

    def _count(self, done: dict[str, Any]) -> None:
        if done["stage"] not in ("fit_first", "fit_second"):
            return
        self.state.fits_done += 1
        if done["stage"] == "fit_second":
            flags = fit_flags(self.results, done["what"])
            self.state.retried += any(value & Flag.FIT_RETRIED for value in flags)
            self.state.replaced += any(value & Flag.FIT_REPLACED for value in flags)

    def _write(self, state: str) -> None:
        self._written = time.monotonic()
        whose = {"state": state, "pid": os.getpid(), "host": socket.gethostname(), "updated": time.time()}
        seconds = self._written - self._began
        write_json(self.results / RUN_FILE, {**whose, "seconds": seconds, "progress": self.state.to_dict()})
