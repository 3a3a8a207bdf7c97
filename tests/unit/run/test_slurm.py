"""Submissions, and answers about jobs. The programs of Slurm are scripts here: tests/integration has a real Slurm."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml
from unblend.run.slurm import (
    MISSING_S,
    TOGETHER_VARIABLE,
    RefusedError,
    cancel,
    job_name,
    job_state,
    read_record,
    sbatch_command,
    submit,
    with_exit_status,
    write_record,
)

SCRIPTS = Path(__file__).resolve().parents[3] / "scripts"
RESOURCES = {"mem_mb": 450, "runtime": 10, "slurm_partition": "short"}
JOB = {"type": "single", "rule": "mask_band", "threads": 2, "jobid": 4, "resources": RESOURCES}


@pytest.fixture
def programs(tmp_path, monkeypatch):
    """Return the function that puts a program of Slurm into a folder before all others; each counts its calls."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}/usr/bin{os.pathsep}/bin")

    def put(name, script):
        (folder / name).write_text(f'#!/bin/sh\necho "$@" >> {folder / name}.calls\n{script}\n')
        (folder / name).chmod(0o755)
        return folder / f"{name}.calls"

    # no accounts, as in most of the tests
    put("sacct", "exit 1")
    return put


@pytest.fixture
def records(tmp_path):
    """The folder of the records, with one of job 12, which was submitted a minute ago."""
    folder = tmp_path / "50% a'b"
    folder.mkdir()
    write_record(folder, "12", {"job": "4", "submitted": time.time() - 60.0})
    return folder


def jobscript(tmp_path):
    path = tmp_path / "snakejob.sh"
    path.write_text(f"#!/bin/sh\n# properties = {json.dumps(JOB)}\ntrue\n")
    return path


def test_the_name_of_a_job_is_that_of_its_rule_or_group_and_its_band():
    single, group = {"type": "single", "rule": "detect_sources"}, {"type": "group", "groupid": "prepare"}
    one, two = "--allowed-rules mask_band --cores", "--allowed-rules mask_band subtract_background --local-groupid"
    assert job_name(single, [], "") == "detect_sources"
    assert job_name({**single, "rule": "mask_band"}, ["band=irac-ch1"], one) == "mask_band-irac-ch1"
    assert job_name(group, ["band=k"], two) == "prepare-k"
    assert job_name(group, ["band=k"], one) == "mask_band-k", "a group may have one job"


def test_a_job_asks_for_what_its_rule_states_and_for_an_account_only_if_one_is_given():
    command = sbatch_command(JOB, "mask_band-k", Path("/a%b"))
    asked = ["--cpus-per-task=2", "--mem=450", "--time=10", "--partition=short"]
    assert command == ["sbatch", "--parsable", "--job-name=mask_band-k", "--output=/a%%b/%j.log", *asked]
    more = {**JOB, "resources": {**RESOURCES, "slurm_account": "me"}}
    assert "--account=me" in sbatch_command(more, "x", Path("/a"))


def test_a_submitted_job_has_a_record_and_does_not_see_the_limits_of_the_job_that_submits_it(
    tmp_path, programs, monkeypatch
):
    monkeypatch.setenv("SLURM_MEM_PER_NODE", "1")
    programs("sbatch", 'cat > "$(dirname "$0")/script"; echo "12;cluster$SLURM_MEM_PER_NODE"')
    assert submit(jobscript(tmp_path), ["band=k"], tmp_path / "new") == "12"
    record = read_record(tmp_path / "new", "12")
    assert record["job"] == "4" and record["memory_mb"] == 450 and record["minutes"] == 10
    assert (tmp_path / "bin/script").read_text() == with_exit_status(
        (tmp_path / "snakejob.sh").read_text(), tmp_path / "new"
    )


@pytest.mark.parametrize("end", ["exit 3", "false"])
def test_a_job_leaves_its_exit_status(records, end):
    environment = {**os.environ, "SLURM_JOB_ID": "12"}
    done = subprocess.run(["sh"], input=with_exit_status(f"#!/bin/sh\n{end}\n", records), env=environment, text=True)
    assert done.returncode == (3 if end == "exit 3" else 1)
    assert (records / "12.exit").read_text().strip() == str(done.returncode)


