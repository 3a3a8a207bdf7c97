"""Files written whole or not at all; JSON and plain text; digests of what files hold."""

from __future__ import annotations

import codecs
import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ..core.errors import InputError

DIGEST_LENGTH = 16


def is_url(name: str) -> bool:
    """Whether `name` is an http(s) or s3 address and not a local file."""
    return name.split("://")[0] in ("http", "https", "s3") and "://" in name


class DamagedFileError(InputError, ValueError):
    """A file that the program has written cannot be read; also a ValueError, for callers that write it again."""


@contextmanager
def atomic_path(path: str | Path) -> Iterator[Path]:
    """Give a temporary path beside `path`, renamed to it when the block ends well, removed when it does not."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    # The suffix is kept last: some writers choose the format by it.
    temporary = path.with_name(f".{path.stem}.{os.getpid()}{path.suffix}")
    try:
        yield temporary
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


@contextmanager
def atomic_folder(path: str | Path) -> Iterator[Path]:
    """Give an empty folder beside `path` that replaces it when the block ends well and is removed when it does not.

    What a process left there that was killed meanwhile is removed: only one writes the folder at a time.
    """
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    for left in path.parent.glob(f".{path.name}.*"):
        shutil.rmtree(left, ignore_errors=True)
    try:
        temporary.mkdir(parents=True)
        yield temporary
        if path.exists():
            shutil.rmtree(path)
        os.replace(temporary, path)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise


def keep_second_copy(path: str | Path, copy: str | Path) -> None:
    """Keep a file under a second name, without a second copy of its content where the file system allows that."""
    Path(copy).unlink(missing_ok=True)
    try:
        os.link(path, copy)
    except OSError:
        shutil.copyfile(path, copy)


def read_text(path: str | Path, error: type[InputError] = InputError) -> str:
    """Return the content of a text file of the user: UTF-8, UTF-16 with a byte order mark, else Latin-1.

    Parameters
    ----------
    path : path
    error : subclass of InputError
        The exception to raise.

    Raises
    ------
    InputError (or the given subclass)
        The file cannot be read, or it is not text.
    """
    try:
        content = Path(path).read_bytes()
    except OSError as problem:
        raise error(f"{path} cannot be read: {problem.strerror}; expected a text file.") from problem
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        text = content.decode("utf-16", errors="replace")
    else:
        try:
            text = content.decode("utf-8-sig")
        except UnicodeDecodeError:
            text = content.decode("latin-1")
    if "\0" in text:
        raise error(f"{path} is not a text file; expected UTF-8 text. Save it as plain text.")
    return text


def write_text(path: str | Path, text: str) -> None:
    """Write `text` beside `path`, then rename."""
    with atomic_path(path) as temporary, temporary.open("w", encoding="utf-8") as stream:
        stream.write(text)


def write_json(path: str | Path, content: Any) -> None:
    """Write `content` as JSON with sorted keys: the same content gives the same bytes."""
    write_text(path, json.dumps(content, sort_keys=True, indent=1) + "\n")


def read_json(path: str | Path) -> Any:
    """Return the content of a JSON file.

    Raises
    ------
    DamagedFileError
        The file is there but is not JSON.
    """
    text = Path(path).read_bytes()
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DamagedFileError(f"{path} is damaged (not JSON: {error}); delete it and run again.") from error


def read_note(path: str | Path, default: Any) -> Any:
    """Return the content of a JSON file that the program keeps for itself, or `default` where it has none of its kind.

    Nothing depends on such a file but time: one that is missing, damaged or holds something else is made again.
    """
    try:
        content = read_json(path)
    except (OSError, ValueError):
        return default
    return content if isinstance(content, type(default)) else default


def digest_of(content: Any) -> str:
    """Return a short digest of bytes, text, or of anything that JSON can hold."""
    if isinstance(content, str):
        content = content.encode()
    elif not isinstance(content, bytes):
        content = json.dumps(content, sort_keys=True).encode()
    return hashlib.sha256(content).hexdigest()[:DIGEST_LENGTH]


def file_digest(path: str | Path) -> str:
    """Return a short digest of a file's bytes, read in pieces."""
    with Path(path).open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()[:DIGEST_LENGTH]
