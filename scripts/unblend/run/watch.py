"""The progress display of a run, which replaces Snakemake's message for every job.

It receives the records of Snakemake's logger and follows the work log.
"""

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
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from ..core.counts import count
from ..core.errors import UnblendError
from ..core.flags import Flag
from ..io.files import write_json
from ..plan.jobs import Jobs
from . import slurm, slurm_reasons
from .field_state import RUN_FILE, fit_flags, list_results, missing_fits, warnings_in
from .progress import RunState, duration, failure_lines, flag_counts, status, success_lines

POLL_S, LINE_S, WRITE_S = 0.5, 10.0, 2.0
"""Seconds between reads of the work log, between printed lines without a terminal, and between writes of the run file.
"""
HIDDEN_EVENTS = {"job_info", "job_started", "job_finished", "job_error", "progress", "shellcmd", "run_info",
                 "resources_info", "workflow_started", "group_info", "group_error"}  # fmt: skip
"""Events of Snakemake's logger that are not shown; the log in .snakemake/log contains them all."""
HIDDEN_MESSAGES = re.compile(
    r"Building DAG of jobs|Using shell: |Conda environments: ignored|Singularity containers: ignored|Elapsed time: |"
    r"Select jobs to execute|DAG of jobs will be updated|Updating checkpoint dependencies|Group jobs: inactive|"
    r"Processed \d+ potential jobs|Restored previous version of |Submitted (?:group )?job \S+ with external jobid |"
    r"Trying to restart job |Activating singularity image "
)
UP_TO_DATE, INTERRUPTED = "Nothing to be done", "Terminating processes on user request"
JOB_EXITED = re.compile(r"(?s)RuleException.*CalledProcessError.*returned non-zero exit status 1\.\s*$")
"""Snakemake's message about a job that failed with an error of its own, which it has already printed. A killed job has
printed none, and its message is shown."""
JOB_KILLED = re.compile(
    r"(?s)RuleException.*CalledProcessError.*--log (?P<log>'[^']+'|.+?) --.*"
    r"(?:died with <Signals\.(?P<signal>\w+): \d+>|returned non-zero exit status 137)\.\s*$"
)
"""The same about a job that was killed and has said nothing, with its log: the line about the failed job says it."""
RESTARTED = re.compile(r"Trying to restart job (?P<job>\S+)\.$")
LACK_OF_MEMORY = ", as happens for lack of memory: run again with more memory or fewer --cores"
FIT_RULES = ("fit_first_pass", "fit_second_pass")
LAST_OF_BAND = "run_monte_carlo"


@dataclass(frozen=True)
class Lost:
    """A submission to Slurm that has failed.

    Parameters
    ----------
    job : str
        Snakemake's number of the job, or its name of the group.
    title, text : str
        Rule and wildcards of the job; the same with the reason.
    remedy : str
        With what it may be tried again, empty where it would only fail again.
    """

    job: str
    title: str
    text: str
    remedy: str


