"""The models of a group whose fit crashed or exceeded its time limit: those of its first pass, or from moments."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ..core.flags import Flag
from ..field.fit_field import FitField
from ..field.fit_folder import remove_group_files
from ..fits.group_data import GroupData
from ..fits.passes import first_pass_as_final, replacement_fit, with_flag
from ..fits.result import GroupFit
from .fit_batch import FROM_MOMENTS, Fallback

FROM_FIRST_PASS = "its models are those of the first pass"


def models_from_moments(field: FitField, user_files: Mapping[str, Any], group: str, timed_out: bool) -> GroupFit:
    """Return the models from moments of a group.

    Parameters
    ----------
    field : FitField
    user_files : mapping
        The user's files of the group.
    group : str
        Its main source.
    timed_out : bool
        Whether the fit exceeded its time limit, for the flag.
    """
    flag = Flag.FIT_TIMED_OUT if timed_out else Flag(0)
    return replacement_fit(field.data(group, user_files), field.psf_of(group), field.overrides(user_files), flag=flag)


def fallbacks_of_first_pass(field: FitField, spec: Mapping[str, Any]) -> list[Fallback]:
    """Return the fallback of a first pass: the models from moments."""

    def from_moments(group: str, timed_out: bool) -> GroupFit:
        return models_from_moments(field, spec["groups"][group]["user_files"], group, timed_out)

    return [Fallback(FROM_MOMENTS, from_moments)]


def fallbacks_of_second_pass(
    field: FitField,
    spec: Mapping[str, Any],
    data: Callable[[str], GroupData],
    write: Callable[[str, GroupFit], None],
) -> list[Fallback]:
    """Return the fallbacks of a second pass, best first: the first pass if it has converged, else models from moments.

    IMFIT computes the covariance, the chi2 and the images among its files. If it crashes or exceeds its time limit
    again, the next fallback omits them.

    Parameters
    ----------
    field : FitField
    spec : mapping
        The spec of the job.
    data : callable
        Returns the pixels of a group, neighbours subtracted.
    write : callable
        Writes IMFIT's files of a group.
    """

    def plain(group: str, timed_out: bool) -> GroupFit:
        first = field.result(group, "first")
        if not first.converged:
            return models_from_moments(field, spec["groups"][group]["user_files"], group, timed_out)
        return with_flag(first, _flag(timed_out))

    def evaluated(group: str, timed_out: bool) -> GroupFit:
        first = field.result(group, "first")
        fit = plain(group, timed_out)
        if first.converged:
            fit = first_pass_as_final(data(group), field.psf_of(group), first, _flag(timed_out))
        write(group, fit)
        return fit

    def with_files(group: str, timed_out: bool) -> GroupFit:
        fit = plain(group, timed_out)
        write(group, fit)
        return fit

    def without_files(group: str, timed_out: bool) -> GroupFit:
        remove_group_files(field.folder / group)
        return plain(group, timed_out)

    return [
        Fallback(FROM_FIRST_PASS, evaluated),
        Fallback(f"{FROM_FIRST_PASS}, without a covariance", with_files),
        Fallback(f"{FROM_FIRST_PASS}, without a covariance and IMFIT's files", without_files),
    ]


def _flag(timed_out: bool) -> Flag:
    """Return the flag of a first-pass fit that replaces the second."""
    return Flag.FIT_TIMED_OUT if timed_out else Flag.FIT_RETRIED
