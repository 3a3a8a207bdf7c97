"""Numbers of things as text, and how often values occur."""

from collections import Counter

import numpy as np


def count(number: int, noun: str) -> str:
    """Return "1 job", "2 jobs"."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def add_occurrences(counts: Counter, values: np.ndarray) -> None:
    """Add to `counts` how often each value occurs in an array; its keys are numbers of Python."""
    distinct, number = np.unique(values, return_counts=True)
    counts.update(dict(zip(distinct.tolist(), number.tolist(), strict=True)))
