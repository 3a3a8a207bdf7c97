"""The stack minus the models fitted so far: a preview of det_stack-sub.fits while the fits are running."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from ..core.errors import UnblendError
from ..core.types import Box, Model
from ..field.fit_field import FitField
from ..fits.model_image import model_of
from ..io.images import write_image
from ..io.models import read_model
from ..models.subtraction import subtract_models
from ..plan.jobs import Jobs
from .field_state import missing_fits

LIVE_STACK = "imfit/det_stack-live.fits"


def write_live_stack(jobs: Jobs) -> tuple[Path, int, int]:
    """Write the stack minus the model of every source whose fit is valid with the current settings and files.

    A group without a second pass is subtracted with the models of its first pass. Products of the workflow are only
    read, and the file is complete or not written at all, so this may be called during a run.

    Returns
    -------
    tuple of (Path, int, int)
        The file, the number of sources subtracted in it, and the number of all sources.

    Raises
    ------
    UnblendError
        The file cannot be written.
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

    residual = subtract_models(field.stack(Box.of_shape(field.shape)), field.engine, models(), field.flux_of)
    path = jobs.results / LIVE_STACK
    total = sum(len(entry["members"]) for entry in groups.values())
    try:
        write_image(path, residual, wcs=field.wcs, header={"NFITTED": done[0], "NSOURCE": total})
    except OSError as error:
        raise UnblendError(f"{path} cannot be written: it needs permission to write there, and space.") from error
    return path, done[0], total
