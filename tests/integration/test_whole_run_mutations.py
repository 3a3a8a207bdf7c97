"""The judge of the whole runs of `make robustness`, on tables."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from whole_run_mutations import compare


def test_the_judge_knows_wrong_fluxes_flags_and_lost_sources() -> None:
    columns = ("flux_sharp", "err_sharp", "flux_blurred", "err_blurred")
    types = [("id", "i4"), ("ra", "f8"), ("dec", "f8"), ("flag_sharp", "i4"), ("flag_blurred", "i4")]
    clean = np.zeros(2, dtype=types + [(name, "f8") for name in columns])
    clean["id"], clean["dec"] = [1, 2], [2.0, 2.1]
    clean["flux_sharp"] = clean["flux_blurred"] = 100.0
    clean["err_sharp"], clean["err_blurred"] = 3.0, 2.5
    found = clean.copy()
    found["flux_sharp"], found["flux_blurred"], found["err_blurred"] = 100.9, 109.0, [3.1, 2.9]
    assert compare(found, clean) == (["blurred 2: 109 ± 2.9 for 100"], [])
    found["flag_blurred"] = 4
    assert compare(found, clean) == ([], ["blurred 2: 109 ± 2.9 for 100"])
    clean["flag_blurred"] = 4
    assert len(compare(found, clean)[0]) == 1  # the flag was there before
    found["flux_sharp"] = np.nan
    assert len(compare(found, clean)[0]) == 3
    clean["flag_blurred"] = 0
    found = clean.copy()
    found["err_sharp"][0] = 6.1  # an error that a mistake has swollen
    assert compare(found, clean) == (["sharp 1: 100 ± 6.1 for 100"], [])
    assert compare(found, clean, growth=3.0) == ([], [])
    found["dec"] += 0.01
    assert compare(found, clean)[0] == ["source 1 is missing", "source 2 is missing"]
