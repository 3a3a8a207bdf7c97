"""The keys of the fits: digests of everything that a pass of a fit group depends on."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ..core.large_field import is_large
from ..io.files import digest_of, read_json
from .batches import assign_batches
from .inputs import FieldInputs

UserFiles = dict[str, dict[str, Any]]
"""By ID: the override and the custom model of a source, where there are any."""

TEMPLATES, SUBTRACTION = "unblend/models/templates", "unblend/models/subtraction"
"""The fits need the two for custom models alone: an edit of them is no reason to fit all other groups again."""
DETAIL = ("unblend/fits/residual", "unblend/models/detail")
"""Only the models of poorly fitted sources depend on these two, which import most of the fits."""
RENDERING = "unblend/run/render_batch"
"""The job of the second pass renders the models, too; its fits do not depend on that."""


@dataclass
class _Grouping:
    """groups.json as it was read at `version` (modification time, size, inode), and what was derived from it."""

    version: tuple[int, ...]
    content: Mapping[str, Any]
    batches: Mapping[str, list[str]]
    batch_of: Mapping[str, str]
    first_keys: dict[str, str] = field(default_factory=dict)
    user_files: dict[str, UserFiles] = field(default_factory=dict)


class FitKeys:
    """Fit groups, batches and keys; to be asked only after the checkpoint `group_sources`.

    Parameters
    ----------
    inputs : FieldInputs
    """

    def __init__(self, inputs: FieldInputs):
        self.inputs, self.models, self.provenance = inputs, inputs.config.models, inputs.provenance
        # A plan asks some ten times for every group: the path is not built anew each time.
        self._path = str(inputs.results / "imfit" / "groups.json")
        self._read: _Grouping | None = None

    def _grouping(self) -> _Grouping:
        """Return groups.json, read again when the checkpoint has run again."""
        stat = os.stat(self._path)
        version = (stat.st_mtime_ns, stat.st_size, stat.st_ino)
        if self._read is None or self._read.version != version:
            content = read_json(self._path)
            boxes = {group: entry["box"] for group, entry in content["groups"].items()}
            batches = assign_batches(boxes, (content["shape"][0], content["shape"][1]), self.models.batch_size)
            batch_of = {group: name for name, groups in batches.items() for group in groups}
            self._read = _Grouping(version, content, batches, batch_of)
        return self._read

    @property
    def groups(self) -> Mapping[str, Any]:
        """The fit groups by the ID of their main source."""
        return self._grouping().content["groups"]

    @property
    def batches(self) -> Mapping[str, list[str]]:
        """The fit groups of each batch."""
        return self._grouping().batches

    @property
    def files_on_request(self) -> bool:
        """Whether IMFIT's files are written on request alone, and plain models on coarse pixels."""
        return is_large(self._grouping().content["shape"])

    def neighbouring_batches(self, batch: str) -> list[str]:
        """Return the batches whose first pass the second pass of `batch` needs, its own included."""
        grouping = self._grouping()
        return sorted({batch} | {grouping.batch_of[group] for group in self.neighbours(batch)}, key=int)

    def neighbours(self, batch: str) -> set[str]:
        """Return the neighbours of all groups of a batch."""
        return {str(n) for group in self.batches[batch] for n in self.groups[group]["neighbours"]}

    def user_files(self, group: str) -> UserFiles:
        """Return the overrides and custom models of a group's members, by ID."""
        grouping = self._grouping()
        if group not in grouping.user_files:
            found: UserFiles = {}
            for member in grouping.content["groups"][group]["members"]:
                override = self.inputs.path(f"{self.models.overrides_dir}/{member}.dat")
                custom = self.inputs.path(f"{self.models.custom_dir}/{member}.fits")
                kinds = {"override": self.inputs.record(override), "custom": self.inputs.record(custom)}
                given = {kind: file for kind, file in kinds.items() if file["digest"] is not None}
                if given:
                    found[str(member)] = given
            grouping.user_files[group] = found
        return grouping.user_files[group]

    def first(self, group: str) -> str:
        """Return the key of the first pass of a group."""
        grouping = self._grouping()
        if group not in grouping.first_keys:
            files = {i: {k: f["digest"] for k, f in kinds.items()} for i, kinds in self.user_files(group).items()}
            key = [self._common(grouping), grouping.content["groups"][group]["digest"], files]
            # A fit works in pixels; only a custom model is placed by its WCS, as a template.
            if any("custom" in kinds for kinds in files.values()):
                key += [grouping.content["grid"], self.provenance.code(SUBTRACTION)]
            grouping.first_keys[group] = digest_of(key)
        return grouping.first_keys[group]

    def _common(self, grouping: _Grouping) -> str:
        # Without the time limit: only the fits that ran into it depend on it, which their files record.
        settings = {"gain": self.models.gain, "components": self.models.components}
        code = self.provenance.code("fit_first_pass", TEMPLATES, SUBTRACTION)
        return digest_of([grouping.content["psf"], settings, code])

    def second(self, group: str) -> str:
        """Return the key of the second pass of a group; it depends on the first pass of its neighbours."""
        neighbours = sorted(self.groups[group]["neighbours"])
        keys = [self.first(group), *(self.first(str(n)) for n in neighbours)]
        smoothing = self._grouping().content.get("smoothing", 0.0)
        code = self.provenance.code("fit_second_pass", TEMPLATES, SUBTRACTION, RENDERING)
        files = ["files on request"] if self.files_on_request else []
        return digest_of([*keys, smoothing, self.models.refine, code, *files])

    def of_pass(self, which: str, group: str) -> str:
        """Return the key of a pass, "first" or "second", of a group."""
        return {"first": self.first, "second": self.second}[which](group)

    @property
    def rendering(self) -> str:
        """The digest of what a rendered model depends on besides its fit."""
        settings = [self._grouping().content["grid"], self.models.oversampling, self.models.detail]
        settings += ["coarse"] if self.files_on_request else []
        return digest_of([settings, self.provenance.code("unblend/fits/model_image", *DETAIL)])

    @property
    def detail(self) -> str:
        """The digest of the code that makes details."""
        return digest_of([self.provenance.code(name) for name in DETAIL])

    def rendered(self, group: str) -> str:
        """Return the key of the rendered models of a group."""
        return digest_of([self.second(group), self.rendering, self.detail])
