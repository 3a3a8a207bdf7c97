"""A real Slurm of one node: the same catalogue as without it, and what a run says of jobs that Slurm has ended."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import slurm_node
import smallfield
from harness import SNAKEMAKE, Field, copy_program
from slurm_node import SlurmNode, contained
from smallfield import BLURRED, SHARP
from unblend.run.slurm import SACCT

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(bool(slurm_node.what_is_missing()), reason=slurm_node.what_is_missing()),
]
LONG_S = 1200.0
"""How long a run may take on a busy machine, seconds."""
SHARP_MASK, BLURRED_MASK = f"mask_band-{SHARP}", f"mask_band-{BLURRED}"
SHARP_PSF, BLURRED_PSF = f"prepare_psf-{SHARP}", f"prepare_psf-{BLURRED}"
PRODUCTS = {
    SHARP_MASK: f"results/bands/{SHARP}/mask.fits",
    BLURRED_MASK: f"results/bands/{BLURRED}/mask.fits",
    SHARP_PSF: f"results/bands/{SHARP}/psf.fits",
    BLURRED_PSF: f"results/bands/{BLURRED}/psf.fits",
}
FATES = '''
import sys, time
from pathlib import Path


def befall():
    """Take 300 MB, wait to be ended (in the first attempt), or fail, as the field's folder says of this job."""
    job = f"{Path(sys.argv[0]).stem}-{Path(sys.argv[sys.argv.index('--log') + 1]).stem}"
    fate, met = Path("fates") / job, Path("fates") / f"{job}.met"
    what = fate.read_text() if fate.exists() else ""
    if what == "memory":
        len(b"x" * 300_000_000)
    if what == "fail":
        Path("missing.txt").read_text()
    if what == "wait" and not met.exists():
        met.touch()
        time.sleep(600)
