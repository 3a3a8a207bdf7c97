"""The display receives the records of Snakemake's logger (with the fields of version 9.27) and reads the work log."""

from __future__ import annotations

import errno
import io
import json
import logging
import os
import time
from types import SimpleNamespace

import numpy as np
import pytest
from unblend.core.flags import Flag
from unblend.field.stored_fits import key_with_limits
from unblend.io.files import read_json, write_json
from unblend.io.tables import write_table
from unblend.run.field_state import describe_field, is_running, missing_fits
from unblend.run.slurm import write_record
from unblend.run.watch import RunWatch

GROUPS = {
    "1": {"members": [1, 3], "neighbours": [2]},
    "2": {"members": [2], "neighbours": [1]},
    "5": {"members": [5], "neighbours": []},
}


class FakeJobs:
    """The keys of a small field: a fit is current when its file bears "first-1" and the like."""

    def __init__(self, results):
        self.results, self.groups, self.files, self.fits = results, GROUPS, {}, self
        self.config = SimpleNamespace(models=SimpleNamespace(timeout=600.0), bands={"k": None})

    def of_pass(self, which, group):
        return f"{which}{group}"

    def user_files(self, group):
        return self.files.get(group, {})


@pytest.fixture
def jobs(tmp_path):
    write_json(tmp_path / "imfit/groups.json", {"groups": GROUPS})
    return FakeJobs(tmp_path)


def keep_fit(jobs, group, which, flags=0, key=None, **limit):
    name = {"first": "first.json", "second": "fit.json"}[which]
    members = [{"id": i, "flags": int(flags)} for i in GROUPS[group]["members"]]
    content = {"key": key or f"{which}{group}", "fit": {"members": members}, **limit}
    write_json(jobs.results / "imfit" / group / name, content)


def log_work(jobs, stage, what):
    path = jobs.results / "logs/work.jsonl"
    path.parent.mkdir(exist_ok=True)
    with path.open("a") as log:
        log.write(json.dumps({"stage": stage, "what": what}) + "\n")


class OutputOptions(logging.Filter):
    """A filter with the output options of the command line, such as Snakemake's."""

    def __init__(self, **options):
        super().__init__()
        self.dryrun = self.verbose = self.printshellcmds = self.debug_dag = False
        self.quiet = set()
        self.__dict__.update(options)


@pytest.fixture
def scene(jobs):
    """A logger such as Snakemake's, the watch, and what the terminal shows."""

    def make(**options):
        shown = io.StringIO()
        default = logging.StreamHandler(shown)
        default.name = "DefaultStreamHandler"
        default.addFilter(OutputOptions(**options))
        logger = logging.Logger("like snakemake's")
        logger.addHandler(default)
        watch = RunWatch(jobs)
        watch.attach(logger)
        return SimpleNamespace(logger=logger, watch=watch, shown=shown, jobs=jobs)

    return make


def job(scene, number, rule, log=(), **wildcards):
    fields = {"jobid": number, "rule_name": rule, "wildcards": wildcards, "log": list(log)}
    scene.logger.info(f"Rule: {rule}", extra={"event": "job_info", **fields})


def finish(scene, number):
    scene.logger.info(f"Finished jobid: {number}", extra={"event": "job_finished", "job_id": number})


# What is shown ------------------------------------------------------------------------------------------------------


def test_messages_about_single_jobs_are_hidden_and_all_others_shown(scene):
    s = scene()
    job(s, 1, "mask_band", band="k")
    s.logger.info("Select jobs to execute...")
    s.logger.info("Building DAG of jobs...")
    assert s.shown.getvalue() == ""
    s.logger.info("Unlocked working directory.")
    s.logger.error("Error: Directory cannot be locked.")
    s.logger.warning("Using shell: is a warning here")
    assert s.shown.getvalue().splitlines() == [
        "Unlocked working directory.",
        "Error: Directory cannot be locked.",
        "Using shell: is a warning here",
    ]


@pytest.mark.parametrize(
    "options", [{"printshellcmds": True}, {"verbose": True}, {"quiet": {"rules"}}, {"dryrun": True}]
)
def test_plain_output_on_request(scene, options):
    s = scene(**options)
    job(s, 1, "mask_band", band="k")
    s.logger.info("Select jobs to execute...")
    assert s.shown.getvalue().splitlines() == ["Rule: mask_band", "Select jobs to execute..."]


