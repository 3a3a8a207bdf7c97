"""The un-convolved models of a batch of fit groups: drawn if their fit has changed, or copied from the user's files."""

from __future__ import annotations

import shutil
import time
from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..core.errors import InputError, UnblendError
from ..field.fit_field import FitField
from ..fits.model_image import detail_of, model_of
from ..fits.residual import is_bright, may_have_detail, own_residual
from ..io.damage import is_whole
from ..io.files import atomic_path, digest_of
from ..io.images import read_header
from ..io.models import read_model, write_model
from .job_log import record_work
from .workers import Failure, run_tasks

if TYPE_CHECKING:
    from ..core.types import Model
    from ..fits.result import MemberFit


def render_batch(
    field: FitField, spec: Mapping[str, Any], custom_before: Collection[int], workers: int = 1
) -> list[int]:
    """Write `models/{id}.fits` of every source whose fit has changed or whose file is missing.

    Parameters
    ----------
    field : FitField
    spec : mapping
        `groups`: key and user_files of each; `neighbour_files`; `drawing`: digest of what a drawing depends on besides
        its fit; `oversampling`; `on_request`: whether the field is large; `detail`: "auto" or "none"; `detail_code`:
        digest of the code that makes details.
    custom_before : collection of int
        Sources whose models were the user's own. A file copied from a model of the workflow may contain its key.
    workers : int
        Number of processes.

    Returns
    -------
    list of int
        Sources whose models are now the user's own.

    Raises
    ------
    UnblendError
        A model could not be rendered.
    """
    custom_sources: list[int] = []
    todo: list[tuple[int, str, MemberFit, str, bool]] = []
    for group, entry in spec["groups"].items():
        fit = field.result(group, "second")
        for source in field.groups[group]["members"]:
            custom = entry["user_files"].get(str(source), {}).get("custom")
            if custom:
                copy_custom(custom["file"], field.model_path(source))
                custom_sources.append(source)
                continue
            member = fit.member(source)
            # a detail is made from the pixels of the fit, on which the key of the fit depends
            detail = [entry["key"], spec["detail_code"]] if may_have_detail(member) else []
            free = has_free_components(source, field, entry["user_files"])
            own_shares = ["free"] if free or member.is_bulge_and_disc else []
            key = digest_of([spec["drawing"], repr(member.blocks), detail, *own_shares])
            if source in custom_before or key_of(field.model_path(source)) != key:
                todo.append((source, group, member, key, free))
    if todo:
        wcs = field.wcs  # read before the workers are forked: they share it

        def draw(task: tuple[int, str, MemberFit, str, bool]) -> None:
            source, group, member, key, free = task
            began = time.process_time()
            poor = spec["detail"] == "auto" and may_have_detail(member)
            apart = free or (member.is_bulge_and_disc and not poor)
            # the templates of a single profile are made from the profile: it needs no fine pixels
            coarse = spec["on_request"] and not poor and not apart and member.sersic is not None
            model = model_of(member, wcs, spec["oversampling"], free_components=apart, coarse=coarse)
            if poor and model.detail is None:
                model = with_detail(model, source, group, field, spec)
                if member.is_bulge_and_disc and model.detail is None:  # too faint for a detail
                    model = model_of(member, wcs, spec["oversampling"], free_components=True)
            write_model(field.model_path(source), model, {"KEY": key, "SOURCE": source, "GROUP": int(group)})
            record_work("render", source, time.process_time() - began)

        for number, outcome in run_tasks(draw, todo, workers=workers):
            if isinstance(outcome, Failure):
                raise UnblendError(
                    f"the model of source {todo[number][0]} was not drawn: {outcome.message}. Run again."
                )
    return custom_sources


def has_free_components(source: int, field: FitField, user_files: Mapping[str, Any]) -> bool:
    """Return whether the user's override lets the components of a source be free in each band.

    Parameters
    ----------
    source : int
    field : FitField
    user_files : mapping
        Files of the user for each source, by its ID.
    """
    override = field.overrides({i: kinds for i, kinds in user_files.items() if i == str(source)}).get(source)
    return override is not None and override.free_components


def with_detail(model: Model, source: int, group: str, field: FitField, spec: Mapping[str, Any]) -> Model:
    """Return the model of a source with its detail, if it is bright enough.

    Parameters
    ----------
    model : Model
        The fitted profile.
    source : int
        ID of the source.
    group : str
        Its fit group.
    field : FitField
    spec : mapping
        `groups`, with the user's files of each; `neighbour_files`.
    """
    fit = field.result(group, "second")
    data = field.less_neighbours(field.data(group, spec["groups"][group]["user_files"]), group, spec["neighbour_files"])
    if not is_bright(fit.member(source), fit, data):
        return model
    psf = field.psf_of(group)
    residual = own_residual(source, fit, data, psf)
    if not model.total + residual.data.sum() > 0:
        return model
    return replace(model, detail=detail_of(residual, field.wcs, psf))


def key_of(path: Path) -> Any:
    """Return the key under which a model was drawn; None if there is no such file, or if it was cut."""
    try:
        return read_header(str(path)).get("KEY") if is_whole(path) else None
    except InputError:
        return None


def copy_custom(source: str, path: Path) -> None:
    """Check a user's model and copy it unchanged."""
    read_model(source)
    if path.exists() and path.read_bytes() == Path(source).read_bytes():
        return
    with atomic_path(path) as temporary:
        shutil.copyfile(source, temporary)
    record_work("custom", path.stem)
