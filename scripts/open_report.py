"""`./unblend report FIELD`: open the report of a field in the browser, or show where it is."""

from __future__ import annotations

import sys
import webbrowser
from pathlib import Path

from unblend.core.errors import InputError
from unblend.run.commands import field_parser, read_field_config
from unblend.run.job_log import run

DESCRIPTION = (
    "Open the report of a field in the browser as the file that it is; `./unblend page` serves it, to draw edits on it."
)


def main(*words: str) -> None:
    """Print the path of the report, and open it."""
    parser = field_parser("report", DESCRIPTION, folder=True)
    parser.add_argument("--no-browser", action="store_true", help="print the path and open no browser")
    options = parser.parse_args(words)
    page = Path(read_field_config(options).results_dir) / "report/index.html"
    if not page.exists():
        raise InputError(f"{page} does not exist; run the workflow first: ./unblend run FIELD.")
    sys.stdout.write(f"{page}\n")
    sys.stdout.flush()
    if not options.no_browser:
        webbrowser.open(page.resolve().as_uri())


if __name__ == "__main__":
    run(main)
