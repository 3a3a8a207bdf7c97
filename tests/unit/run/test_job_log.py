from __future__ import annotations

import errno
import gc
import json
import logging
import os
import signal
import subprocess
import sys
import time
import warnings
from pathlib import Path

import pytest
from unblend.core.errors import InputError
from unblend.run.job_log import record_work, run, start_logging

SCRIPTS = Path(__file__).resolve().parents[3] / "scripts"


@pytest.fixture(autouse=True)
def _restore_logging():
    root = logging.getLogger()
    handlers, level, collection = root.handlers[:], root.level, gc.get_threshold()
    raising = logging.raiseExceptions
    signals = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)}
    yield
    for number, handler in signals.items():
        signal.signal(number, handler)
    for handler in root.handlers:
        if handler not in handlers:
            handler.close()
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.captureWarnings(False)
    logging.raiseExceptions = raising
    gc.set_threshold(*collection)


def test_words_go_to_main_and_messages_to_the_log(monkeypatch, tmp_path, capsys):
    log = tmp_path / "logs" / "job.log"
    monkeypatch.setattr(sys, "argv", ["script.py", "a", "--log", str(log), "b"])
    seen = []

    def main(*words):
        seen.extend(words)
        logging.getLogger("unblend.test").info("three sources")
        warnings.warn("odd", stacklevel=1)

    ends = []
    monkeypatch.setattr(os, "_exit", ends.append)
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        run(main)
    assert (seen, ends) == (["a", "b"], [0])
    text = log.read_text()
    assert "INFO three sources" in text and "odd" in text
    assert capsys.readouterr() == ("", "")


def test_a_job_that_ends_at_once_has_said_all(tmp_path):
    script = (
        "from unblend.run.job_log import run; import logging\n"
        "def main():\n    print('out', end=''); logging.getLogger('x').warning('in the log')\nrun(main)"
    )
    log = tmp_path / "job.log"
    done = subprocess.run(
        [sys.executable, "-c", script, "--log", str(log)], cwd=SCRIPTS, capture_output=True, text=True
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "out", "")
    assert "in the log" in log.read_text()


def test_a_mistake_of_the_user_is_one_sentence(monkeypatch, tmp_path, capsys):
    log = tmp_path / "job.log"
    monkeypatch.setattr(sys, "argv", ["script.py", "--log", str(log)])

    def main():
        raise InputError("a.fits is missing: give it.")

    with pytest.raises(SystemExit) as caught:
        run(main)
    assert caught.value.code == 1
    assert capsys.readouterr().err == "\nunblend: a.fits is missing: give it.\n\n"
    assert "Traceback" not in log.read_text() and "a.fits is missing" in log.read_text()


def test_a_mistake_of_ours_leaves_its_traceback_in_the_log(monkeypatch, tmp_path, capsys):
    log = tmp_path / "job.log"
    monkeypatch.setattr(sys, "argv", ["script.py", "--log", str(log)])

    def main():
        raise ZeroDivisionError("by nought")

    with pytest.raises(SystemExit) as caught:
        run(main)
    assert caught.value.code == 1
    assert "Traceback" in log.read_text()
    assert capsys.readouterr().err == f"\nunblend: ZeroDivisionError: by nought (traceback in {log})\n\n"


def test_a_full_disk_is_one_sentence(monkeypatch, tmp_path, capsys):
    """Also one that is found when the job is done, and writes its benchmark file."""
    log = tmp_path / "logs/job.log"
    monkeypatch.setattr(sys, "argv", ["script.py", "--log", str(log)])

    def fail(*_):
        raise OSError(errno.ENOSPC, "No space left on device", "x.json")

    monkeypatch.setattr("unblend.run.job_log.write_benchmark", fail)
    with pytest.raises(SystemExit) as caught:
        run(lambda: None)
    assert caught.value.code == 1 and "Traceback" in log.read_text()
    said = capsys.readouterr().err
    assert said.startswith(f"\nunblend: no space is left on the disk of {log.parent}") and "traceback" not in said


