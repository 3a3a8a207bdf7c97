"""Edits of the automatic detection by the user: segments are merged and sources added with DS9 regions.

The automatic detection is not repeated. IDs are stable: a source that no region touches keeps its ID. Manual sources
are numbered from the largest ID of the first detection in the order of their file, so that a region added at its end
changes no ID.

No region removes a source here. A source that lies in the bad regions of all detection bands is not detected, because
`field.detection_mask` masks its pixels before the detection.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

from ..core.areas import extents
from ..core.flags import Flag
from ..core.strips import Workspace
from ..core.types import Box, Footprint, WindowedImage


@dataclass(frozen=True)
class EditedSegments:
    """The segmentation after edits.

    Parameters
    ----------
    segments : int32 image (ny, nx)
        0 = sky.
    flags : dict of ID to int
        Bits of `Flag` of the edited sources.
    warnings : list of str
        Messages for the user about regions that have no effect.
    """

    segments: WindowedImage
    flags: dict[int, int] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)


def edit_segments(
    segments: WindowedImage,
    merge: Iterable[Footprint],
    manual: Sequence[Footprint],
    second: Collection[int] = (),
    work: Workspace | None = None,
) -> EditedSegments:
    """Return the automatic segmentation after merging segments and then adding manual sources.

    Parameters
    ----------
    segments : int image (ny, nx)
        Automatic segmentation, 0 = sky.
    merge : iterable of Footprint
        Footprints of merge_regions including partially touched pixels (`touch=True`).
    manual : sequence of Footprint
        Footprints of manual_regions in the order of the file (`keep_small=True`).
    second : collection of int
        IDs of the second detection, which do not count for the number of the first manual source.
    work : Workspace, optional
    """
    work = work or Workspace()
    labels = extents(segments, work).ids
    last = int(labels[~np.isin(labels, list(second))].max(initial=0))
    merged = merge_segments(segments, merge, work)
    added = add_manual(merged.segments, manual, last_id=last, work=work)
    flags = {i: merged.flags.get(i, 0) | added.flags.get(i, 0) for i in merged.flags | added.flags}
    return EditedSegments(added.segments, flags, merged.warnings + added.warnings)


def merge_segments(
    segments: WindowedImage, merge: Iterable[Footprint], work: Workspace | None = None
) -> EditedSegments:
    """Return the segments after merging, for each region, all those that it touches under the lowest of their IDs.

    Regions that touch a common segment merge all segments of both, whatever their order. A region that touches only one
    segment has no effect; for one that touches none there is a warning.
    """
    work = work or Workspace()
    ids = extents(segments, work).ids
    merged_into = ids.copy()
    survivors: set[int] = set()
    warnings = []
    for footprint in merge:
        before = np.unique(segments[footprint.box.slices][footprint.inside])
        touched = np.unique(merged_into[np.searchsorted(ids, before[before > 0])])
        if touched.size == 0:
            warnings.append(f"The merge region in line {footprint.region.line} touches no segment and has no effect.")
        if touched.size < 2:
            continue
        merged_into[np.isin(merged_into, touched[1:])] = touched[0]
        survivors -= {int(i) for i in touched[1:]}
        survivors.add(int(touched[0]))
    result = work.new(segments.shape, np.int32)
    for strip in work.strips(segments.shape):
        part = segments[strip.slices]
        covered = part > 0
        merged = np.zeros(part.shape, dtype=np.int32)
        merged[covered] = merged_into[np.searchsorted(ids, part[covered])]
        result[strip.slices] = merged
    return EditedSegments(result, {i: int(Flag.MERGED_SEGMENTS) for i in sorted(survivors)}, warnings)


def add_manual(
    segments: WindowedImage, manual: Sequence[Footprint], *, last_id: int, work: Workspace | None = None
) -> EditedSegments:
    """Return the segments with one new source for each manual region; regions with the same text are one source.

    A new source takes all pixels of its regions, including those of other segments. But it does not remove a source: a
    segment that would lose all its pixels keeps them, with a warning, and the new source gets the remaining pixels.

    Parameters
    ----------
    segments : int image (ny, nx)
        0 = sky.
    manual : sequence of Footprint
        Footprints in the order of the file.
    last_id : int
        Largest ID of the automatic detection. New IDs are last_id + 1, last_id + 2, … in the order in which sources
        first appear in the file. A source without pixels on the image also uses an ID, so that the others keep theirs.
    work : Workspace, optional
    """
    work = work or Workspace()
    known = extents(segments, work)
    area = dict(zip(known.ids.tolist(), known.area.tolist(), strict=True))
    result = work.new(segments.shape, np.int32)
    for strip in work.strips(segments.shape):
        result[strip.slices] = segments[strip.slices]
    flags: dict[int, int] = {}
    warnings = []
    for new_id, group in enumerate(_sources(manual), start=last_id + 1):
        parts = _without_overlap(group)
        covered = _counted(result, parts)
        protected = [i for i in sorted(covered) if covered[i] == area[i]]
        name = _region_name(group)
        if protected:
            listed = ", ".join(str(i) for i in protected)
            warnings.append(
                f"The {name} covers all of source {listed}, which keeps its pixels. Move the region or make it smaller."
            )
        taken = 0
        for box, inside in parts:
            window = np.array(result[box.slices])
            inside = inside & ~np.isin(window, protected)
            taken += int(np.count_nonzero(inside))
            window[inside] = new_id
            result[box.slices] = window
        if not taken:
            warnings.append(f"The {name} has no free pixel on the image. Source {new_id} is not added.")
            continue
        for i in covered.keys() - set(protected):
            area[i] -= covered[i]
        area[new_id] = taken
        flags[new_id] = int(Flag.MANUAL_DETECTION)
    return EditedSegments(result, flags, warnings)


def _without_overlap(group: list[Footprint]) -> list[tuple[Box, np.ndarray]]:
    """Return the boxes of footprints that have pixels, and their pixels without those of the footprints before."""
    parts: list[tuple[Box, np.ndarray]] = []
    for footprint in group:
        inside = footprint.inside.copy()
        for box, other in parts:
            common = box & footprint.box
            if not common.is_empty:
                inside[common.within(footprint.box)] &= ~other[common.within(box)]
        if inside.any():
            parts.append((footprint.box, inside))
    return parts


def _counted(segments: WindowedImage, parts: list[tuple[Box, np.ndarray]]) -> dict[int, int]:
    """Return the number of pixels of each segment in parts of the image."""
    counts: dict[int, int] = {}
    for box, inside in parts:
        for i, count in zip(*np.unique(segments[box.slices][inside], return_counts=True), strict=True):
            if i > 0:
                counts[int(i)] = counts.get(int(i), 0) + int(count)
    return counts


def _sources(manual: Sequence[Footprint]) -> list[list[Footprint]]:
    """Return the footprints of each source in the order of the file; regions without text are separate sources."""
    sources: dict[object, list[Footprint]] = {}
    for number, footprint in enumerate(manual):
        sources.setdefault(footprint.region.text.strip() or number, []).append(footprint)
    return list(sources.values())


def _region_name(group: list[Footprint]) -> str:
    text = group[0].region.text.strip()
    return f"manual region in line {group[0].region.line}" + (f" ({text})" if text else "")
