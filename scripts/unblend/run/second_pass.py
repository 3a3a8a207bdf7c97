"""The second pass of a fit group: its pixels, its fit, and IMFIT's files of it, written with the fit or on request."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any

from ..core.errors import InputError
from ..field.fit_field import FitField
from ..field.fit_folder import remove_group_files, write_group_files
from ..fits.fit_settings import FitSettings
from ..fits.group_data import GroupData
from ..fits.passes import fit_second_pass, with_structure
from ..fits.result import GroupFit
from ..io.files import digest_of, read_json
from .workers import run_tasks


class SecondPass:
    """Fits the groups of a batch, starting from their first pass.

    Parameters
    ----------
    field : FitField
    spec : mapping
        The spec of the job: `groups`, with the user's files of each; `neighbour_files`; `refine`; `on_request`:
        whether IMFIT's files are written on request alone.
    """

    def __init__(self, field: FitField, spec: Mapping[str, Any]):
        self.field, self.spec = field, spec

    def data(self, group: str) -> GroupData:
        """Return the pixels of a group, the first-pass models of its neighbours subtracted."""
        found = self.field.data(group, self.spec["groups"][group]["user_files"])
        return self.field.less_neighbours(found, group, self.spec["neighbour_files"])

    def fit(self, group: str) -> GroupFit:
        """Return the fit of a group with the pixels that it has used, and IMFIT's beside it if files are written."""
        return self._fitted(group, imfit=not self.spec["on_request"])

    def _fitted(self, group: str, *, imfit: bool) -> GroupFit:
        first = self.field.result(group, "first")
        settings = FitSettings(refine=self.spec["refine"], imfit=imfit)
        pixels = with_structure(self.data(group), self.field.psf_of(group), first)
        return fit_second_pass(pixels, self.field.psf_of(group), first, settings)

    def write(self, group: str, fit: GroupFit) -> None:
        """Write IMFIT's files of a fit; where they are written on request, delete those of an earlier fit."""
        if self.spec["on_request"]:
            remove_group_files(self.field.folder / group)
        else:
            self._write_files(group, fit)

    def write_again(self, group: str) -> None:
        """Write IMFIT's files of a stored fit.

        The group is fitted again, because IMFIT's own result is not stored. Where that does not give the stored fit, as
        for one that exceeded its time, the files are those of the stored fit alone.
        """
        stored = self.field.result(group, "second")
        ((_, found),) = run_tasks(lambda name: self._fitted(name, imfit=True), [group], self.spec["timeout_s"])
        is_same = isinstance(found, GroupFit) and _content(found) == _content(stored)
        self._write_files(group, found if is_same else stored)

    def _write_files(self, group: str, fit: GroupFit) -> None:
        """Write IMFIT's files of a fit."""
        pixels, folder = fit.data or self.data(group), self.field.folder / group
        write_group_files(folder, pixels, self.field.psf_of(group), fit, sky=self.field.sky_cards)


def _content(fit: GroupFit) -> str:
    """Return the models of a fit: all that is stored of it but for IMFIT's chi2 and the effort."""
    return digest_of(replace(fit, data=None, by_imfit=None, seconds=0.0, chi2=0.0, solver="", evaluations=0).to_dict())


def passes_by_group(field: FitField, groups: Collection[str]) -> dict[str, SecondPass]:
    """Return the second pass of each of some groups, as its job has made it.

    Raises
    ------
    InputError
        One of them has not been fitted.
    """
    found: dict[str, SecondPass] = {}
    for path in sorted(field.results.glob("specs/fit_second_pass/*/spec.json")):
        batch = SecondPass(field, read_json(path))
        found |= {group: batch for group in batch.spec["groups"] if group in groups}
    missing = [group for group in groups if group not in found or not field.path(group, "second").exists()]
    if missing:
        raise InputError(f"the group of source {missing[0]} is not fitted yet; run the workflow first.")
    return found