@pytest.mark.parametrize("lines", [1, 100_000])
def test_a_reader_that_has_seen_enough_is_not_an_error(tmp_path, lines):
    """`./unblend check | head`: with what is written at once, and at the end."""
    (tmp_path / "command.py").write_text(
        "import sys\nfrom unblend.run.job_log import run\n\n\n"
        f"def main():\n    for _ in range({lines}):\n        print('a line')\n\n\nrun(main)\n"
    )
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, str(tmp_path / "command.py")]
    done = subprocess.run(
        command, stdout=writing, stderr=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": str(SCRIPTS)}
    )
    os.close(writing)
    assert done.returncode in (0, 128 + signal.SIGPIPE) and done.stderr == ""


def test_an_interrupt_leaves_the_terminal_alone(monkeypatch, tmp_path, capsys):
    log = tmp_path / "job.log"
    monkeypatch.setattr(sys, "argv", ["script.py", "--log", str(log)])

    def main():
        raise KeyboardInterrupt

    with pytest.raises(SystemExit) as end:
        run(main)
    assert end.value.code == 130 and "stopped by the user" in log.read_text() and "Traceback" not in log.read_text()
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_a_job_ended_by_a_scheduler_cleans_up_and_says_so(monkeypatch, tmp_path, number, status):
    log, cleaned = tmp_path / "job.log", []
    monkeypatch.setattr(sys, "argv", ["script.py", "--log", str(log)])

    def main():
        try:
            os.kill(os.getpid(), number)
            time.sleep(10.0)
        finally:
            cleaned.append(True)

    with pytest.raises(SystemExit) as end:
        run(main)
    assert end.value.code == status and cleaned
    assert f"ended from outside ({number.name})" in log.read_text() and "Traceback" not in log.read_text()


def test_without_a_log_messages_are_sentences_on_standard_error(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["script.py"])

    def main():
        raise InputError("a.fits is missing: give it.")

    with pytest.raises(SystemExit):
        run(main)
    assert capsys.readouterr().err == "unblend: a.fits is missing: give it.\n"


def test_a_log_is_begun_anew(tmp_path):
    log = tmp_path / "job.log"
    log.write_text("old\n")
    start_logging(str(log))
    logging.getLogger("x").warning("new")
    assert "old" not in log.read_text() and "new" in log.read_text()


def test_the_work_log(monkeypatch, tmp_path):
    path = tmp_path / "deep" / "work.jsonl"
    monkeypatch.delenv("UNBLEND_WORK_LOG", raising=False)
    record_work("fit_first", 7)
    assert not path.exists()
    monkeypatch.setenv("UNBLEND_WORK_LOG", str(path))
    record_work("fit_first", 7)
    record_work("extract", "irac-ch1")
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert lines == [{"stage": "fit_first", "what": "7"}, {"stage": "extract", "what": "irac-ch1"}]


def test_a_job_that_fails_on_a_damaged_product_moves_it_aside(monkeypatch, tmp_path, capsys):
    mask = tmp_path / "results/bands/k/mask.fits"
    mask.parent.mkdir(parents=True)
    mask.write_bytes(b"SIMPLE")
    log = tmp_path / "results/logs/extract_fluxes/k.log"
    monkeypatch.setattr(sys, "argv", ["extract_fluxes.py", "--log", str(log), "--mask", str(mask)])

    def main(mask_path: str):
        raise OSError("something in the depths of a library")

    with pytest.raises(SystemExit) as stop:
        run(main)
    assert stop.value.code == 1 and not mask.exists() and mask.with_name("mask.fits.damaged").exists()
    said = capsys.readouterr().err
    assert (
        f"unblend: {mask} was damaged (" in said and "run again, and it is made anew." in said and "depths" not in said
    )
    assert "depths" in log.read_text()
