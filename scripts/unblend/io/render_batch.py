"""The un-convolved models of a batch of fit groups: drawn where their fit has changed, or a user's own as it is."""

from __future__ import annotations

import shutil
import time
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from ..errors import InputError
from ..model_images import model_of
from ..runlog import record_work
from .files import digest_of
from .fit_field import FitField
from .images import atomic_path, read_header, read_model, write_model


def render_batch(field: FitField, spec: Mapping[str, Any], theirs_before: Collection[int]) -> list[int]:
    """Write `models/{id}.fits` of every source whose fit has changed or whose file is gone.

    Parameters
    ----------
    field : FitField
    spec : mapping
        `groups`: user_files of each; `drawing`: digest of what a drawing depends on besides its fit; `oversampling`.
    theirs_before : collection of int
        Sources whose models were the user's own: made from one of ours, those may bear its key.

    Returns
    -------
    list of int
        Sources whose models are now the user's own.
    """
    theirs = []
    for group, entry in spec["groups"].items():
        fit = field.result(group, "second")
        for source in field.groups[group]["members"]:
            path = field.folder / "models" / f"{source}.fits"
            custom = entry["user_files"].get(str(source), {}).get("custom")
            if custom:
                copy_custom(custom["file"], path)
                theirs.append(source)
                continue
            member = fit.member(source)
            key = digest_of([spec["drawing"], repr(member.blocks)])
            if source in theirs_before or key_of(path) != key:
                wcs, began = field.wcs, time.process_time()
                model = model_of(member, wcs, spec["oversampling"])
                write_model(path, model, {"KEY": key, "SOURCE": source, "GROUP": int(group)})
                record_work("render", source, time.process_time() - began)
    return theirs


def key_of(path: Path) -> Any:
    """Return the key that a rendered model was made under, None where there is no such file."""
    try:
        return read_header(str(path)).get("KEY")
    except InputError:
        return None


def copy_custom(source: str, path: Path) -> None:
    """Copy a user's model as it is, once it is found fit for use."""
    read_model(source)
    if path.exists() and path.read_bytes() == Path(source).read_bytes():
        return
    with atomic_path(path) as temporary:
        shutil.copyfile(source, temporary)
    record_work("custom", path.stem)
