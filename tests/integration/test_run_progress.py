"""The progress display of a run, and `./unblend progress`."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from astropy.io import fits
from harness import Field, environment
from smallfield import SHARP

pytestmark = pytest.mark.integration


def test_a_run_lists_the_results_and_progress_writes_the_live_stack(field: Field) -> None:
    field.edit_config(lambda c: c["bands"][SHARP].update(zero_point=26.0))
    messages = field.run().messages
    assert "Done in " in messages and "catalogue  results/catalogue.fits: 12 sources" in messages
    assert "rule write_catalogue" not in messages and "Select jobs" not in messages
    assert "results/imfit/sheet.html" in field.run().messages, "with nothing to do, too"
    field.edit_config(lambda c: c["bands"][SHARP].update(zero_point=25.0))
    assert "rule write_catalogue" in field.run("-p").messages

    command = [sys.executable, str(field / "program/scripts/show_progress.py"), "--directory", str(field.folder)]
    done = subprocess.run([*command, "--stack"], env=environment(), capture_output=True, text=True, check=True)
    assert "12 sources in 11 groups: first pass 11 of 11, second 11 of 11" in done.stdout
    assert "12 of 12 sources are subtracted" in done.stdout
    live, final = (fits.getdata(field / f"results/imfit/det_stack-{name}.fits") for name in ("live", "sub"))
    # the models on disk are float32
    np.testing.assert_allclose(live, final, atol=3e-7 * np.nanmax(fits.getdata(field / "results/det_stack.fits")))
    (field / "results/imfit/7/fit.json").unlink()
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, check=True)
    assert "second 10 of 11" in done.stdout
