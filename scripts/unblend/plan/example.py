"""The example field is drawn once, before the workflow is planned: everything is planned from what images hold."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from ..core.errors import InputError
from .config import Config


def draw_example(config: Config, scripts: Path) -> None:
    """Draw the example field into data_dir where the configuration has a seed and there is no field yet.

    Raises
    ------
    InputError
        It could not be drawn.
    """
    if config.example_seed is None or (Path(config.data_dir) / "truth.fits").exists():
        return
    sys.stderr.write(f"Drawing the example field into {config.data_dir}/ (half a minute, once).\n")
    command = [sys.executable, str(scripts / "make_example_field.py"), config.data_dir, str(config.example_seed)]
    drawn = subprocess.run(command, capture_output=True, text=True, check=False)
    if drawn.returncode:
        last = drawn.stderr.strip().splitlines()[-1:] or ["no message"]
        raise InputError(
            f"the example field could not be drawn: {last[0]}. Is galsim installed? Or delete example_seed."
        )