@pytest.mark.parametrize(("rules", "server"), [("mask_band", ""), ("make_templates extract_fluxes", "yes")])
def test_only_jobs_that_are_submitted_together_have_a_job_server(records, rules, server):
    script = f"#!/bin/sh\n: --allowed-rules {rules} --local-groupid x\necho ${{{TOGETHER_VARIABLE}:+yes}}\n"
    environment = {**os.environ, "SLURM_JOB_ID": "12"}
    run = {"input": with_exit_status(script, records), "env": environment, "text": True, "stdout": subprocess.PIPE}
    assert subprocess.run(["sh"], **run).stdout.strip() == server


def test_what_slurm_says_of_a_job_that_it_does_not_accept(tmp_path, programs):
    programs("sbatch", "echo 'sbatch: error: Invalid account' >&2; exit 1")
    with pytest.raises(RefusedError, match=r"^sbatch: error: Invalid account$"):
        submit(jobscript(tmp_path), ["band=k"], tmp_path)


@pytest.mark.parametrize(
    ("state", "is_tried"), [("OUT_OF_MEMORY", True), ("NODE_FAIL", True), ("FAILED", False), ("CANCELLED", False)]
)
def test_only_a_job_that_ended_for_no_fault_of_its_own_has_a_second_attempt(tmp_path, programs, state, is_tried):
    programs("sbatch", "echo 12")
    programs("squeue", f"echo '12|{state}'")
    script = jobscript(tmp_path)
    submit(script, ["band=k"], tmp_path)
    assert job_state("12", tmp_path) == "failed" and read_record(tmp_path, "12")["state"] == state
    if is_tried:
        assert submit(script, ["band=k"], tmp_path) == "12"
    else:
        with pytest.raises(RefusedError, match="failed by itself"):
            submit(script, ["band=k"], tmp_path)


def test_slurm_is_asked_once_for_all_jobs_and_nothing_is_kept_of_those_that_ended_well(records, programs):
    states = ["RUNNING", "PENDING", "COMPLETING", "COMPLETED", "TIMEOUT", "A_NEW_STATE"]
    calls = programs("squeue", "\n".join(f"echo '{number}|{state}'" for number, state in enumerate(states, 9)))
    (records / "12.log").write_text("x")
    expected = ["running", "running", "running", "success", "failed", "running"]
    assert [job_state(str(number), records) for number in range(9, 15)] == expected
    assert len(calls.read_text().splitlines()) == 1
    assert sorted(path.name for path in records.iterdir()) == ["13.json", "states"]


def test_a_job_that_has_left_its_exit_status_is_asked_for_at_once(records, programs):
    calls = programs("squeue", "echo '12|COMPLETED'; echo '13|RUNNING'")
    (records / "states").write_text(f"{time.time()}\n12|RUNNING\n13|RUNNING\n")
    second_ago = time.time() - 1.0
    os.utime(records / "states", (second_ago, second_ago))
    assert job_state("13", records) == "running" and not calls.exists()
    (records / "12.exit").write_text("0")
    assert job_state("12", records) == "success" and len(calls.read_text().splitlines()) == 1


def test_a_silent_slurm_changes_nothing(records, programs):
    programs("squeue", "exit 1")
    assert job_state("12", records) == "running"
    (records / "states").write_text(f"{time.time()}\n12|RUNNING\n")
    os.utime(records / "states", (0.0, 0.0))
    assert job_state("12", records) == "running"


@pytest.mark.parametrize(("exit_status", "answer"), [("0", "success"), ("1", "failed")])
def test_of_a_job_that_slurm_has_forgotten_the_exit_status_tells(records, programs, exit_status, answer):
    programs("squeue", "")
    (records / "12.exit").write_text(exit_status)
    assert job_state("12", records) == answer


