"""`./unblend page FIELD`: open the page of a field, to draw edits on it and to run the workflow from it."""

from __future__ import annotations

import sys
import webbrowser
from pathlib import Path

from unblend.core.errors import InputError
from unblend.plan.checks import jobs_of
from unblend.plan.jobs import Jobs
from unblend.run.commands import field_parser, read_field_config
from unblend.run.job_log import run
from unblend.run.page_server import PAGE, FieldEditor, PageServer
from unblend.run.run_command import command

DESCRIPTION = (
    "Open the page of a field in the browser, to draw circles and polygons on it, to write overrides, and to run the "
    "workflow. The server answers on this machine alone, at an address with a secret; stop it with Ctrl-C."
)


def main(*words: str) -> None:
    """Serve the page until the process is interrupted."""
    parser = field_parser("page", DESCRIPTION, folder=True)
    parser.add_argument("--port", type=int, default=0, help="port of the server (default: any free one)")
    parser.add_argument("--no-browser", action="store_true", help="print the address and open no browser")
    parser.add_argument("--cores", help="number of cores of the runs (default: all)")
    options = parser.parse_args(words)

    def jobs() -> Jobs:
        return jobs_of(read_field_config(options), Path(__file__).resolve().parent)

    results = jobs().results
    if not (results / PAGE).exists():
        raise InputError(f"{results / PAGE} does not exist; run the workflow first: ./unblend run FIELD.")
    folder = str(options.folder or options.directory)
    cores = ["--cores", options.cores] if options.cores else []
    named = ["--configfile", options.configfile] if options.configfile else []
    server = PageServer(FieldEditor(jobs, command((folder, *cores, *named))), options.port)
    sys.stdout.write(f"{server.address}\n")
    sys.stdout.flush()
    if not options.no_browser:
        webbrowser.open(server.address)
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        sys.stdout.write("stopped; a run that goes on ends by itself\n")


if __name__ == "__main__":
    run(main)
