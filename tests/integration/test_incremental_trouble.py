"""Runs that end badly, folders that are moved or copied: what was finished is kept, what was not is done."""

from __future__ import annotations

import os
import random
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from harness import (
    CATALOGUE,
    GROUPS,
    IDS,
    Field,
    Work,
    behind_models,
    draws_of,
    environment,
    fits_of,
    renders_of,
    stages,
)
from smallfield import BLURRED

pytestmark = pytest.mark.integration

GIVE_UP_S = 120


def kill_when(field: Field, stage: str, number: int) -> Work:
    """Start the workflow, kill -9 it with all its jobs once `stage` is done `number` times; return the work done."""
    start = field.log_size
    with (field / "killed.log").open("w") as messages:
        process = subprocess.Popen(
            field.command, env=environment(), stdout=messages, stderr=messages, start_new_session=True
        )
        until = time.monotonic() + GIVE_UP_S
        while sum(done.startswith(stage) for done in field.work_since(start)) < number:
            assert process.poll() is None, f"ended before it was killed:\n{(field / 'killed.log').read_text()[-3000:]}"
            assert time.monotonic() < until, f"no {stage} after {GIVE_UP_S} s"
            time.sleep(0.01)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    return field.work_since(start)


def resume(field: Field) -> Work:
    """Run again and do what the message says; return the work then done."""
    assert "--unlock" in field.run(ok=False).messages
    assert field.run("--unlock").work == set()
    return field.run().work


def test_killed_during_fits(field: Field) -> None:
    field.edit_config(lambda c: c["models"].update(gain=1000.0))
    first = kill_when(field, "fit_first", 2)
    assert first < fits_of(*GROUPS) | renders_of(*IDS) | draws_of(*GROUPS)  # on a busy machine the kill comes late
    second = resume(field)
    assert first | second == fits_of(*GROUPS) | renders_of(*IDS) | draws_of(*GROUPS) | behind_models()
    assert not first & second


def fit_processes(field: Field) -> tuple[set[int], set[int]]:
    """Return the processes of the jobs that fit the field, and the workers that they have forked."""
    found, parents = {}, {}
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError, IndexError):
            # of a job that the job server has started it is one word
            command = (folder / "cmdline").read_bytes().replace(b"\0", b" ")
            is_here = (folder / "cwd").readlink() == field.folder
            if is_here and re.search(rb"/fit_\w+_pass\.py ", command):
                found[int(folder.name)] = command
                parents[int(folder.name)] = int((folder / "stat").read_text().rsplit(")", 1)[1].split()[1])
    workers = {pid for pid in found if found.get(parents[pid]) == found[pid]}
    return set(found) - workers, workers


def send(number: int, processes: set[int]) -> None:
    """Send a signal to processes that may have ended meanwhile."""
    for pid in processes:
        with suppress(ProcessLookupError):
            os.kill(pid, number)


def disturb(field: Field, step: Callable[[Work], None]) -> str:
    """Run the workflow, which is to fail, and meanwhile call `step` with the work done so far; return the messages."""
    start = field.log_size
    with (field / "disturbed.log").open("w") as messages:
        process = subprocess.Popen(field.command, env=environment(), stdout=messages, stderr=messages)
        until = time.monotonic() + GIVE_UP_S
        while process.poll() is None:
            assert time.monotonic() < until, f"no end after {GIVE_UP_S} s"
            step(field.work_since(start))
            time.sleep(0.005)
    text = (field / "disturbed.log").read_text()
    assert process.returncode != 0, text[-3000:]
    return text


def forget_fits(field: Field) -> None:
    """Delete the stored fits."""
    for group in GROUPS:
        for name in ("first.json", "fit.json"):
            (field / f"results/imfit/{group}/{name}").unlink(missing_ok=True)


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="finds the processes in /proc")
def test_workers_and_jobs_that_are_ended_from_outside_store_no_wrong_fit(field: Field) -> None:
    """As the OOM killer and a scheduler do it: groups without a fit have none, and the next run fits them."""
    catalogue = (field / "results/catalogue.fits").read_bytes()
    forget_fits(field)

    messages = disturb(field, lambda done: send(signal.SIGKILL, fit_processes(field)[1]))
    assert "ended from outside by SIGKILL" in messages and "nothing was stored for it" in messages
    assert len(list(field.folder.glob("results/imfit/*/first.json"))) <= len(GROUPS) - 3

    workers, jobs = set(), set()

    def end_jobs(done: Work) -> None:
        running, forked = fit_processes(field)
        workers.update(forked)
        if any(work.startswith("fit_") for work in done):
            send(signal.SIGTERM, running - jobs)
            jobs.update(running)

    for _ in range(5):  # a job may come to its end before it is found
        disturb(field, end_jobs)
        logs = "".join(path.read_text() for path in field.folder.glob("results/logs/fit_*/*.log"))
        if "the job was ended from outside (SIGTERM)" in logs:
            break
        forget_fits(field)
    assert "the job was ended from outside (SIGTERM)" in logs
    assert workers and not (workers | jobs) & set.union(*fit_processes(field))
    assert not list(field.folder.glob("results/imfit/**/.*.*"))

    field.run()
    assert (field / "results/catalogue.fits").read_bytes() == catalogue


