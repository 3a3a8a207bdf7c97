"""File of the templates of a band: stamps with their boxes, each with a key that identifies its inputs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from zipfile import BadZipFile

import numpy as np

from ..core.types import Box, Template
from .files import atomic_path


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
