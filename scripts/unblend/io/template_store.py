"""File of the templates of a band: stamps with their boxes, each with a key that identifies its inputs."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from zipfile import BadZipFile, ZipFile

import numpy as np
from numpy.lib.format import read_array_header_1_0, read_magic

from ..core.types import Box, Template
from .files import atomic_path


def as_stored(template: Template) -> Template:
    """Return a template with its pixels in single precision, as they are stored: half of the memory."""
    detail = None if template.detail is None else np.asarray(template.detail, dtype=np.float32)
    return replace(template, data=np.asarray(template.data, dtype=np.float32), detail=detail)


def write_templates(path: str | Path, templates: Sequence[Template], keys: Mapping[int, str]) -> None:
    """Write the templates of a band as float32. The same templates and keys give the same bytes.

    Parameters
    ----------
    path : path
    templates : sequence of Template
    keys : mapping of ID to str
        Digest of the inputs of each template, at most 16 characters.
    """
    data = [np.asarray(template.data, dtype=np.float32).ravel() for template in templates]
    details = [np.asarray(t.detail, dtype=np.float32).ravel() for t in templates if t.detail is not None]
    boxes = np.array([(t.box.y0, t.box.x0, t.box.y1, t.box.x1) for t in templates], dtype=np.int64).reshape(-1, 4)
    with atomic_path(path) as temporary, temporary.open("wb") as stream:
        np.savez(
            stream,
            ids=np.array([t.id for t in templates], dtype=np.int64),
            boxes=boxes,
            coverage=np.array([t.coverage for t in templates], dtype=np.float64),
            keys=np.array([keys[t.id] for t in templates], dtype="U16"),
            data=np.concatenate(data) if data else np.zeros(0, dtype=np.float32),
            has_detail=np.array([t.detail is not None for t in templates], dtype=bool),
            detail_shares=np.array([t.detail_share for t in templates], dtype=np.float64),
            detail_free=np.array([t.detail_free for t in templates], dtype=bool),
            details=np.concatenate(details) if details else np.zeros(0, dtype=np.float32),
        )


def read_templates(path: str | Path) -> tuple[list[Template], dict[int, str]]:
    """Return the templates in the order in which they were written, and their keys by ID.

    Raises
    ------
    OSError
        The file is missing, truncated or of another kind.
    """
    try:
        with Path(path).open("rb") as stream, np.load(stream) as store:
            ids, boxes, coverage, keys, data = (store[name] for name in ("ids", "boxes", "coverage", "keys", "data"))
            has_detail, shares, details = (store[name] for name in ("has_detail", "detail_shares", "details"))
            free = store["detail_free"]
    except (BadZipFile, EOFError, KeyError, ValueError) as error:
        raise OSError(f"{path} is not a file of templates: {error}") from error
    templates, start, first = [], 0, 0
    for k, box_row in enumerate(boxes):
        box = Box(*(int(edge) for edge in box_row))
        size, detail = box.shape[0] * box.shape[1], None
        if has_detail[k]:
            detail = details[first : first + size].reshape(box.shape)
            first += size
        stamp = data[start : start + size].reshape(box.shape)
        templates.append(Template(int(ids[k]), box, stamp, float(coverage[k]), detail, float(shares[k]), bool(free[k])))
        start += size
    return templates, {int(i): str(key) for i, key in zip(ids, keys, strict=True)}


class TemplateFile:
    """The templates of a band, each read from the file when it is asked for; a context manager.

    A survey's templates do not fit into memory. Here only their places in the file are held, 120 bytes for each.

    Parameters
    ----------
    path : path

    Raises
    ------
    OSError
        The file is missing, truncated or of another kind.
    """

    def __init__(self, path: str | Path):
        try:
            with Path(path).open("rb") as stream, np.load(stream) as store:
                ids, self._boxes, self._coverage = (store[name] for name in ("ids", "boxes", "coverage"))
                self._has_detail, self._shares, self._free = (
                    store[name] for name in ("has_detail", "detail_shares", "detail_free")
                )
            self._data, self._details = (_place_of(path, name) for name in ("data", "details"))
        except (BadZipFile, EOFError, KeyError, ValueError) as error:
            raise OSError(f"{path} is not a file of templates: {error}") from error
        sizes = np.prod(np.maximum(self._boxes[:, 2:] - self._boxes[:, :2], 0), axis=1)
        self._sizes, self._starts = sizes, np.cumsum(sizes) - sizes
        self._detail_starts = np.cumsum(sizes * self._has_detail) - sizes * self._has_detail
        self._number = {int(i): k for k, i in enumerate(ids)}
        self._stream = Path(path).open("rb")  # noqa: SIM115 (open as long as this object)

    def __enter__(self) -> TemplateFile:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._stream.close()

    @property
    def has_details(self) -> bool:
        """Whether any template has a detail."""
        return bool(self._has_detail.any())

    def get(self, source: int) -> Template | None:
        """Return the template of a source; None if it has none."""
        k = self._number.get(source)
        if k is None:
            return None
        box = Box(*(int(edge) for edge in self._boxes[k]))
        stamp = self._read(self._data, self._starts[k], box)
        detail = self._read(self._details, self._detail_starts[k], box) if self._has_detail[k] else None
        share, free = float(self._shares[k]), bool(self._free[k])
        return Template(source, box, stamp, float(self._coverage[k]), detail, share, free)

    def _read(self, place: int, start: int, box: Box) -> np.ndarray:
        size = box.shape[0] * box.shape[1]
        self._stream.seek(place + 4 * int(start))
        data = np.fromfile(self._stream, dtype="<f4", count=size)
        if data.size < size:
            raise OSError(f"{self._stream.name} is not a file of templates: its end is missing")
        return data.reshape(box.shape)


def _place_of(path: str | Path, name: str) -> int:
    """Return the byte at which the numbers of an array of float32 begin, which `np.savez` stores as they are."""
    with ZipFile(path) as archive, archive.open(f"{name}.npy") as member:
        entry = archive.getinfo(f"{name}.npy")
        version = read_magic(member)
        if version != (1, 0):
            raise ValueError(f"{name} has version {version}")
        _, _, dtype = read_array_header_1_0(member)
        if entry.compress_size != entry.file_size or dtype != np.dtype("<f4"):
            raise ValueError(f"{name} is not stored as float32")
        header = member.tell()
    with Path(path).open("rb") as stream:
        stream.seek(entry.header_offset + 26)  # the lengths of name and extra field in the local header of the member
        lengths = struct.unpack("<HH", stream.read(4))
    return entry.header_offset + 30 + sum(lengths) + header
