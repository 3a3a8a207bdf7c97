"""Job specs: small JSON files that say by content what a job depends on.

Snakemake judges files by their times and contents. A spec is an ordinary, small input of its job: it is written only
when it differs from the one that is there, so that a touched image, a comment in a region file or a copied folder
change nothing. Only a run writes specs. A plan (a dry run, a summary, a graph) keeps those that differ in a temporary
folder: Snakemake then shows the same jobs that a run would start, and the results stay as they are.
"""

from __future__ import annotations

import atexit
import fcntl
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Literal

from ..core.errors import UnblendError
from ..io.damage import SUFFIX, cut_of, is_whole
from ..io.files import read_json, read_note, write_json

Purpose = Literal["run", "plan", "job"]
"""Purpose of this process: to run the workflow, only to plan it, or to run one job for another Snakemake process."""


class SpecStore:
    """The specs of one results folder.

    Every spec lies in a folder of its own: Snakemake lists the folder of an input once while it plans and does not
    see what is written there later.

    Parameters
    ----------
    folder : Path
        Where the specs are kept.
    purpose : callable
        Returns the purpose of this process; asked when a spec is needed, since Snakemake does not know it earlier.
    """

    def __init__(self, folder: Path, purpose: Callable[[], Purpose]):
        self.folder, self._purpose = folder, purpose
        self._lock: int | None = None
        self._notes: dict[str, Any] = {}
        self._temporary: Path | None = None
        self._named: set[Path] = set()
        self._repeated: dict[str, dict[str, int]] = {}

    @property
    def writes(self) -> bool:
        """Whether this process may write into the folder."""
        return self._purpose() == "run"

    def path(self, name: str, content: dict[str, Any]) -> str:
        """Return the path of a spec with this content.

        Raises
        ------
        UnblendError
            Another process is running the workflow in this results folder, or the folder cannot be written.
        """
        path = self.folder / name / "spec.json"
        purpose = self._purpose()
        if purpose == "job" and path.exists():
            # The settings of the process that started this job hold, whatever config.yaml says by now.
            return str(path)
        unchanged = _holds(path, content)
        if purpose == "run":
            self._claim()
            if not unchanged:
                write_json(path, content)
        elif not unchanged:
            path = self._temporary_folder() / name / "spec.json"
            write_json(path, content)
        return str(path)

    def note(self, name: str, content: Any) -> None:
        """Keep a file beside the specs; it is written when the first spec of a run is."""
        self._notes[name] = content

    def lost(self, name: str, expected: list[Path]) -> dict[str, int]:
        """Return which of the files that a job has made were deleted or cut, so that its spec changes and it runs.

        The value is the time at which the folder of the file last changed: it stays the same until the files are
        back, and afterwards (the value is read from the spec), so that a second run does nothing.
        """
        gone = {path: path.parent for path in expected if not is_whole(path)}
        self._name_damaged(gone)
        if gone:
            return {str(path): parent.stat().st_mtime_ns if parent.exists() else 0 for path, parent in gone.items()}
        return read_note(self.folder / name / "spec.json", {}).get("lost", {})

    def damaged(self, name: str, products: list[Path]) -> dict[str, int]:
        """Return which products of a job are damaged, or were and are moved aside, so that it makes them again.

        As in `lost`, the value stays the same until the product is back, and afterwards.
        """
        marks = {path: path if path.exists() else path.with_name(path.name + SUFFIX)
                 for path in products if not is_whole(path)}  # fmt: skip
        self._name_damaged(marks)
        found = {str(path): mark.stat().st_mtime_ns for path, mark in marks.items() if mark.exists()}
        if found or not products:
            return found
        return read_note(self.folder / name / "spec.json", {}).get("damaged", {})

    def repeated(self, name: str, product: Path, has_failed: Callable[[Path], object]) -> dict[str, int]:
        """Return a mark of a product that could not be made with content, so that the next run tries it again.

        The mark is the time of the product, looked at once in a process: a run tries once. It stays in the spec when
        the product is there.

        Parameters
        ----------
        name : str
            Of the spec.
        product : Path
        has_failed : callable
            Tells from the path of the product whether it has no content; not asked of one that is not whole.
        """
        if name not in self._repeated:
            failed = is_whole(product) and has_failed(product)
            kept = read_note(self.folder / name / "spec.json", {}).get("again")
            mark = product.stat().st_mtime_ns if failed else kept
            self._repeated[name] = {} if mark is None else {"again": mark}
        return self._repeated[name]

    def _name_damaged(self, paths: Iterable[Path]) -> None:
        """Say once on the terminal which of these products are there and damaged."""
        purpose = self._purpose()
        if purpose == "job":
            return
        for path in paths:
            if path.exists() and path not in self._named:
                self._named.add(path)
                again = "it is made again" if purpose == "run" else "a run makes it again"
                # the progress of a run may stand in the last line of the terminal
                clear = "\r\x1b[K" if sys.stderr.isatty() else ""
                sys.stderr.write(f"{clear}unblend: {path} is damaged ({cut_of(path)}); {again}.\n")

    def _claim(self) -> None:
        """Claim the folder for this process; the system releases it when the process ends, however it ends."""
        if self._lock is not None:
            return
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            lock = os.open(self.folder / "lock", os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as error:
            raise UnblendError(
                f"{self.folder.parent} cannot be written ({error.strerror}): a run needs permission to write there. "
                "Change its permissions, or set another results_dir. It can be looked at as it is: "
                "./unblend progress, ./unblend ds9, or a dry run (snakemake -n)."
            ) from error
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
            raise UnblendError(
                f"another run is going on in {self.folder.parent}: wait for its end or stop it, then run again "
                "(a dry run, `snakemake -n`, is possible at any time)."
            ) from None
        except OSError:
            pass  # a file system without locks: Snakemake's own lock remains
        self._lock = lock
        for name, content in self._notes.items():
            write_json(self.folder / name, content)

    def release(self) -> None:
        """Give the folder up to other processes."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def _temporary_folder(self) -> Path:
        if self._temporary is None:
            self._temporary = Path(tempfile.mkdtemp(prefix="unblend-plan-"))
            atexit.register(shutil.rmtree, self._temporary, ignore_errors=True)
        return self._temporary


def _holds(path: Path, content: dict[str, Any]) -> bool:
    try:
        return read_json(path) == content
    except (OSError, ValueError):
        return False