def test_killed_during_the_jobs_of_a_band(field: Field) -> None:
    field.edit_config(lambda c: c["bands"][BLURRED].update(shift=[0.01, 0.0]))
    first = kill_when(field, f"extract {BLURRED}", 1)
    second = resume(field)
    done = stages(BLURRED, "templates", "astrometry", "extract", "monte_carlo", "inspect") | CATALOGUE
    assert first | second == done
    assert f"templates {BLURRED}" not in second
    # Of the two jobs then running each may have been killed between its work and its end. Its products are whole, but
    # Snakemake has not noted them and cannot know: it must do such a job again, so what is repeated is not fixed.
    assert first & second <= {f"extract {BLURRED}", f"astrometry {BLURRED}"}


def test_one_group_fails_and_the_others_go_on(field: Field) -> None:
    """Groups 5 and 9 share a batch: 9 cannot be fitted, 5 is; 7, of another batch, comes to its end."""
    for folder in ("overrides", "custom_models"):
        (field / folder).mkdir()
    for source in (5, 7):
        (field / f"overrides/{source}.dat").write_text("n 1 fixed\n")
    broken = field / "custom_models/9.fits"
    broken.write_text("no image\n")
    failed = field.run("--keep-going", ok=False)
    assert failed.work == fits_of(7) | renders_of(7) | {"fit_first 5"}
    assert str(broken.name) in failed.messages

    broken.unlink()
    field.redo({"fit_second 5"} | renders_of(5) | draws_of(5, 7) | behind_models())


def scramble(folder: Path) -> None:
    """Give every file a time of its own in the last days, as some ways of copying do."""
    chance, now = random.Random(2), time.time()
    for path in sorted(folder.rglob("*")):
        if path.is_file() and ".snakemake" not in path.parts:
            at = now - chance.uniform(0, 1e6)
            os.utime(path, (at, at))


@pytest.fixture
def elsewhere(field: Field) -> Iterator[Field]:
    """The field's folder, with its program, under another name."""
    field.with_own_program()
    moved = Field(field.folder.with_name("elsewhere"))
    field.folder.rename(moved.folder)
    yield moved
    shutil.rmtree(moved.folder)


EDITED = stages(BLURRED, "monte_carlo", "inspect") | CATALOGUE


def draw_empty_regions(field: Field) -> None:
    """Make an edit: empty regions for the Monte Carlo of one band."""
    circles = "".join(f"circle({x},43,4)\n" for x in (15, 35, 50, 65, 85))
    (field / f"{BLURRED}-sim.reg").write_text("image\n" + circles)


def test_a_moved_folder_whose_files_have_other_times(elsewhere: Field) -> None:
    elsewhere.redo(set())
    scramble(elsewhere.folder)
    elsewhere.redo(set())
    draw_empty_regions(elsewhere)
    assert elsewhere.run("--dry-run").work == set()
    elsewhere.redo(EDITED)


def test_a_copy_with_scrambled_times_and_without_the_records_of_snakemake(elsewhere: Field) -> None:
    """Only times are left to judge by: stages of bands may run for nothing, fits and models do not.

    Exactness would need the digest of what it was made from beside every product, as fits, drawings and templates have
    it: a second record for the rare case in which the first is lost.
    """
    before = elsewhere.table("catalogue.fits")
    shutil.rmtree(elsewhere / ".snakemake")
    scramble(elsewhere.folder)
    draw_empty_regions(elsewhere)
    (elsewhere / "overrides").mkdir()
    (elsewhere / "overrides/7.dat").write_text("n 1 fixed\n")
    work = elsewhere.run().work
    assert fits_of(7) | renders_of(7) | draws_of(7) | behind_models() <= work
    assert not work & (fits_of(*GROUPS) - fits_of(7))
    assert not work & (renders_of(*IDS) - renders_of(7))
    (elsewhere / "overrides/7.dat").unlink()
    (elsewhere / f"{BLURRED}-sim.reg").unlink()
    elsewhere.run()
    assert elsewhere.table("catalogue.fits").tobytes() == before.tobytes()


def test_lost_records_with_true_times_do_nothing(field: Field) -> None:
    shutil.rmtree(field / ".snakemake")
    field.redo(set())
