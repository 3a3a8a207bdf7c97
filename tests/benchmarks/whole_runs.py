"""Whole runs of a small field with a mutated input, a part of `make robustness`; the table of docs/robustness.md."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "scripts"), str(ROOT / "tests"), str(ROOT / "tests/integration")]

import smallfield  # noqa: E402
from harness import Field, copy_program  # noqa: E402
from whole_run_mutations import MUTATIONS, VERDICTS, judge_run  # noqa: E402

BEGIN, END = "<!-- table of whole runs -->\n", "<!-- end of the table of whole runs -->\n"


def table(found: dict[str, tuple[str, str]]) -> str:
    """Return the number of runs of each kind of input and verdict as a table."""
    kinds = list(dict.fromkeys(name.partition(":")[0] for name in found))
    lines = ["| input | runs | " + " | ".join(VERDICTS) + " |", "|---" * (len(VERDICTS) + 2) + "|"]
    for kind in kinds:
        verdicts = [verdict for name, (verdict, _) in found.items() if name.partition(":")[0] == kind]
        lines.append(f"| {kind} | {len(verdicts)} | {' | '.join(str(verdicts.count(each)) for each in VERDICTS)} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Run, judge, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "words", nargs="*", help="only mutations whose names contain one of these words, also if judged before"
    )
    parser.add_argument("--page", type=Path, default=ROOT / "docs/robustness.md")
    parser.add_argument(
        "--folder",
        type=Path,
        help="where the field is run, and verdicts.json kept: a run that was interrupted "
        "goes on; by default a temporary folder",
    )
    arguments = parser.parse_args()
    names = [name for name in MUTATIONS if not arguments.words or any(word in name for word in arguments.words)]
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.folder or Path(temporary)
        clean = Field(folder / "clean")
        if not (clean / "results/report/index.html").exists():
            smallfield.write(clean.folder)
            copy_program(clean.folder)
            clean.run()
        store = folder / "verdicts.json"
        found = json.loads(store.read_text()) if store.exists() else {}
        for name in names:
            if not arguments.words and name in found:
                continue
            began, field = time.monotonic(), Field(folder / "mutated")
            subprocess.run(["rm", "-rf", str(field.folder)], check=True)
            subprocess.run(["cp", "-a", str(clean.folder), str(field.folder)], check=True)
            found[name] = judge_run(field, clean, name)
            store.write_text(json.dumps(found, indent=1))
            print(f"{name}: {': '.join(found[name])} [{time.monotonic() - began:.0f} s]", flush=True)
    found = {name: found[name] for name in MUTATIONS if name in found}
    print(table(found))
    if len(found) == len(MUTATIONS):
        before, _, rest = arguments.page.read_text().partition(BEGIN)
        arguments.page.write_text(before + BEGIN + table(found) + END + rest.partition(END)[2])


if __name__ == "__main__":
    main()