class RunWatch(logging.Handler):
    """Handler of Snakemake's logger that prints the progress of the run.

    Warnings, errors and all messages except those about single jobs are printed unchanged. On a terminal one line is
    updated in place; elsewhere a line is printed every ten seconds and at important events.

    Parameters
    ----------
    jobs : Jobs
        The jobs of the field.
    """

    def __init__(self, jobs: Jobs):
        super().__init__()
        self.jobs, self.results, self.state = jobs, jobs.results, RunState()
        self.stream: TextIO = sys.stderr
        self.replaces_output = self._attached = False
        self._state_lock, self._ended = threading.RLock(), threading.Event()
        self._running: dict[int, logging.LogRecord] = {}
        self._started = self._fits_started = self._bands_started = self._printed = self._written = 0.0
        self._interrupted, self._began = False, 0.0
        self._killed: dict[str, str] = {}
        self._lost: dict[int, Lost] = {}
        self._announced: set[int] = set()
        self._begin: Callable[[], None] | None = None
        self._end: Callable[[bool], None] | None = None
        self._offset, self._line, self._thread = 0, "", threading.Thread(target=self._watch, daemon=True)

    # Attaching ---------------------------------------------------------------------------------------------------

    def attach(self, logger: logging.Logger) -> None:
        """Replace Snakemake's output, unless another one is requested: -p, --verbose, --quiet or --logger.

        The run file is written in any case, except in a dry run.
        """
        default = next((h for h in logger.handlers if h.name == "DefaultStreamHandler"), None)
        options = next((f for f in default.filters if hasattr(f, "dryrun")), None) if default else None
        if options is not None and options.dryrun:
            return
        logger.addHandler(self)
        self._attached = True
        if default is None or options is None:
            return
        self.stream = getattr(default, "stream", sys.stderr)
        self.replaces_output = not any(
            getattr(options, name, False) for name in ("printshellcmds", "verbose", "debug_dag", "quiet")
        )
        default.addFilter(self.is_shown)

    def follow_jobs(self, begin: Callable[[], None], end: Callable[[bool], None]) -> None:
        """Begin the run with its first job and end it with the log, where nobody else does so.

        Snakemake calls the handlers `onstart`, `onsuccess` and `onerror` of a workflow, and not those of its modules.

        Parameters
        ----------
        begin : callable
            Is called before the first job.
        end : callable
            Is called with whether the run has failed when Snakemake closes its log.
        """
        self._begin, self._end = begin, end

    def close(self) -> None:
        """End a run that has begun with its first job."""
        if self._end and self._started and not self._ended.is_set():
            self._end(bool(self.state.failed) or self._interrupted)
        super().close()

    def is_shown(self, record: logging.LogRecord) -> bool:
        """Return whether Snakemake's own handler should print a record."""
        if not self.replaces_output:
            return True
        event, text = getattr(record, "event", None), str(record.msg)
        if event is not None:
            hidden = str(event) in HIDDEN_EVENTS
        else:
            hidden = record.levelno < logging.WARNING and HIDDEN_MESSAGES.match(text) is not None
        if hidden or JOB_EXITED.match(text) or JOB_KILLED.match(text):
            return False
        with self._state_lock:
            self._clear_line()
        return True

    # Records of Snakemake -----------------------------------------------------------------------------------------

    def emit(self, record: logging.LogRecord) -> None:
        """Handle a record; if its fields are not as expected, all later output is Snakemake's own."""
        try:
            with self._state_lock:
                self._handle(record)
        except Exception:
            self.replaces_output = False

    def _handle(self, record: logging.LogRecord) -> None:
        event = str(getattr(record, "event", None))
        fields: Any = record
        if event == "run_info":
            self.state.bands_total = fields.stats.get(LAST_OF_BAND, 0)
        elif event == "progress":
            self.state.jobs_done, self.state.jobs_total = fields.done, fields.total
        elif event == "job_info":
            if self._begin and not self._started:
                self._begin()
            self._running[fields.jobid] = record
            self._job_starts(fields.rule_name)
        elif event == "job_finished":
            self._job_ends(self._running.pop(fields.job_id, None))
            self._forget_loss(self._lost.get(fields.job_id))
        elif event == "job_error":
            self._job_fails(fields)
        elif event == "group_error":
            members = [job["jobid"] for job in fields.job_error_info]
            self._submission_fails(members, getattr(record, "external_jobid", None), "")
            # a record for each of them follows
            self._announced |= set(members)
        elif restarted := RESTARTED.match(str(record.msg)):
            self._job_restarts(restarted["job"])
        elif killed := JOB_KILLED.match(str(record.msg)):
            self._killed[killed["log"].strip("'")] = killed["signal"] or "SIGKILL"
        elif str(record.msg).startswith(INTERRUPTED):
            self._interrupted = True
        elif str(record.msg).startswith(UP_TO_DATE) and self.replaces_output:
            self._print_lines(success_lines(0.0, self._rows())[1:])

    def _job_starts(self, rule: str) -> None:
        if rule in FIT_RULES and not self._fits_started:
            self._fits_started = time.monotonic()
            todo = [missing_fits(self.jobs, which) for which in ("first", "second")]
            self.state.fits_total = sum(map(len, todo))
            sources = sum(len(group["members"]) for group in self.jobs.fits.groups.values())
            groups = count(len(self.jobs.fits.groups), "group")
            self.print_event(
                f"{count(sources, 'source')} in {groups}: {count(self.state.fits_total, 'fit')} to do, in two passes"
            )
        if rule == "make_templates" and not self._bands_started:
            self._bands_started = time.monotonic()

    def _job_ends(self, job: Any) -> None:
        if job is None:
            return
        logs = warnings_in(Path(path) for path in job.log)
        self.state.warnings += sum(logs.values())
        if job.rule_name == "collect_models" and self.state.fits_total:
            self._follow()
            problems = flag_counts([Flag.FIT_RETRIED] * self.state.retried + [Flag.FIT_REPLACED] * self.state.replaced)
            self.print_event(f"{count(self.state.fits_done, 'fit')} done{': ' if problems else ''}{problems}")
        if job.rule_name == LAST_OF_BAND:
            self.state.bands_done += 1
            self.print_event(
                f"{job.wildcards['band']} done ({self.state.bands_done} of {self.state.bands_total} bands)"
            )

    def _job_fails(self, failed: Any) -> None:
        if failed.jobid in self._announced:
            self._announced.discard(failed.jobid)
            return
        number, message = failed.aux.get("external_jobid"), failed.rule_msg or ""
        if number or slurm_reasons.SUBMISSION.match(message):
            self._submission_fails([failed.jobid], number, message)
            return
        started: Any = self._running.pop(failed.jobid, None)
        if self._interrupted:
            return
        where = f"see {', '.join(failed.log)}" if failed.log else "no log"
        signal = next((self._killed[log] for log in map(str, failed.log or ()) if log in self._killed), None)
        if signal is not None:
            where = f"ended from outside by {signal}{LACK_OF_MEMORY if signal == 'SIGKILL' else ''}; {where}"
        self.state.failed.append(f"{_job_title(started) if started else failed.rule_name}: {where}")
        self.print_event(f"failed: {self.state.failed[-1]}")

    def _submission_fails(self, job_ids: Sequence[int], number: str | None, message: str) -> None:
        """Say why a job in Slurm, or jobs that were submitted together, failed.

        Parameters
        ----------
        job_ids : sequence of int
            Snakemake's numbers of the jobs.
        number : str or None
            Its number in Slurm; None where it was not submitted.
        message : str
            What Snakemake says of it.
        """
        started: list[Any] = [self._running.pop(job) for job in job_ids if job in self._running]
        before = self._lost.get(job_ids[0])
        # a job that has failed by itself is not submitted a second time
        if self._interrupted or (before and not number):
            return
        self._forget_loss(before)
        logs = {Path(name): record for record in started for name in record.log}
        # an older log is that of an earlier run
        log = slurm_reasons.newest(logs, min((record.created for record in started), default=0.0)) if number else None
        record = slurm.read_record(self._slurm, number) if number else {}
        slurm_log = self._slurm / f"{number}.log" if number else None
        if number:
            limits = {"memory_mb": record.get("memory_mb", 0), "minutes": record.get("minutes", 0)}
            ended = slurm_reasons.why(record.get("state", ""), **limits, log=log, slurm_log=slurm_log)
        else:
            ended = slurm_reasons.why_not_submitted(message)
        # of jobs submitted together, the last one to write has failed
        title = _job_title(logs[log] if log else started[0]) if started else "a job"
        text = f"{title}: {ended.sentence}" + (f"; see {log or slurm_log}" if log or slurm_log else "")
        self._lost |= dict.fromkeys(job_ids, Lost(record.get("job", ""), title, text, ended.remedy))
        self.state.failed.append(text)
        self.print_event(f"failed: {text}")

    def _job_restarts(self, job: str) -> None:
        """Take back that a job in Slurm has failed, if it is tried again."""
        lost = next((each for each in self._lost.values() if each.job == job and each.remedy), None)
        if lost:
            self._forget_loss(lost)
            self.print_event(f"{lost.title}: tried again with {lost.remedy}")

    def _forget_loss(self, lost: Lost | None) -> None:
        if lost:
            self._lost = {job: each for job, each in self._lost.items() if each is not lost}
            self.state.failed = [text for text in self.state.failed if text != lost.text]

    # The run -----------------------------------------------------------------------------------------------------

    def begin(self) -> None:
        """Start the display, except in a process that runs a single job for another Snakemake process."""
        if not self._attached:
            return
        self._started = self._printed = time.monotonic()
        self._began = time.time()
        self._offset = self._log.stat().st_size if self._log.exists() else 0
        self._write("running")
        self._thread.start()

    def end(self, *, failed: bool = False) -> None:
        """Print the results of the run and where they are."""
        if not self._started:
            return
        if self._interrupted:
            slurm.cancel(self._slurm, self._began)
        self._ended.set()
        self._thread.join(timeout=5.0)
        with self._state_lock:
            self._follow()
            self._write("failed" if failed else "done")
            self._clear_line()
            if self.replaces_output:
                seconds = time.monotonic() - self._started
                failures = self.state.failed
                self._print_lines(failure_lines(seconds, failures) if failed else success_lines(seconds, self._rows()))

    def print_event(self, text: str) -> None:
        """Print an important event with the time since the start."""
        if self.replaces_output and self._started:
            self._clear_line()
            self._print(text)

    def _rows(self) -> dict[str, str]:
        """Return the products to look at, or none if one cannot be read: a finished run must not end with an error."""
        try:
            return list_results(self.results, self.jobs.config.bands)
        except (UnblendError, OSError, ValueError):
            return {}

    def _print_lines(self, lines: list[str]) -> None:
        self.stream.write("\n".join(lines) + "\n")
        self.stream.flush()

    def _print(self, text: str) -> None:
        elapsed = int(time.monotonic() - self._started)
        self.stream.write(f"{elapsed // 60:4d}:{elapsed % 60:02d}  {text}\n")
        self.stream.flush()
        self._printed = time.monotonic()

    def _clear_line(self) -> None:
        if self._line:
            self.stream.write("\r\x1b[K")
            self._line = ""

    @property
    def _log(self) -> Path:
        return self.results / "logs/work.jsonl"

    @property
    def _slurm(self) -> Path:
        """The folder with the records of jobs in Slurm."""
        return self.results / "logs/slurm"

    def _watch(self) -> None:
        """Update the display until the run has ended: the body of the thread."""
        terminal, shown = self.stream.isatty(), ""
        while not self._ended.wait(POLL_S):
            with self._state_lock:
                self._follow()
                now, line = time.monotonic(), status(self.state)
                if now - self._written > WRITE_S:
                    self._write("running")
                if self.replaces_output and terminal:
                    self._redraw(line)
                elif self.replaces_output and line and line != shown and now - self._printed > LINE_S:
                    self._print(line)
                    shown = line

    def _redraw(self, line: str) -> None:
        elapsed = duration(time.monotonic() - self._started)
        width = shutil.get_terminal_size().columns - 1
        self._line = f"{elapsed}: {line}"[:width]
        self.stream.write("\r\x1b[K" + self._line)
        self.stream.flush()

    def _follow(self) -> None:
        """Count the new lines of the work log; an incomplete last line is read the next time."""
        now = time.monotonic()
        self.state.fits_s = now - self._fits_started if self._fits_started else 0.0
        self.state.bands_s = now - self._bands_started if self._bands_started else 0.0
        if not self._log.exists():
            return
        with self._log.open("rb") as stream:
            stream.seek(self._offset)
            new = stream.read()
        complete = new[: new.rfind(b"\n") + 1]
        self._offset += len(complete)
        for line in complete.splitlines():
            self._count(json.loads(line))

    def _count(self, work: dict[str, Any]) -> None:
        if work["stage"] not in ("fit_first", "fit_second"):
            return
        self.state.fits_done += 1
        if work["stage"] == "fit_second":
            flags = fit_flags(self.results, work["what"])
            self.state.retried += any(value & Flag.FIT_RETRIED for value in flags)
            self.state.replaced += any(value & Flag.FIT_REPLACED for value in flags)

    def _write(self, state: str) -> None:
        self._written = time.monotonic()
        process = {"state": state, "pid": os.getpid(), "host": socket.gethostname(), "updated": time.time()}
        seconds = self._written - self._started
        # on a full or read-only disk the run still ends with its last lines
        with suppress(OSError):
            write_json(self.results / RUN_FILE, {**process, "seconds": seconds, "progress": self.state.to_dict()})


def _job_title(record: Any) -> str:
    """Return rule and wildcards of a job: "extract_fluxes band irac-ch1"."""
    return " ".join([record.rule_name, *(f"{name} {value}" for name, value in record.wildcards.items())])
