"""The detection stack as the fits see it: cutouts of groups, the user's overrides and models, results of passes."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..core.errors import InputError
from ..core.field_psf import FieldPsf
from ..core.statistics import with_source_noise
from ..core.types import Box, Template, cut
from ..fits.fit_psf import fit_psf_at
from ..fits.group_data import GroupData
from ..fits.overrides import Override, parse_override
from ..fits.passes import evaluate_members
from ..fits.result import GroupFit
from ..fits.sky_level import SkyLevel
from ..io.files import read_json, read_text, write_json
from ..io.images import read_label_window, read_shape, read_sky_cards, read_wcs, read_window
from ..io.models import read_model
from ..io.psfs import read_psf
from ..models.subtraction import flux_in_segment
from ..models.templates import TemplateEngine
from .stack_noise import typical_noise
from .stored_fits import PASSES, Stamp, cut_files, first_pass_limits, key_with_limits

if TYPE_CHECKING:
    from astropy.wcs import WCS

log = logging.getLogger(__name__)


class FitField:
    """Everything that the fits of a field read.

    Parameters
    ----------
    results : Path
        Folder of the products.
    gain : float or None
        Electrons per unit of the stack: adds the noise of the sources' own light; None adds none.
    """

    def __init__(self, results: Path, gain: float | None = None):
        self.results, self.folder, self.gain = results, results / "imfit", gain

    @cached_property
    def _grouping(self) -> Mapping[str, Any]:
        """The content of groups.json."""
        return read_json(self.folder / "groups.json")

    @property
    def groups(self) -> Mapping[str, Any]:
        """The fit groups, by main source."""
        return self._grouping["groups"]

    @property
    def smoothing(self) -> float:
        """Width in pixels of the Gaussian that has smoothed the noise of the stack; 0: white."""
        return float(self._grouping.get("smoothing", 0.0))

    @cached_property
    def psf(self) -> FieldPsf:
        """The PSF of the fits at every place: image pixels, without the pixel's response."""
        return read_psf(str(self.folder / "psf.fits"))[0]

    def psf_of(self, group: str) -> np.ndarray:
        """Return the PSF of the fit of a group: that of the middle of its cutout."""
        return fit_psf_at(self.psf, *self.box(group).centre)

    @cached_property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of the stack."""
        return read_shape(str(self.results / "det_stack.fits"))

    def stack(self, box: Box) -> np.ndarray:
        """Return the detection stack inside a box, NaN beyond it; as the others below, it reads no other pixels."""
        return read_window(str(self.results / "det_stack.fits"), box)

    def error(self, box: Box) -> np.ndarray:
        """Return the noise of the stack per pixel; with a gain, that of the sources' own light included."""
        error = read_window(str(self.results / "det_error.fits"), box)
        if self.gain is None:
            return error
        return with_source_noise(error, self.stack(box), self.gain, self._typical_noise)

    @cached_property
    def _typical_noise(self) -> float | None:
        """The noise of a typical pixel of the stack, where the gain holds."""
        return typical_noise(self.results / "det_stack.fits")

    def segments(self, box: Box) -> np.ndarray:
        """Return the segments after the edits; 0 beyond the stack."""
        return read_label_window(str(self.results / "det_seg.fits"), box, 0)

    def mask(self, box: Box) -> np.ndarray:
        """Return where the fits ignore a pixel, and True beyond the stack."""
        return read_label_window(str(self.folder / "mask.fits"), box, 1) != 0

    @cached_property
    def wcs(self) -> WCS:
        """The WCS of the stack."""
        return read_wcs(str(self.results / "det_stack.fits"))

    @cached_property
    def sky_cards(self) -> Mapping[str, object]:
        """The cards that place the stack on the sky, for the headers of cutouts."""
        return read_sky_cards(str(self.results / "det_stack.fits"))

    @cached_property
    def engine(self) -> TemplateEngine:
        """Makes templates on the stack, for models that are images."""
        return TemplateEngine(self.wcs, self.shape, self.psf)

    def load(self) -> None:
        """Read what every fit needs: done before workers are forked, they share it."""
        self.groups, self.psf, self.shape  # noqa: B018

    def model_path(self, source: int) -> Path:
        """Return the file of a source's un-convolved model."""
        return self.folder / "models" / f"{source}.fits"

    def box(self, group: str) -> Box:
        """Return the cutout of a group."""
        return Box(*self.groups[group]["box"])

    def data(self, group: str, user_files: Mapping[str, Any]) -> GroupData:
        """Return the pixels of a group, the light of the user's own models and the slope of the sky subtracted."""
        box = self.box(group)
        sky = SkyLevel.from_list(around) if (around := self.groups[group].get("sky")) else None
        custom = [int(i) for i, kinds in user_files.items() if "custom" in kinds]
        members = tuple(i for i in self.groups[group]["members"] if i not in custom)
        image = self.stack(box) if sky is None else self.stack(box) - sky.tilt(box)
        for i in custom:
            image = image - self.custom_light(i, user_files[str(i)]["custom"]["file"], box)
        return GroupData(
            box=box,
            image=image,
            error=self.error(box),
            segments=self.segments(box),
            members=members,
            subtracted=tuple(custom),
            mask=self.mask(box),
            smoothing=self.smoothing,
            sky_around=sky,
        )

    def custom_light(self, source: int, path: str, box: Box) -> np.ndarray:
        """Return the light of a custom model in `box`: its template, scaled to the pixels of its own segment.

        Parameters
        ----------
        source : int
            ID of the source.
        path : str
            The file of the custom model.
        box : Box
            Part of the stack; the light is an array of its shape.
        """
        template = self.engine.template(source, read_model(path))
        return cut(self.flux_of(template) * template.data, box, 0.0, outer=template.box)

    def flux_of(self, template: Template) -> float:
        """Return the flux of a template of unit flux in its segment, see `flux_in_segment`."""
        parts = (read(template.box) for read in (self.stack, self.error, self.segments, self.mask))
        return flux_in_segment(template, *parts)

    def less_neighbours(self, data: GroupData, group: str, user_files: Mapping[str, Any]) -> GroupData:
        """Return the pixels of a group with the first-pass models of its neighbours subtracted.

        Parameters
        ----------
        data : GroupData
            The pixels of the group.
        group : str
            The name of the group.
        user_files : mapping
            Overrides and custom models of the neighbours' members, by ID.
        """
        image = data.image
        for neighbour in map(str, self.groups[group]["neighbours"]):
            fit = self.result(neighbour, "first")
            image = image - evaluate_members(fit, self.psf_of(neighbour), data.box)
            for i in self.groups[neighbour]["members"]:
                if "custom" in user_files.get(str(i), {}):
                    image = image - self.custom_light(i, user_files[str(i)]["custom"]["file"], data.box)
        return replace(data, image=image)

    def overrides(self, user_files: Mapping[str, Any]) -> dict[int, Override]:
        """Return the user's overrides of a group by ID."""
        found = {}
        for i, kinds in user_files.items():
            if "override" in kinds and "custom" not in kinds:
                path = kinds["override"]["file"]
                override = parse_override(read_text(path), path)
                if override is not None:
                    found[int(i)] = override
        return found

    def group_of(self, source: int) -> str:
        """Return the fit group of a source.

        Raises
        ------
        InputError
            There are no fits yet, or no such source.
        """
        try:
            groups = self.groups
        except OSError:
            raise InputError(f"{self.folder} contains no fits yet; run the workflow first.") from None
        found = next((name for name, group in groups.items() if source in group["members"]), None)
        if found is None:
            ids = sorted(i for group in groups.values() for i in group["members"])
            known = f"IDs run from {ids[0]} to {ids[-1]} (results/det_cat.reg)" if ids else "the field has no sources"
            raise InputError(f"there is no source {source}; {known}.")
        return found

    def path(self, group: str, which: str) -> Path:
        """Return the file of a pass ("first", "second") of a group."""
        return self.folder / group / PASSES[which]

    def is_current(self, group: str, which: str, key: str, timeout_s: float = 0.0) -> bool:
        """Return whether the stored fit of a group holds, and no file that is written with it was cut.

        Parameters
        ----------
        group : str
            Its main source.
        which : {"first", "second"}
            The pass.
        key : str
            Digest of what the fit depends on.
        timeout_s : float
            Time limit of the fits, seconds of processor time: a fit that ran into a lower one does not hold.
        """
        try:
            content = read_json(self.path(group, which))
            stamp = Stamp(content["key"], content.get("timed_out_at_s"))
        except (OSError, ValueError, KeyError):
            return False
        cut = cut_files(self.folder / group, self.groups[group]["members"]) if which == "second" else []
        for path in cut:
            log.info("%s was cut and is written again", path)
        return not cut and stamp.holds(self._stored_key(group, which, key), timeout_s)

    def result(self, group: str, which: str) -> GroupFit:
        """Return the stored fit of a pass of a group.

        Raises
        ------
        InputError
            Its file is damaged.
        """
        path = self.path(group, which)
        try:
            return GroupFit.from_dict(read_json(path)["fit"])
        except (ValueError, KeyError, TypeError) as error:
            raise InputError(f"{path}: this stored fit is damaged; delete the file and run again.") from error

    def keep(self, group: str, which: str, key: str, fit: GroupFit, timed_out_at_s: float | None = None) -> None:
        """Store the fit of a pass.

        Parameters
        ----------
        group : str
            Its main source.
        which : {"first", "second"}
            The pass.
        key : str
            Digest of what the fit depends on.
        fit : GroupFit
            The result.
        timed_out_at_s : float or None
            Seconds of processor time that the fit has exceeded.
        """
        stamp = Stamp(self._stored_key(group, which, key), timed_out_at_s)
        write_json(self.path(group, which), {"fit": fit.to_dict(), **stamp.content()})

    def _stored_key(self, group: str, which: str, key: str) -> str:
        """Return the key under which a pass is stored."""
        if which == "first":
            return key
        needed = [group, *map(str, self.groups[group]["neighbours"])]
        return key_with_limits(key, first_pass_limits(self.folder, needed))

    def remove_temporary_files(self, group: str) -> None:
        """Delete the temporary files of a killed process from the folder of a group."""
        for folder in (self.folder / group, self.folder / group / "indiv"):
            for path in folder.glob(".*.*"):
                path.unlink(missing_ok=True)
