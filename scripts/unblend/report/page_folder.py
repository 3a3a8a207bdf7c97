"""The files beside a large page: scripts that each hold one piece of it, which the page loads when it is looked at.

They are scripts and not images or JSON because a browser gives the content of nothing else to a page that is opened
from disk. Their folder is named after their content: a page that was opened before the files were written again finds
none of the new ones, and does not mix them with its own.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from ..io.files import DIGEST_LENGTH
from .page import base64_of

FOLDER = "index_files"
"""Name of the folder beside index.html."""


class PageFolder:
    """A folder in which the files of a page are written.

    Parameters
    ----------
    folder : Path
        Exists and is empty.
    """

    def __init__(self, folder: Path):
        self._folder, self._digest = folder, hashlib.sha256()
        self._new = folder / "new"

    def write(self, name: str, content: Any) -> None:
        """Write a piece of the page.

        Parameters
        ----------
        name : str
            The path of the file below the folder, without ending, by which the page asks for it.
        content : anything that JSON can hold
            Without NaN. Bytes are given as base64.
        """
        text = f"chunk({json.dumps(name)},{json.dumps(content, allow_nan=False, separators=(',', ':'))});\n"
        path = self._new / f"{name}.js"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="ascii")
        self._digest.update(text.encode())

    def write_images(self, name: str, pngs: list[bytes]) -> None:
        """Write PNG files as a piece of the page."""
        self.write(name, [base64_of(content) for content in pngs])

    def finish(self) -> str:
        """Name the folder of the files after their content, and return this name."""
        name = self._digest.hexdigest()[:DIGEST_LENGTH]
        self._new.rename(self._folder / name)
        return name
