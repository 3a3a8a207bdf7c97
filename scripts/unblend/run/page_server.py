"""A server for the page of a field on this machine alone, with which edits are saved and the workflow is run.

Its address contains a random token: other users and other pages of the browser do not know it. It serves the products
of the field, nothing else, and answers only requests for 127.0.0.1 or localhost.
"""

from __future__ import annotations

import json
import secrets
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Sequence
from functools import partial
from http import HTTPStatus
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np

from ..core.errors import UnblendError
from ..io.catalogues import read_catalogue
from ..plan.jobs import Jobs
from .flux_changes import flux_changes
from .page_edits import (
    add_line,
    describe_file,
    editable_files,
    override_of,
    region_line,
    remove_line,
    wcs_of_panel,
    write_override,
)

LAST_LINES = 12
"""Lines of the output of a run that the page shows."""
MAX_REQUEST = 1_000_000
"""Largest request in bytes."""
PAGE = "report/index.html"


class FieldEditor:
    """The field behind the page: its files, and the runs that the page starts.

    Parameters
    ----------
    jobs : callable
        Returns the jobs of the field, its configuration read anew.
    command : sequence of str
        Command that runs the workflow on the field.
    """

    def __init__(self, jobs: Callable[[], Jobs], command: Sequence[str]):
        self._jobs, self._command = jobs, list(command)
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._output: Any = None
        self._before: np.ndarray | None = None
        self._changes: list[dict[str, Any]] | None = None
        self.results = jobs().results

    def answer(self, action: str, request: dict[str, Any]) -> dict[str, Any]:
        """Return the answer to a request of the page.

        Parameters
        ----------
        action : str
            One of `ACTIONS`.
        request : dict
            What the action needs.

        Raises
        ------
        UnblendError
            The request cannot be met; the message is for the user.
        """
        with self._lock:
            return ACTIONS[action](self, request)

    def files(self, _: dict[str, Any]) -> dict[str, Any]:
        """Return all region files with their regions."""
        jobs = self._jobs()
        found = editable_files(jobs).values()
        coordinates = {panel: wcs_of_panel(jobs, panel) for panel in {file.panel for file in found}}
        return {"files": [describe_file(file, coordinates[file.panel]) for file in found]}

    def add(self, request: dict[str, Any]) -> dict[str, Any]:
        """Append a shape that was drawn to a region file (`key`, `shape`)."""
        jobs = self._jobs()
        file = editable_files(jobs)[request["key"]]
        add_line(file, region_line(wcs_of_panel(jobs, file.panel), request["shape"], file.kinds))
        return self.files({})

    def remove(self, request: dict[str, Any]) -> dict[str, Any]:
        """Remove a line of a region file (`key`, `number`, `line`)."""
        remove_line(editable_files(self._jobs())[request["key"]], int(request["number"]), str(request["line"]))
        return self.files({})

    def override(self, request: dict[str, Any]) -> dict[str, Any]:
        """Return the override of a source (`id`), written before if there is a `text`."""
        jobs, source = self._jobs(), int(request["id"])
        if "text" in request:
            write_override(jobs, source, str(request["text"]), str(request.get("before", "")))
        path, text = override_of(jobs, source)
        return {"path": str(path), "text": text, "exists": path.exists()}

    def run(self, _: dict[str, Any]) -> dict[str, Any]:
        """Start the workflow, unless it is running."""
        if self._process is None or self._process.poll() is not None:
            catalogue = self.results / "catalogue.fits"
            self._before = read_catalogue(catalogue) if catalogue.exists() else None
            self._changes = None
            self.close()
            self._output = tempfile.TemporaryFile()  # noqa: SIM115 (open as long as the run)
            # in a session of its own: a run goes on when the server is stopped
            self._process = subprocess.Popen(
                self._command, stdout=self._output, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
                start_new_session=True,
            )  # fmt: skip
        return self.state({})

    def state(self, _: dict[str, Any]) -> dict[str, Any]:
        """Return whether a run is going on, its last lines, and once it has ended what it has changed."""
        if self._process is None:
            return {"running": False, "code": None, "lines": [], "changes": None}
        code = self._process.poll()
        if code == 0 and self._changes is None and self._before is not None:
            bands = list(self._jobs().config.bands)
            self._changes = flux_changes(self._before, read_catalogue(self.results / "catalogue.fits"), bands)
        return {"running": code is None, "code": code, "lines": self._last_lines(), "changes": self._changes}

    def close(self) -> None:
        """Forget the output of the last run."""
        if self._output is not None:
            self._output.close()

    def _last_lines(self) -> list[str]:
        size = self._output.seek(0, 2)
        self._output.seek(max(0, size - 20_000))
        return str(self._output.read().decode(errors="replace")).splitlines()[-LAST_LINES:]


