"""The same catalogue, bit for bit, whatever the number of cores, the batches of fits and the start of jobs."""

from __future__ import annotations

import subprocess

import pytest
from harness import Field, environment
from unblend.run.job_server import FRESH_VARIABLE

pytestmark = pytest.mark.integration


def test_one_core_other_batches_and_a_new_python_for_each_job_give_the_same_bytes(field: Field) -> None:
    products = ["catalogue.fits", "catalogue.ecsv", "imfit/sersic.fits", "imfit/models/1.fits", "imfit/1/fit.json"]
    before = {name: (field / f"results/{name}").read_bytes() for name in products}
    field.edit_config(lambda config: config["models"].update(batch_size=5))
    subprocess.run(["rm", "-rf", str(field / "results"), str(field / ".snakemake")], check=True)
    command = [*field.command[:-1], "1"]
    fresh = {**environment(), FRESH_VARIABLE: "1"}
    done = subprocess.run(command, env=fresh, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert done.returncode == 0, done.stdout[-3000:]
    assert {name: (field / f"results/{name}").read_bytes() for name in products} == before
