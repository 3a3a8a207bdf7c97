"""The stack minus what is fitted so far: det_stack-sub.fits before its time."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from ..core.types import Model
from ..field.fit_field import FitField
from ..fits.model_image import model_of
from ..io.images import write_image
from ..io.models import read_model
from ..models.subtraction import subtract_models
from ..plan.jobs import Jobs
from .field_state import missing_fits

LIVE_STACK = "imfit/det_stack-live.fits"


def write_live_stack(jobs: Jobs) -> tuple[Path, int, int]:
    """Write the stack minus the model of every source that is fitted with the settings and files of now.

    A group that waits for its second pass is subtracted as its first has left it. It reads what the workflow has
    made and writes one file of its own, whole or not at all: it may be called while a run goes on.

    Returns
    -------
    tuple of (Path, int, int)
        The file; how many sources are subtracted in it, and how many there are.
    """
    field, done = FitField(jobs.results, jobs.config.models.gain), [0]
    groups = dict(field.groups)
    missing = {which: set(missing_fits(jobs, which)) for which in ("first", "second")}

    def models() -> Iterator[tuple[int, Model, bool]]:
        for group, entry in groups.items():
            files = jobs.fits.user_files(group)
            which = next((w for w in ("second", "first") if group not in missing[w]), None)
            fit = None if which is None else field.result(group, which)
            for source in entry["members"]:
                custom = files.get(str(source), {}).get("custom")
                if custom or fit is not None:
                    done[0] += 1
                if custom:
                    yield source, read_model(custom["file"]), False
                elif fit is not None:
                    yield source, model_of(fit.member(source), field.wcs, jobs.config.models.oversampling), True

    residual = subtract_models(
        field.stack, field.engine, models(), error=field.error, segments=field.segments, mask=field.mask
    )
    path = jobs.results / LIVE_STACK
    total = sum(len(entry["members"]) for entry in groups.values())
    write_image(path, residual, wcs=field.wcs, header={"NFITTED": done[0], "NSOURCE": total})
    return path, done[0], total
