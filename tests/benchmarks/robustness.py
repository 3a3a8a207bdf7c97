"""Thousands of mutated inputs of every kind, and what the program makes of them: `make robustness`.

Writes the table of docs/robustness.md; what is neither right nor a sentence is printed with its input.
"""

from __future__ import annotations

import argparse
import logging
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from hypothesis import HealthCheck, Verbosity, given, settings

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "scripts"), str(ROOT / "tests")]

from mutations import HANG, KINDS, RIGHT, SENTENCE, TRACEBACK, WRONG, judge  # noqa: E402

VERDICTS = (RIGHT, SENTENCE, TRACEBACK, HANG, WRONG)
BEGIN, END = "<!-- table -->\n", "<!-- end of the table -->\n"


def count(kind: str, number: int) -> Counter[str]:
    """Judge `number` mutated inputs of a kind, print the faults, and return how many there are of each verdict."""
    counts: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as folder:

        @settings(max_examples=number, database=None, deadline=None, suppress_health_check=list(HealthCheck),
                  verbosity=Verbosity.quiet)  # fmt: skip
        @given(case=KINDS[kind][0])
        def check(case: object) -> None:
            verdict, why = judge(kind, case, Path(folder))
            counts[verdict] += 1
            if verdict not in (RIGHT, SENTENCE):
                print(f"{kind}: {verdict}: {why}\n    {case!r:.2000}", flush=True)

        check()
    return counts


def table(found: dict[str, Counter[str]]) -> str:
    """Return the counts as a table."""
    lines = ["| input | tried | " + " | ".join(VERDICTS) + " |", "|---" * (len(VERDICTS) + 2) + "|"]
    for kind, counts in found.items():
        cells = [str(counts[verdict]) for verdict in VERDICTS]
        lines.append(f"| {kind} | {counts.total()} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Judge, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("number", type=int, nargs="?", default=1250, help="mutated inputs of each kind")
    parser.add_argument("--page", type=Path, default=ROOT / "docs/robustness.md")
    arguments = parser.parse_args()
    logging.disable(logging.CRITICAL)
    found, began = {}, time.monotonic()
    for kind in KINDS:
        found[kind] = count(kind, arguments.number)
        print(f"{kind}: {dict(found[kind])}, {time.monotonic() - began:.0f} s", flush=True)
    before, _, rest = arguments.page.read_text().partition(BEGIN)
    arguments.page.write_text(before + BEGIN + table(found) + END + rest.partition(END)[2])
    print(table(found))


if __name__ == "__main__":
    main()
