"""The progress display of a run, and `./unblend progress`."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from harness import Field, environment
from smallfield import SHARP
from unblend.io.files import read_json

pytestmark = pytest.mark.integration

PLUGIN = '''
import sys
from snakemake_interface_logger_plugins.base import LogHandlerBase

class LogHandler(LogHandlerBase):
    """Write one line for every record."""
    writes_to_stream, writes_to_file, has_filter, has_formatter, needs_rulegraph = {stream}, False, False, False, False

    def emit(self, record):
        with open("plugin.txt", "a") as file:
            print("plugin:", getattr(record, "event", None), file=sys.stderr if {stream} else file, flush=True)
'''
"""A logger plugin of Snakemake, which finds packages of such names on the Python path."""


def test_a_run_lists_the_results_and_progress_writes_the_live_stack(field: Field) -> None:
    field.edit_config(lambda c: c["bands"][SHARP].update(zero_point=26.0))
    messages = field.run().messages
    assert "Done in " in messages and "catalogue  results/catalogue.fits: 12 sources" in messages
    assert "rule write_catalogue" not in messages and "Select jobs" not in messages
    assert "results/imfit/sheet.html" in field.run().messages, "with nothing to do, too"
    field.edit_config(lambda c: c["bands"][SHARP].update(zero_point=25.0))
    assert "rule write_catalogue" in field.run("-p").messages

    command = [sys.executable, str(field.program / "scripts/show_progress.py"), "--directory", str(field.folder)]
    done = subprocess.run([*command, "--stack"], env=environment(), capture_output=True, text=True, check=True)
    assert "12 sources in 11 groups: first pass 11 of 11, second 11 of 11" in done.stdout
    assert "12 of 12 sources are subtracted" in done.stdout
    live, final = (fits.getdata(field / f"results/imfit/det_stack-{name}.fits") for name in ("live", "sub"))
    # the models on disk are float32
    np.testing.assert_allclose(live, final, atol=3e-7 * np.nanmax(fits.getdata(field / "results/det_stack.fits")))
    (field / "results/imfit/7/fit.json").unlink()
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, check=True)
    assert "second 10 of 11" in done.stdout


@pytest.mark.parametrize("stream", [False, True], ids=["to a file", "to the terminal"])
def test_a_run_beside_a_logger_plugin(
    field: Field, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stream: bool
) -> None:
    package = tmp_path / "plugins/snakemake_logger_plugin_lines"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text(PLUGIN.format(stream=stream))
    monkeypatch.setenv("PYTHONPATH", str(package.parent))
    (field / "results/logs/run.json").unlink()
    field.edit_config(lambda c: c["bands"][SHARP].update(zero_point=26.0))
    run = field.run("--logger", "lines", new_python=True)
    assert "catalogue all" in run.work and "Traceback" not in run.messages
    lines = run.messages if stream else (field / "plugin.txt").read_text()
    for event in ("workflow_started", "job_info", "job_finished", "progress"):
        assert f"plugin: {event}\n" in lines
    # a plugin that writes to the terminal replaces the display
    assert ("Done in " in run.messages) == (not stream) and ("plugin:" in run.messages) == stream
    assert read_json(field / "results/logs/run.json")["state"] == "done"
