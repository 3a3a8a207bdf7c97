"""The user's word over the automatic detection: segments merged, sources added by hand.

The automatic pass is not repeated. IDs are stable: a source that no region touches keeps its ID, and manual sources are
numbered after the largest automatic ID in the order of their file, so that a circle added below renames nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

from ..core.flags import Flag
from ..core.nouns import Footprint


@dataclass(frozen=True)
class EditedSegments:
    """Segments after the edits, the bits of `flags.Flag` of each edited source, and what a user should read."""

    segments: np.ndarray
    flags: dict[int, int] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)


def edit_segments(segments: np.ndarray, merge: Iterable[Footprint], manual: Sequence[Footprint]) -> EditedSegments:
    """Return the automatic segmentation with first the merges, then the manual sources applied.

    Parameters
    ----------
    segments : int array (ny, nx)
        The automatic pass: 0 = sky.
    merge : iterable of Footprint
        Of merge_regions, with partially touched pixels (`touch=True`).
    manual : sequence of Footprint
        Of manual_regions, in the order of the file, small ones kept (`keep_small=True`).
    """
    last = int(segments.max())
    merged = merge_segments(segments, merge)
    added = add_manual(merged.segments, manual, last_id=last)
    flags = {i: merged.flags.get(i, 0) | added.flags.get(i, 0) for i in merged.flags | added.flags}
    return EditedSegments(added.segments, flags, merged.warnings + added.warnings)


def merge_segments(segments: np.ndarray, merge: Iterable[Footprint]) -> EditedSegments:
    """Return the segments with all those that one region touches made one: the lowest ID stays.

    Regions that share a segment join all of theirs, in whatever order they come. A region that touches fewer than two
    segments changes nothing, with a warning where it touches none.
    """
    result = segments.copy()
    survivors: set[int] = set()
    warnings = []
    for footprint in merge:
        touched = np.unique(result[footprint.box.slices][footprint.inside])
        touched = touched[touched > 0]
        if touched.size == 0:
            warnings.append(f"The merge region of line {footprint.region.line} touches no segment: nothing is merged.")
        if touched.size < 2:
            continue
        result[np.isin(result, touched[1:])] = touched[0]
        survivors -= {int(i) for i in touched[1:]}
        survivors.add(int(touched[0]))
    return EditedSegments(result, {i: int(Flag.MERGED_SEGMENTS) for i in sorted(survivors)}, warnings)


def add_manual(segments: np.ndarray, manual: Sequence[Footprint], *, last_id: int) -> EditedSegments:
    """Return the segments with one new source per manual region, regions of the same text being one source.

    The source takes all pixels of its regions, also those of other segments: the user's word wins. But no source is
    wiped out: a segment that would lose its last pixel keeps all it has, with a warning, and the new source is what is
    left.

    Parameters
    ----------
    segments : int array (ny, nx)
        0 = sky.
    manual : sequence of Footprint
        In the order of the file.
    last_id : int
        Largest ID of the automatic pass: new IDs are last_id + 1, + 2, ... by first appearance of each source in the
        file. A source without any pixel on the image uses up its ID all the same, so that others keep theirs.
    """
    result = segments.copy()
    flags: dict[int, int] = {}
    warnings = []
    for new_id, group in enumerate(_sources(manual), start=last_id + 1):
        mask = np.zeros(result.shape, dtype=bool)
        for footprint in group:
            mask[footprint.box.slices] |= footprint.inside
        name = _name(group)
        protected = _wiped_out(result, mask)
        if protected.size:
            listed = ", ".join(str(i) for i in protected)
            warnings.append(
                f"The {name} covers source {listed} wholly, which keeps its pixels; move or shrink the region."
            )
            mask &= ~np.isin(result, protected)
        if not mask.any():
            warnings.append(f"The {name} has no pixel on the image or none of its own: source {new_id} is not made.")
            continue
        result[mask] = new_id
        flags[new_id] = int(Flag.MANUAL_DETECTION)
    return EditedSegments(result, flags, warnings)


def _sources(manual: Sequence[Footprint]) -> list[list[Footprint]]:
    """Return the footprints of each source, by first appearance; regions without text stand alone."""
    sources: dict[object, list[Footprint]] = {}
    for number, footprint in enumerate(manual):
        sources.setdefault(footprint.region.text.strip() or number, []).append(footprint)
    return list(sources.values())


def _name(group: list[Footprint]) -> str:
    text = group[0].region.text.strip()
    return f"manual region of line {group[0].region.line}" + (f" ({text})" if text else "")


def _wiped_out(segments: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Return the IDs that have pixels inside the mask and none outside."""
    inside = np.unique(segments[mask])
    inside = inside[inside > 0]
    if inside.size == 0:
        return inside
    return np.setdiff1d(inside, segments[np.isin(segments, inside) & ~mask])
