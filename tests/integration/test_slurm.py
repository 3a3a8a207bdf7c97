"""A real Slurm of one node: the same catalogue as without it, and what a run says of jobs that Slurm has ended."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator

import pytest
import slurm_node
from harness import SNAKEMAKE, Field
from slurm_node import SlurmNode
from smallfield import BLURRED, SHARP

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(bool(slurm_node.what_is_missing()), reason=slurm_node.what_is_missing()),
]
LONG_S = 600.0
Said = tuple[int, str]
"""Exit status and messages of a run."""


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SlurmNode]:
    with slurm_node.slurm_node(tmp_path_factory.mktemp("slurm")) as running:
        yield running


class SlurmField:
    """A field whose jobs run in Slurm."""

    def __init__(self, field: Field, node: SlurmNode):
        self.field, self.node = field, node

    def start(self, *products: str) -> subprocess.Popen[str]:
        """Start a run with the profile for Slurm, in a group of processes of its own, as a shell does."""
        program = self.field / "program"
        place = ["-s", str(program / "Snakefile"), "--profile", str(program / "workflow/profiles/slurm")]
        field = ["--directory", str(self.field.folder), "--configfile", str(self.field / "config.yaml")]
        command = [*SNAKEMAKE, *products, *place, *field]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
        return subprocess.Popen(command, env=self.node.environment, text=True, start_new_session=True, **pipes)

    def end(self, run: subprocess.Popen[str]) -> Said:
        """Return exit status and messages of a run."""
        said = run.communicate(timeout=LONG_S)[0]
        return run.returncode, said

    def while_running(self, job: str, action: Callable[[subprocess.Popen[str]], object], *products: str) -> Said:
        """Run the workflow, and do something as soon as Slurm runs a job of that name."""
        run = self.start(*products)
        until = time.monotonic() + LONG_S
        while "RUNNING" not in self.node.jobs().get(job, []):
            assert run.poll() is None and time.monotonic() < until, f"{job} never ran"
            time.sleep(0.2)
        action(run)
        return self.end(run)


@pytest.fixture(scope="module")
def slurm(warm_field: Field, node: SlurmNode, tmp_path_factory: pytest.TempPathFactory) -> SlurmField:
    """The small field without results, in a folder of its own."""
    folder = tmp_path_factory.mktemp("field") / "field"
    subprocess.run(["cp", "-a", str(warm_field.folder), str(folder)], check=True)
    subprocess.run(["rm", "-rf", str(folder / "results"), str(folder / ".snakemake")], check=True)
    field = Field(folder)
    field.edit_config(lambda config: config["models"].update(batch_size="auto"))
    return SlurmField(field, node)


def test_the_catalogue_is_that_of_a_run_on_one_machine(slurm: SlurmField, warm_field: Field) -> None:
    status, said = slurm.end(slurm.start())
    assert status == 0 and "Done in " in said, said
    for name in ("catalogue.fits", "catalogue.ecsv", "imfit/sersic.fits", "imfit/models/1.fits"):
        assert (slurm.field / f"results/{name}").read_bytes() == (warm_field / f"results/{name}").read_bytes(), name
    assert not any(word in said for word in ("sacct", "WARNING", "Warning", "Traceback", "account")), said
    done = slurm.node.jobs()
    assert {f"extract_fluxes-{SHARP}", f"extract_fluxes-{BLURRED}", "detect_sources", "write_report"} <= set(done)
    assert {state for states in done.values() for state in states} == {"COMPLETED"}
    assert [path.name for path in (slurm.field / "results/logs/slurm").iterdir()] == ["states"]


@pytest.mark.skipif(not slurm_node.can_limit_memory(), reason="no control groups of version 1: no limit of memory")
def test_a_job_over_its_memory_is_tried_again_with_more_and_a_cancelled_one_is_not(slurm: SlurmField) -> None:
    slurm.field.edit_config(lambda config: config["bands"][SHARP].update(zero_point=26.0))
    # 100 MB, less than Snakemake and the job need, and 200 in the second attempt
    slurm.field.edit_code("unblend/plan/resources.py", "SNAKEMAKE_MB = 150", "SNAKEMAKE_MB = 0")
    slurm.field.edit_code("unblend/plan/resources.py", '"write_catalogue": Cost(100.0', '"write_catalogue": Cost(60.0')
    status, said = slurm.while_running("write_report", lambda _: slurm.node.command("scancel", "--name=write_report"))
    assert slurm.node.jobs()["write_catalogue"][-2:] == ["OUT_OF_MEMORY", "COMPLETED"]
    assert "write_catalogue: killed by the memory limit of 100 MB" in said, said
    assert "write_catalogue: tried again with twice the memory" in said
    assert status != 0 and "failed: write_report: cancelled in Slurm (scancel)" in said
    assert "1 job failed." in said and "Traceback" not in said
    assert slurm.node.jobs()["write_report"][-1] == "CANCELLED" and said.count("write_report: ") == 2, "not tried again"


def test_a_run_survives_the_loss_of_its_node(slurm: SlurmField) -> None:
    def lose_the_node(_: object) -> None:
        slurm.node.command("scontrol", "update", f"nodename={slurm.node.name}", "state=down", "reason=lost")
        slurm.node.command("scontrol", "update", f"nodename={slurm.node.name}", "state=resume")

    status, said = slurm.while_running("write_report", lose_the_node)
    assert status == 0 and "write_report: its node failed" in said, said
    assert "write_report: tried again with another node" in said and "failed." not in said
    assert slurm.node.jobs()["write_report"][-2:] == ["NODE_FAIL", "COMPLETED"]
    assert (slurm.field / "results/report/index.html").exists()


def test_mask_psf_and_moving_background_of_a_band_are_one_submission(slurm: SlurmField) -> None:
    slurm.field.edit_config(lambda config: config["bands"][BLURRED].update(background={"box": 4.0}, psf_sum="given"))
    (slurm.field / "blurred-bad.reg").write_text("image;circle(3,3,2)\n")
    product = "results/bands/blurred/background.fits"
    status, said = slurm.end(slurm.start(product))
    assert status == 0 and (slurm.field / product).exists(), said
    done = slurm.node.jobs()
    assert done["prepare-blurred"] == ["COMPLETED"] and len(done["mask_band-blurred"]) == 1


def test_ctrl_c_cancels_the_jobs_without_a_word_of_theirs(slurm: SlurmField) -> None:
    job, product = f"mask_band-{SHARP}", f"results/bands/{SHARP}/mask.fits"
    (slurm.field / product).unlink()
    before = len(slurm.node.jobs()[job])
    status, said = slurm.while_running(job, lambda run: os.killpg(run.pid, signal.SIGINT), product)
    assert status != 0 and "Stopped after " in said and "Traceback" not in said and "failed" not in said, said
    assert slurm.node.jobs()[job][before:] in (["CANCELLED"], ["COMPLETING"])


def test_a_job_that_fails_by_itself_is_not_tried_again_and_its_own_words_are_shown(slurm: SlurmField) -> None:
    slurm.field.edit_code("mask_band.py", 'read_array(spec["image"]["file"])', 'read_array("missing.fits")')
    before = len(slurm.node.jobs()[f"mask_band-{SHARP}"])
    status, said = slurm.end(slurm.start(f"results/bands/{SHARP}/mask.fits"))
    failed = [line for line in said.splitlines() if f"failed: mask_band band {SHARP}: " in line]
    assert status != 0 and len(failed) == 1 and "missing.fits" in failed[0], said
    assert f"see results/logs/mask_band/{SHARP}.log" in failed[0] and "tried again" not in said
    assert slurm.node.jobs()[f"mask_band-{SHARP}"][before:] == ["FAILED"]
