"""What the files of the bands are, a line for each band, for `./unblend check`."""

from __future__ import annotations

from collections.abc import Callable

from ..core.errors import InputError, UnblendError
from .jobs import Jobs


def describe_bands(jobs: Jobs, describe: Callable[[str], str | None], what: str) -> list[str]:
    """Return a line on each band whose image is there: that of a mosaic is cut out by a job.

    Parameters
    ----------
    jobs : Jobs
    describe : callable
        Returns the line on the band of a name, None for a band without one.
    what : str
        What is described, for the error.

    Raises
    ------
    InputError
        With every `UnblendError` of a band on a line of its own.
    """
    lines, mistakes = [], []
    for name, band in jobs.config.bands.items():
        if band.mosaic is not None:
            continue
        try:
            line = describe(name)
        except UnblendError as error:
            mistakes.append(str(error))
            continue
        lines += [line] if line else []
    if mistakes:
        raise InputError(f"{what} have mistakes:\n  " + "\n  ".join(mistakes))
    return lines
