"""How fit groups are dealt out to jobs. The result of a fit never depends on it."""

from __future__ import annotations

from collections.abc import Sequence

GROUPS_PER_BATCH = 256
"""A fit takes a tenth to a quarter of a second in each pass: some 40 s of work, shared by the cores of the job, against
1 s that a job needs to start. 1000 sources are 4 batches, which keep 16 cores busy for ten seconds."""


def assign_batches(groups: Sequence[str], batch_size: int | str = "auto") -> dict[str, list[str]]:
    """Return the groups (names are numbers, low ones bright and slow) of each batch, by the batch's number.

    The number of batches is a power of two and a group's batch is its name modulo that number: a new group moves
    no other one, bright groups are spread evenly, and edits seldom change the number.
    """
    if batch_size == 1:
        return {group: [group] for group in groups}
    size = GROUPS_PER_BATCH if batch_size == "auto" else int(batch_size)
    count = 1
    while count * size < len(groups):
        count *= 2
    batches: dict[str, list[str]] = {}
    for group in sorted(groups, key=int):
        batches.setdefault(str(int(group) % count), []).append(group)
    return batches