def test_a_plugin_that_writes_to_the_terminal_keeps_it_and_the_run_is_followed(jobs, capsys):
    # Snakemake has no handler of its own then
    logger, watch = logging.Logger("like snakemake's"), RunWatch(jobs)
    watch.attach(logger)
    watch.begin()
    assert is_running(jobs.results)
    logger.info("Rule: x", extra={"event": "job_info", "jobid": 1, "rule_name": "x", "wildcards": {}, "log": []})
    logger.error(
        "x", extra={"event": "job_error", "aux": {}, "rule_msg": None, "jobid": 1, "rule_name": "x", "log": []}
    )
    watch.end(failed=True)
    assert capsys.readouterr() == ("", "")
    assert read_json(jobs.results / "logs/run.json")["progress"]["failed"] == ["x: no log"]


def test_a_run_on_a_full_disk_has_its_last_lines(jobs, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("unblend.run.watch.write_json", full)
    watch = RunWatch(jobs)
    watch.attach(logging.Logger("like snakemake's"))
    watch.begin()
    watch.end(failed=True)
    assert not (jobs.results / "logs/run.json").exists()


def test_after_an_unexpected_record_the_output_is_snakemakes(scene):
    s = scene()
    s.logger.info("odd", extra={"event": "job_info"})
    s.logger.info("Select jobs to execute...")
    assert s.shown.getvalue() == "Select jobs to execute...\n"


def test_a_run_from_its_start_to_its_end(scene, jobs):
    s = scene()
    log_work(jobs, "fit_first", "1")  # of a run before
    keep_fit(jobs, "5", "first")
    s.logger.info("Job stats", extra={"event": "run_info", "stats": {"run_monte_carlo": 2, "total": 9}})
    s.watch.begin()
    job(s, 1, "fit_first_pass", batch="0")
    for group, which in (("1", "first"), ("2", "first"), ("1", "second"), ("2", "second"), ("5", "second")):
        keep_fit(jobs, group, which, Flag.FIT_RETRIED if group == "2" else 0)
        log_work(jobs, f"fit_{which}", group)
    finish(s, 1)
    job(s, 2, "collect_models")
    finish(s, 2)
    log = jobs.results / "logs/run_monte_carlo/k.log"
    log.parent.mkdir()
    log.write_text("2026-01-01 WARNING k: too few circles\n")
    job(s, 3, "run_monte_carlo", [str(log)], band="k")
    finish(s, 3)
    s.watch.end()
    lines = s.shown.getvalue().splitlines()
    assert [line.split("  ")[-1] for line in lines[:3]] == [
        "4 sources in 3 groups: 5 fits to do, in two passes",
        "5 fits done: 1 retried",
        "k done (1 of 2 bands)",
    ]
    assert lines[3].startswith("Done in ") and lines[4:] == [
        f"  warnings  1, in {jobs.results / 'logs'}: run_monte_carlo/k.log",
        "    k: too few circles",
    ]
    content = read_json(jobs.results / "logs/run.json")
    assert content["state"] == "done" and content["progress"]["fits_done"] == 5 and content["progress"]["warnings"] == 1


@pytest.mark.parametrize("failed", [False, True])
def test_the_run_of_a_module_begins_with_its_first_job_and_ends_with_the_log(scene, jobs, failed):
    """Snakemake calls no handler of a module: its own output was hidden, and nothing was shown in its place."""
    s, ends = scene(), []
    s.watch.follow_jobs(s.watch.begin, lambda failed: (ends.append(failed), s.watch.end(failed=failed)))
    s.logger.info("Job stats", extra={"event": "run_info", "stats": {"run_monte_carlo": 1, "total": 1}})
    assert not s.shown.getvalue()
    job(s, 1, "run_monte_carlo", ["k.log"], band="k")
    if failed:
        fields = {"jobid": 1, "rule_name": "run_monte_carlo", "log": ["k.log"], "aux": {}, "rule_msg": None}
        s.logger.error("Error in rule", extra={"event": "job_error", **fields})
    else:
        finish(s, 1)
    s.watch.close()
    s.watch.close()  # Snakemake does, and Python at its end
    lines = s.shown.getvalue().splitlines()
    assert ends == [failed] and lines[0].endswith(
        "failed: run_monte_carlo band k: see k.log" if failed else "(1 of 1 bands)"
    )
    assert lines[1].startswith("Stopped after " if failed else "Done in ")
    assert read_json(jobs.results / "logs/run.json")["state"] == ("failed" if failed else "done")


def test_a_module_without_any_job_ends_without_a_word(scene):
    s = scene()
    s.watch.follow_jobs(s.watch.begin, lambda failed: pytest.fail("it has not begun"))
    s.watch.close()
    assert not s.shown.getvalue()


def test_a_job_that_fails_is_named_with_its_log(scene):
    s = scene()
    s.watch.begin()
    job(s, 4, "mask_band", ["results/logs/mask_band/k.log"], band="k")
    extra = {
        "event": "job_error",
        "aux": {},
        "rule_msg": None,
        "jobid": 4,
        "rule_name": "mask_band",
        "log": ["results/logs/mask_band/k.log"],
    }
    s.logger.error("Error in rule mask_band", extra=extra)
    s.watch.end(failed=True)
    lines = s.shown.getvalue().splitlines()
    assert lines[0].endswith("failed: mask_band band k: see results/logs/mask_band/k.log")
    assert "1 job failed." in lines[1] and lines[-1] == "Finished work is kept. Fix the cause and run again."
    assert read_json(s.jobs.results / "logs/run.json")["state"] == "failed"


def test_the_message_that_a_failed_job_printed_is_not_repeated(scene):
    s = scene()
    message = "RuleException:\nCalledProcessError in file x.smk:\nCommand 'python x.py' {}"
    s.logger.error(message.format("returned non-zero exit status 1."))
    assert s.shown.getvalue() == ""
    s.logger.error(message.format("died with <Signals.SIGKILL: 9>."))
    assert "SIGKILL" in s.shown.getvalue()


@pytest.mark.parametrize(
    ("end", "said"),
    [
        ("died with <Signals.SIGKILL: 9>.", "SIGKILL, as happens for lack of memory: run again with more memory"),
        ("returned non-zero exit status 137.", "SIGKILL, as happens for lack of memory: run again with more memory"),
        ("died with <Signals.SIGSEGV: 11>.", "SIGSEGV; see results/logs/x/a b.log"),
    ],
)
def test_a_job_that_was_killed_is_named_with_the_signal(scene, end, said):
    s = scene()
    s.watch.begin()
    job(s, 4, "x", ["results/logs/x/a b.log"], batch="0")
    command = "Command 'python x.py --log results/logs/x/a b.log --spec s'"
    s.logger.error(f"RuleException:\nCalledProcessError in file x.smk:\n{command} {end}")
    extra = {
        "event": "job_error",
        "aux": {},
        "rule_msg": None,
        "jobid": 4,
        "rule_name": "x",
        "log": ["results/logs/x/a b.log"],
    }
    s.logger.error("Error in rule x", extra=extra)
    s.watch.end(failed=True)
    lines = s.shown.getvalue().splitlines()
    assert f"failed: x batch 0: ended from outside by {said}" in lines[0] and "CalledProcessError" not in "".join(lines)


# Slurm --------------------------------------------------------------------------------------------------------------


def lose(s, number, *job_ids, group=None, **record):
    """Let a job fail as Snakemake's log has it, or jobs that were submitted together."""
    aux = {"external_jobid": number} if number else {}
    if record:
        (s.jobs.results / "logs/slurm").mkdir(parents=True, exist_ok=True)
        limits = {"job": group or str(job_ids[0]), "memory_mb": 150, "minutes": 10}
        write_record(s.jobs.results / "logs/slurm", number, {**limits, **record})
    if group:
        members = [{"jobid": job} for job in job_ids]
        s.logger.error("Error in group", extra={"event": "group_error", "job_error_info": members, **aux})
    for job_id in job_ids:
        fields = {"jobid": job_id, "rule_name": "x", "log": [], "aux": {} if group else aux}
        s.logger.error("x", extra={"event": "job_error", "rule_msg": None if group else REFUSED, **fields})


REFUSED = "Error submitting jobscript (exit code 1):\nsbatch: error: Invalid account\nFor further error details see"


def test_a_job_that_slurm_has_killed_is_tried_again_with_more_and_has_not_failed(scene):
    s = scene()
    s.watch.begin()
    job(s, 4, "extract_fluxes", ["extract.log"], band="k")
    lose(s, "7", 4, state="OUT_OF_MEMORY")
    s.logger.info("Trying to restart job 4.")
    assert s.watch.state.failed == []
    job(s, 4, "extract_fluxes", ["extract.log"], band="k")
    lose(s, "8", 4, state="OUT_OF_MEMORY")
    s.watch.end(failed=True)
    first, again, last, *_ = (line.partition("  ")[2].strip() for line in s.shown.getvalue().splitlines())
    said = f"extract_fluxes band k: killed by the memory limit of 150 MB; see {s.jobs.results / 'logs/slurm'}"
    assert first.endswith(f"failed: {said}/7.log") and last.endswith(f"failed: {said}/8.log")
    assert again.endswith("extract_fluxes band k: tried again with twice the memory")
    assert s.watch.state.failed == [f"{said}/8.log"]


def test_a_job_that_failed_by_itself_is_named_once_though_snakemake_tries_to_submit_it_again(scene):
    s = scene()
    s.watch.begin()
    job(s, 4, "write_report")
    lose(s, "7", 4, state="CANCELLED")
    s.logger.info("Trying to restart job 4.")
    job(s, 4, "write_report")
    lose(s, None, 4)
    s.watch.end(failed=True)
    log = s.jobs.results / "logs/slurm/7.log"
    assert s.watch.state.failed == [f"write_report: cancelled in Slurm (scancel); see {log}"]
    assert s.shown.getvalue().count("failed: ") == 1 and "tried again" not in s.shown.getvalue()


def test_a_job_that_slurm_accepts_only_in_the_second_attempt_has_not_failed(scene):
    s = scene()
    s.watch.begin()
    job(s, 4, "write_report")
    lose(s, None, 4)
    assert s.watch.state.failed == ["write_report: Slurm did not accept the job: sbatch: error: Invalid account"]
    s.logger.info("Trying to restart job 4.")
    job(s, 4, "write_report")
    finish(s, 4)
    s.watch.end()
    assert s.watch.state.failed == []


def test_a_job_that_fails_in_the_second_submission_is_named_with_the_last_reason(scene):
    s = scene()
    s.watch.begin()
    for number, state in ((None, {}), ("8", {"state": "TIMEOUT"})):
        job(s, 4, "write_report")
        lose(s, number, 4, **state)
    s.watch.end(failed=True)
    log = s.jobs.results / "logs/slurm/8.log"
    assert s.watch.state.failed == [f"write_report: killed by the time limit of 10 minutes; see {log}"]


def test_of_jobs_submitted_together_the_last_one_to_write_has_failed(scene, tmp_path):
    s = scene()
    s.watch.begin()
    job(s, 4, "mask_band", [str(tmp_path / "mask.log")], band="k")
    job(s, 5, "extract_fluxes", [str(tmp_path / "extract.log")], band="k")
    job(s, 6, "run_monte_carlo", [str(tmp_path / "carlo.log")], band="k")
    for name, age in (("mask", 5.0), ("extract", 1.0)):
        (tmp_path / f"{name}.log").write_text("2026-11-27 09:53:31,310 ERROR k.fits has no WCS.\n")
        later = time.time() + 60.0 - age
        os.utime(tmp_path / f"{name}.log", (later, later))
    lose(s, "7", 4, 5, 6, group="1f-2e", state="FAILED")
    s.watch.end(failed=True)
    assert s.watch.state.failed == [f"extract_fluxes band k: k.fits has no WCS.; see {tmp_path / 'extract.log'}"]
    assert "group" not in s.shown.getvalue() and s.shown.getvalue().count("failed: ") == 1


def test_jobs_submitted_together_are_tried_again_together(scene):
    s = scene()
    s.watch.begin()
    for number in (4, 5):
        job(s, number, "mask_band", band="k")
    lose(s, "7", 4, 5, group="1f-2e", state="NODE_FAIL")
    s.logger.info("Trying to restart job 1f-2e.")
    s.watch.end()
    assert s.watch.state.failed == [] and "mask_band band k: tried again with another node" in s.shown.getvalue()


@pytest.mark.parametrize("interrupted", [True, False])
def test_an_interrupted_run_cancels_its_jobs_in_slurm(scene, tmp_path, monkeypatch, interrupted):
    (tmp_path / "scancel").write_text(f'#!/bin/sh\necho "$@" > {tmp_path / "cancelled"}\n')
    (tmp_path / "scancel").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    s = scene()
    folder = s.jobs.results / "logs/slurm"
    folder.mkdir(parents=True)
    write_record(folder, "6", {"submitted": time.time() - 60.0})
    s.watch.begin()
    write_record(folder, "7", {"submitted": time.time()})
    if interrupted:
        s.logger.info("Terminating processes on user request, this might take some time.")
    s.watch.end(failed=True)
    cancelled = tmp_path / "cancelled"
    assert (cancelled.read_text() == "7\n") if interrupted else not cancelled.exists()


def test_jobs_that_the_user_has_interrupted_have_not_failed(scene):
    s = scene()
    s.watch.begin()
    s.logger.info("Terminating processes on user request, this might take some time.")
    # Snakemake has cancelled it
    lose(s, "7", 5, state="CANCELLED")
    s.logger.error(
        "Error in rule x",
        extra={"event": "job_error", "aux": {}, "rule_msg": None, "jobid": 4, "rule_name": "x", "log": []},
    )
    s.watch.end(failed=True)
    lines = s.shown.getvalue().splitlines()
    assert lines[0].startswith("Terminating") and lines[1].startswith("Stopped after ")
    assert lines[2] == "Finished work is kept. Run again to continue."


def test_a_run_with_nothing_to_do_lists_the_results(scene, jobs):
    write_table(
        jobs.results / "catalogue.fits",
        np.array([(1, 0, 4), (2, 0, 0)], dtype=[("id", "i4"), ("flag", "i4"), ("flag_k", "i4")]),
    )
    s = scene()
    s.logger.info("Nothing to be done (all requested files are present and up to date).")
    assert s.shown.getvalue().splitlines()[-2:] == [
        f"  catalogue  {jobs.results / 'catalogue.fits'}: 2 sources",
        "  flags      1 degenerate",
    ]


# State of the field -------------------------------------------------------------------------------------------------


def test_fits_are_missing_until_their_key_is_the_current_one(jobs):
    keep_fit(jobs, "1", "first")
    keep_fit(jobs, "2", "first", key="old")
    assert missing_fits(jobs, "first") == ["2", "5"]
    # a group of the user's own models leaves nothing to fit
    jobs.files = {"5": {"5": {"custom": {}}}, "1": {"1": {"custom": {}}}}
    assert missing_fits(jobs, "first") == ["2"] and missing_fits(jobs, "second") == ["1", "2"]


def test_a_fit_that_ran_into_a_lower_time_limit_is_missing_with_all_that_depend_on_it(jobs):
    for group in GROUPS:
        keep_fit(jobs, group, "first")
        keep_fit(jobs, group, "second")
    keep_fit(jobs, "2", "first", timed_out_at_s=300.0)
    # the second passes of 1 and 2 were made with another first pass of 2
    assert missing_fits(jobs, "first") == ["2"] and missing_fits(jobs, "second") == ["1", "2"]
    jobs.config.models.timeout = 300.0
    assert missing_fits(jobs, "first") == [] and missing_fits(jobs, "second") == ["1", "2"]
    for group in ("1", "2"):
        keep_fit(jobs, group, "second", key=key_with_limits(f"second{group}", {"2": 300.0}))
    assert missing_fits(jobs, "second") == []
    jobs.config.models.timeout = 301.0
    assert missing_fits(jobs, "first") == ["2"] and missing_fits(jobs, "second") == ["1", "2"]
    keep_fit(jobs, "2", "first")
    assert missing_fits(jobs, "first") == [] and missing_fits(jobs, "second") == ["1", "2"]
    keep_fit(jobs, "5", "second", timed_out_at_s=300.0)
    assert missing_fits(jobs, "second") == ["1", "2", "5"]


def test_a_field_is_described_before_during_and_after_a_run(jobs, scene):
    keep_fit(jobs, "1", "first")
    keep_fit(jobs, "5", "first")
    keep_fit(jobs, "5", "second", Flag.FIT_REPLACED)
    lines = describe_field(jobs)
    assert lines == [
        "fits   4 sources in 3 groups: first pass 2 of 3, second 1 of 3; 1 replaced",
        "run    none so far",
    ]
    RunWatch(jobs).begin()  # not attached to a logger, as in a process that runs a single job
    assert not is_running(jobs.results)
    watch = scene().watch
    watch.begin()
    assert is_running(jobs.results) and describe_field(jobs)[1].startswith("run    running for ")
    watch.end(failed=True)
    assert not is_running(jobs.results) and describe_field(jobs)[1].startswith("run    stopped after ")
    content = read_json(jobs.results / "logs/run.json")
    write_json(jobs.results / "logs/run.json", {**content, "state": "running", "updated": content["updated"] - 100.0})
    assert not is_running(jobs.results) and "no sign of life (killed?)" in describe_field(jobs)[1]
    (jobs.results / "imfit/groups.json").unlink()
    assert describe_field(jobs)[0] == "fits   the sources are not yet detected and grouped"