'''


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SlurmNode]:
    with slurm_node.slurm_node(tmp_path_factory.mktemp("slurm")) as running:
        yield running


class SlurmRun:
    """A run whose jobs are in Slurm, in a group of processes of its own, as a shell starts it."""

    def __init__(self, field: Field, node: SlurmNode, *products: str):
        self.field, self.node, self.said = field, node, field / "said.txt"
        place = ["-s", str(field.program / "Snakefile"), "--profile", str(field.program / "workflow/profiles/slurm")]
        config = ["--directory", str(field.folder), "--configfile", str(field / "config.yaml")]
        with self.said.open("w") as said:
            self.process = subprocess.Popen(
                contained(*SNAKEMAKE, *products, *place, *config), env=node.environment,
                stdin=subprocess.DEVNULL, stdout=said, stderr=said, start_new_session=True,
                # a shell starts what is in its background with Ctrl-C ignored, and so all that it starts
                preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
            )  # fmt: skip

    def end(self) -> tuple[int, str]:
        """Return exit status and messages of the run when it has ended."""
        status = self.process.wait(timeout=LONG_S)
        return status, self.said.read_text()

    def kill(self) -> None:
        """End the run at once, if it has not ended."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()

    def jobs(self) -> dict[str, list[str]]:
        """Return the states of all its jobs by name, first submitted first."""
        return self.node.jobs(self.field.folder)

    def wait_for(self, job: str) -> str:
        """Return the number in Slurm of a job as soon as it waits to be ended."""
        until = time.monotonic() + LONG_S
        while not (self.field / f"fates/{job}.met").exists():
            assert self.process.poll() is None and time.monotonic() < until, f"{job} never ran: {self.said.read_text()}"
            time.sleep(0.1)
        return self.node.running(self.field.folder, job)


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the program in which jobs can meet a fate, compiled once for all jobs."""
    folder = tmp_path_factory.mktemp("copy")
    copy_program(folder)
    field = Field(folder)
    (field.program / "scripts/fates.py").write_text(FATES)
    for script in ("mask_band.py", "prepare_psf.py"):
        field.edit_code(script, "\nimport numpy as np\n", "\nimport fates\nimport numpy as np\n")
        read = "    spec = read_json(spec_path)\n"
        field.edit_code(script, read, f"{read}    fates.befall()\n")
    subprocess.run([sys.executable, "-m", "compileall", "-q", str(field.program / "scripts")], check=True)
    return field.program


@pytest.fixture(scope="module", autouse=True)
def whole_run(program: Path, node: SlurmNode, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SlurmRun]:
    """A run of the small field from its images, which goes on beside the other tests."""
    field = Field(tmp_path_factory.mktemp("whole") / "field", program)
    smallfield.write(field.folder)
    field.edit_config(lambda config: config["models"].update(batch_size="auto"))
    run = SlurmRun(field, node, "results/catalogue.fits", "results/flux_draws.fits")
    yield run
    run.kill()


def fated(program: Path, folder: Path, fates: dict[str, str]) -> Field:
    """Return a small field, jobs of which meet their fates."""
    smallfield.write(folder)
    (folder / "fates").mkdir()
    for job, fate in fates.items():
        (folder / "fates" / job).write_text(fate)
    return Field(folder, program)


@dataclass(frozen=True)
class Ended:
    """How a run has ended, and its jobs."""

    status: int
    said: str
    jobs: dict[str, list[str]]


@pytest.fixture(scope="module")
def ended(program: Path, node: SlurmNode, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ended]:
    """A run with a job over its memory, one over its time, one that is cancelled, and one that fails by itself."""
    fates = {SHARP_MASK: "memory", BLURRED_MASK: "wait", SHARP_PSF: "wait", BLURRED_PSF: "fail"}
    field = fated(program, tmp_path_factory.mktemp("ended") / "field", fates)
    run = SlurmRun(field, node, *(PRODUCTS[job] for job in fates))
    try:
        node.command("scontrol", "update", f"jobid={run.wait_for(BLURRED_MASK)}", "endtime=now")
        node.command("scancel", run.wait_for(SHARP_PSF))
        yield Ended(*run.end(), run.jobs())
    finally:
        run.kill()


@pytest.mark.skipif(not slurm_node.can_limit_memory(), reason="no control groups of version 1: no limit of memory")
def test_a_job_over_its_memory_is_tried_again_with_more(ended: Ended) -> None:
    assert ended.jobs[SHARP_MASK] == ["OUT_OF_MEMORY", "COMPLETED"], ended.said
    assert f"failed: mask_band band {SHARP}: killed by the memory limit of 350 MB" in ended.said
    assert f"mask_band band {SHARP}: tried again with twice the memory" in ended.said


def test_a_job_over_its_time_is_tried_again_with_more(ended: Ended) -> None:
    assert ended.jobs[BLURRED_MASK] == ["TIMEOUT", "COMPLETED"], ended.said
    assert f"failed: mask_band band {BLURRED}: killed by the time limit of 11 minutes" in ended.said
    assert f"mask_band band {BLURRED}: tried again with twice the time" in ended.said


def test_a_cancelled_job_is_not_tried_again(ended: Ended) -> None:
    assert ended.jobs[SHARP_PSF] == ["CANCELLED"], ended.said
    assert f"failed: prepare_psf band {SHARP}: cancelled in Slurm (scancel)" in ended.said
    assert f"prepare_psf band {SHARP}: tried again" not in ended.said


def test_a_job_that_fails_by_itself_is_not_tried_again_and_its_own_words_are_shown(ended: Ended) -> None:
    assert ended.jobs[BLURRED_PSF] == ["FAILED"], ended.said
    failed = [line for line in ended.said.splitlines() if f"failed: prepare_psf band {BLURRED}: " in line]
    assert len(failed) == 1 and "missing.txt" in failed[0], ended.said
    assert f"see results/logs/prepare_psf/{BLURRED}.log" in failed[0]
    assert f"prepare_psf band {BLURRED}: tried again" not in ended.said


def test_the_last_lines_count_the_jobs_that_failed_in_the_end(ended: Ended) -> None:
    assert ended.status != 0 and "2 jobs failed." in ended.said and "Traceback" not in ended.said, ended.said


def test_ctrl_c_cancels_the_jobs_without_a_word_of_theirs(program: Path, node: SlurmNode, tmp_path: Path) -> None:
    run = SlurmRun(fated(program, tmp_path / "field", {SHARP_MASK: "wait"}), node, PRODUCTS[SHARP_MASK])
    try:
        run.wait_for(SHARP_MASK)
        os.killpg(run.process.pid, signal.SIGINT)
        status, said = run.end()
    finally:
        run.kill()
    assert status != 0 and "Stopped after " in said and "Traceback" not in said and "failed" not in said, said
    assert run.jobs()[SHARP_MASK] in (["CANCELLED"], ["COMPLETING"])


def test_the_catalogue_is_that_of_a_run_on_one_machine(whole_run: SlurmRun, warm_field: Field) -> None:
    status, said = whole_run.end()
    assert status == 0 and "Done in " in said, said
    for name in ("catalogue.fits", "catalogue.ecsv", "flux_draws.fits", "imfit/sersic.fits", "imfit/models/1.fits"):
        assert (whole_run.field / f"results/{name}").read_bytes() == (warm_field / f"results/{name}").read_bytes(), name
    assert not any(word in said for word in ("sacct", "WARNING", "Warning", "Traceback", "account")), said
    done = whole_run.jobs()
    grouped = {"detect", "finish", f"measure-{SHARP}", f"measure-{BLURRED}"}
    assert set(done) == grouped | set(PRODUCTS) | {
        *(f"{rule}-{band}" for rule in ("subtract_background", "measure_shift") for band in (SHARP, BLURRED)),
        "fit_first_pass-0",
        "fit_second_pass-0",
        "collect_models",
    }
    assert set(map(tuple, done.values())) == {("COMPLETED",)}, "each job once"
    assert [path.name for path in (whole_run.field / "results/logs/slurm").iterdir()] == ["states"]


def test_sacct_understands_the_question_about_a_forgotten_job(node: SlurmNode) -> None:
    asked = subprocess.run([*SACCT, "--jobs=1"], env=node.environment, capture_output=True, text=True)
    assert asked.stderr.strip() == "Slurm accounting storage is disabled" and asked.returncode == 1, "no accounts here"


def test_a_run_survives_the_loss_of_its_node(
    program: Path, node: SlurmNode, whole_run: SlurmRun, tmp_path: Path
) -> None:
    whole_run.process.wait(timeout=LONG_S)  # all jobs on the node are lost
    run = SlurmRun(fated(program, tmp_path / "field", {SHARP_MASK: "wait"}), node, PRODUCTS[SHARP_MASK])
    try:
        run.wait_for(SHARP_MASK)
        node.lose()
        status, said = run.end()
    finally:
        run.kill()
    assert status == 0 and f"mask_band band {SHARP}: its node failed" in said, said
    assert f"mask_band band {SHARP}: tried again with another node" in said and "failed." not in said
    assert run.jobs()[SHARP_MASK] == ["NODE_FAIL", "COMPLETED"]
    assert (run.field / PRODUCTS[SHARP_MASK]).exists()
