"""Files that are written complete or not at all; JSON and plain text; digests of the content of files."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

DIGEST_LENGTH = 16
"""Number of hexadecimal digits of a digest: 64 bits make it practically unique within a field."""


def is_url(name: str) -> bool:
    """Return whether `name` is an http(s) or s3 address, not a local file."""
    return name.split("://")[0] in ("http", "https", "s3") and "://" in name


@contextmanager
def atomic_path(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path in the folder of `path`, which is renamed to `path` on success and removed on an error."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    # The suffix stays at the end because some writers choose the format by it.
    temporary = path.with_name(f".{path.stem}.{os.getpid()}{path.suffix}")
    try:
        yield temporary
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def write_text(path: str | Path, text: str) -> None:
    """Write `text` to a temporary file and rename it to `path`."""
    with atomic_path(path) as temporary, temporary.open("w", encoding="utf-8") as stream:
        stream.write(text)


def write_json(path: str | Path, content: Any) -> None:
    """Write `content` as JSON with sorted keys, so that the same content gives the same bytes."""
    write_text(path, json.dumps(content, sort_keys=True, indent=1) + "\n")


def read_json(path: str | Path) -> Any:
    """Return the content of a JSON file."""
    return json.loads(Path(path).read_text(encoding="utf-8"))


def digested_once(file_digest: Callable[..., Any]) -> Callable[..., Any]:
    """Return a cached `hashlib.file_digest`, which reads a file again only if its path, size or times have changed."""
    cache: dict[tuple[object, ...], Any] = {}

    def cached(stream: Any, digest: Any, /, **options: Any) -> Any:
        try:
            stat = os.fstat(stream.fileno())
        except (AttributeError, OSError):
            return file_digest(stream, digest, **options)
        key = stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, digest
        if key not in cache:
            cache[key] = file_digest(stream, digest, **options)
        return cache[key]

    return cached


def digest_of(content: Any) -> str:
    """Return a short digest of bytes, of text, or of anything that can be written as JSON."""
    if isinstance(content, str):
        content = content.encode()
    elif not isinstance(content, bytes):
        content = json.dumps(content, sort_keys=True).encode()
    return hashlib.sha256(content).hexdigest()[:DIGEST_LENGTH]


def file_digest(path: str | Path) -> str:
    """Return a short digest of the bytes of a file."""
    with Path(path).open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()[:DIGEST_LENGTH]
