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

from ..core.flags import Flag
from ..core.types import Footprint


@dataclass(frozen=True)
class EditedSegments:
    """The segmentation after edits.

    Parameters
    ----------
    segments : int array (ny, nx)
        0 = sky.
    flags : dict of ID to int
        Bits of `Flag` of the edited sources.
    warnings : list of str
        Messages for the user about regions that have no effect.
    """

    segments: np.ndarray
    flags: dict[int, int] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)


def edit_segments(
    segments: np.ndarray, merge: Iterable[Footprint], manual: Sequence[Footprint], second: Collection[int] = ()
) -> EditedSegments:
    """Return the automatic segmentation after merging segments and then adding manual sources.

    Parameters
    ----------
    segments : int array (ny, nx)
        Automatic segmentation, 0 = sky.
    merge : iterable of Footprint
        Footprints of merge_regions including partially touched pixels (`touch=True`).
    manual : sequence of Footprint
        Footprints of manual_regions in the order of the file (`keep_small=True`).
    second : collection of int
        IDs of the second detection, which do not count for the number of the first manual source.
    """
    labels = np.unique(segments)
    last = int(labels[~np.isin(labels, list(second))].max(initial=0))
    merged = merge_segments(segments, merge)
    added = add_manual(merged.segments, manual, last_id=last)
    flags = {i: merged.flags.get(i, 0) | added.flags.get(i, 0) for i in merged.flags | added.flags}
    return EditedSegments(added.segments, flags, merged.warnings + added.warnings)


def merge_segments(segments: np.ndarray, merge: Iterable[Footprint]) -> EditedSegments:
    """Return the segments after merging, for each region, all those that it touches under the lowest of their IDs.

    Regions that touch a common segment merge all segments of both, whatever their order. A region that touches only one
    segment has no effect; for one that touches none there is a warning.
    """
    result = segments.copy()
    survivors: set[int] = set()
    warnings = []
    for footprint in merge:
        touched = np.unique(result[footprint.box.slices][footprint.inside])
        touched = touched[touched > 0]
        if touched.size == 0:
            warnings.append(f"The merge region in line {footprint.region.line} touches no segment and has no effect.")
        if touched.size < 2:
            continue
        result[np.isin(result, touched[1:])] = touched[0]
        survivors -= {int(i) for i in touched[1:]}
        survivors.add(int(touched[0]))
    return EditedSegments(result, {i: int(Flag.MERGED_SEGMENTS) for i in sorted(survivors)}, warnings)


def add_manual(segments: np.ndarray, manual: Sequence[Footprint], *, last_id: int) -> EditedSegments:
    """Return the segments with one new source for each manual region; regions with the same text are one source.

    A new source takes all pixels of its regions, including those of other segments. But it does not remove a source: a
    segment that would lose all its pixels keeps them, with a warning, and the new source gets the remaining pixels.

    Parameters
    ----------
    segments : int array (ny, nx)
        0 = sky.
    manual : sequence of Footprint
        Footprints in the order of the file.
    last_id : int
        Largest ID of the automatic detection. New IDs are last_id + 1, last_id + 2, … in the order in which sources
        first appear in the file. A source without pixels on the image also uses an ID, so that the others keep theirs.
    """
    result = segments.copy()
    flags: dict[int, int] = {}
    warnings = []
    for new_id, group in enumerate(_sources(manual), start=last_id + 1):
        mask = np.zeros(result.shape, dtype=bool)
        for footprint in group:
            mask[footprint.box.slices] |= footprint.inside
        name = _region_name(group)
        protected = _fully_covered(result, mask)
        if protected.size:
            listed = ", ".join(str(i) for i in protected)
            warnings.append(
                f"The {name} covers all of source {listed}, which keeps its pixels. Move the region or make it smaller."
            )
            mask &= ~np.isin(result, protected)
        if not mask.any():
            warnings.append(f"The {name} has no free pixel on the image. Source {new_id} is not added.")
            continue
        result[mask] = new_id
        flags[new_id] = int(Flag.MANUAL_DETECTION)
    return EditedSegments(result, flags, warnings)


def _sources(manual: Sequence[Footprint]) -> list[list[Footprint]]:
    """Return the footprints of each source in the order of the file; regions without text are separate sources."""
    sources: dict[object, list[Footprint]] = {}
    for number, footprint in enumerate(manual):
        sources.setdefault(footprint.region.text.strip() or number, []).append(footprint)
    return list(sources.values())


def _region_name(group: list[Footprint]) -> str:
    text = group[0].region.text.strip()
    return f"manual region in line {group[0].region.line}" + (f" ({text})" if text else "")


def _fully_covered(segments: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Return the IDs of segments that lie entirely inside the mask."""
    inside = np.unique(segments[mask])
    inside = inside[inside > 0]
    if inside.size == 0:
        return inside
    return np.setdiff1d(inside, segments[np.isin(segments, inside) & ~mask])