ACTIONS: dict[str, Callable[[FieldEditor, dict[str, Any]], dict[str, Any]]] = {
    "files": FieldEditor.files,
    "add": FieldEditor.add,
    "remove": FieldEditor.remove,
    "override": FieldEditor.override,
    "run": FieldEditor.run,
    "state": FieldEditor.state,
}
"""What a page can ask for."""


class PageServer(ThreadingHTTPServer):
    """Serves the page of a field on 127.0.0.1 at `address`.

    Parameters
    ----------
    editor : FieldEditor
    port : int
        0: any free one.
    """

    daemon_threads = True

    def __init__(self, editor: FieldEditor, port: int = 0):
        self.editor, self.token = editor, secrets.token_urlsafe(16)
        super().__init__(("127.0.0.1", port), partial(_Handler, directory=str(editor.results)))

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say what went wrong with a request, but nothing of a browser that has gone, as on a reload."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)

    def server_close(self) -> None:
        """Close the server; a run goes on."""
        super().server_close()
        self.editor.close()

    @property
    def address(self) -> str:
        """The address of the page."""
        return f"http://127.0.0.1:{self.server_address[1]}/{self.token}/{PAGE}"


class _Handler(SimpleHTTPRequestHandler):
    """Answers requests below the token: GET for files of the results, POST for the actions of the editor."""

    server: PageServer

    def _is_allowed(self) -> bool:
        """Return whether a request is for this machine and has the token, which is then removed from the path."""
        host = (self.headers.get("Host") or "").rsplit(":", 1)[0]
        start = f"/{self.server.token}/"
        if host not in ("127.0.0.1", "localhost") or not self.path.startswith(start):
            self.send_error(HTTPStatus.FORBIDDEN, "Open the address that ./unblend page has printed")
            return False
        self.path = "/" + self.path[len(start) :]
        return True

    def do_GET(self) -> None:
        """Send a product of the field."""
        if self._is_allowed():
            super().do_GET()

    def do_HEAD(self) -> None:
        """Send the header of a product of the field."""
        if self._is_allowed():
            super().do_HEAD()

    def list_directory(self, path: Any) -> None:
        """Send no list of a folder."""
        self.send_error(HTTPStatus.NOT_FOUND, "No such product")

    def end_headers(self) -> None:
        """Let the browser ask again each time: a run changes the products."""
        self.send_header("Cache-Control", "no-store")
        super().end_headers()

    def do_POST(self) -> None:
        """Answer an action: the last part of the path, with JSON in the body."""
        if not self._is_allowed():
            return
        action, length = self.path.removeprefix("/api/"), int(self.headers.get("Content-Length") or 0)
        if action not in ACTIONS or length > MAX_REQUEST:
            self.send_error(HTTPStatus.NOT_FOUND, "No such action")
            return
        try:
            answer, status = self.server.editor.answer(action, json.loads(self.rfile.read(length) or b"{}")), 200
        except (UnblendError, OSError) as error:
            answer, status = {"error": str(error)}, 409
        except (ValueError, KeyError, TypeError) as error:
            answer, status = {"error": f"the request is not understood: {error!r}"}, 400
        content = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *arguments: Any) -> None:
        """Print nothing for every request."""