def test_a_forgotten_job_without_exit_status_is_looked_for_in_the_accounts(records, programs):
    programs("squeue", "")
    calls = programs("sacct", "echo 'CANCELLED by 0'")
    assert job_state("12", records) == "failed" and read_record(records, "12")["state"] == "CANCELLED"
    assert "--jobs=12" in calls.read_text()


def test_a_forgotten_job_without_any_trace_is_given_up_after_a_while(records, programs):
    programs("squeue", "")
    assert job_state("12", records) == "running"
    record = read_record(records, "12")
    write_record(records, "12", {**record, "missing": record["missing"] - MISSING_S})
    assert job_state("12", records) == "failed" and read_record(records, "12")["state"] == "LOST"


def test_a_job_that_is_younger_than_the_list_waits(records, programs):
    calls = programs("sacct", "exit 1")
    programs("squeue", "")
    write_record(records, "12", {"job": "4", "submitted": time.time()})
    assert job_state("12", records) == "running" and not calls.exists()


def test_only_jobs_of_this_run_that_have_not_ended_are_cancelled(records, programs):
    calls = programs("scancel", "")
    now = time.time()
    write_record(records, "13", {"job": "5", "submitted": now, "state": "TIMEOUT"})
    cancel(records, now - 1.0)
    assert not calls.exists()
    for number in ("14", "15"):
        write_record(records, number, {"job": "6", "submitted": now})
    cancel(records, now - 1.0)
    assert calls.read_text() == "14 15\n"


def test_most_answers_need_no_python(tmp_path, programs):
    programs("python", "echo python")
    states = tmp_path / "states"
    environment = {**os.environ, "UNBLEND_SLURM": str(tmp_path), "UNBLEND_SCRIPTS": str(SCRIPTS)}

    def answers():
        command = ["sh", str(SCRIPTS / "slurm_status.sh")]
        asked = {"env": environment, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
        return [subprocess.run([*command, job], **asked).stdout.strip() for job in ("12", "13", "14", "2")]

    assert answers() == ["python"] * 4
    listed = "\n12|RUNNING\n13|PENDING\n14|COMPLETED\n"
    states.write_text(f"{time.time()}{listed}")
    assert answers() == ["running", "running", "python", "python"]
    (tmp_path / "12.exit").write_text("0")
    assert answers() == ["python", "running", "python", "python"]
    states.write_text(f"{time.time() - 60.0}{listed}")
    assert answers() == ["python"] * 4


def test_the_scripts_print_one_word(tmp_path, programs):
    programs("sbatch", "echo 12")
    programs("squeue", "echo '12|COMPLETED'")
    environment = {**os.environ, "UNBLEND_SLURM": str(tmp_path / "records")}

    def call(name, *words):
        command = [sys.executable, "-IS", str(SCRIPTS / f"{name}.py"), *words]
        return subprocess.run(command, env=environment, capture_output=True, text=True)

    assert call("slurm_submit", "band=k", str(jobscript(tmp_path))).stdout == "12\n"
    assert call("slurm_status", "12").stdout == "success\n"
    programs("sbatch", "echo no >&2; exit 1")
    refused = call("slurm_submit", str(jobscript(tmp_path)))
    assert (refused.returncode, refused.stdout, refused.stderr) == (1, "no\n", "")


def test_ctrl_c_does_not_take_the_answer_away(tmp_path, programs):
    calls = programs("squeue", "sleep 0.5; echo '12|RUNNING'")
    profile = yaml.safe_load((SCRIPTS.parent / "workflow/profiles/slurm/config.yaml").read_text())
    command = f"{profile['cluster-generic-status-cmd']} '12'"
    python = os.pathsep.join([os.environ["PATH"], str(Path(sys.executable).parent)])
    environment = {**os.environ, "PATH": python, "UNBLEND_SLURM": str(tmp_path), "UNBLEND_SCRIPTS": str(SCRIPTS)}
    asking = subprocess.Popen(
        command, shell=True, env=environment, stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    while not calls.exists():
        time.sleep(0.02)
    os.killpg(asking.pid, signal.SIGINT)
    assert asking.communicate(timeout=20.0)[0] == "running\n"
