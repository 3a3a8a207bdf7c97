"""What the logs and products of a field say: warnings, flags of a fit. `test_watch` follows whole runs."""

from __future__ import annotations

import numpy as np
from unblend.io.files import write_json
from unblend.io.tables import write_sources, write_table
from unblend.run.field_state import fit_flags, list_results, run_file, warnings_in


def test_warnings_are_counted_in_each_log(tmp_path):
    (tmp_path / "a.log").write_text("x INFO fine\nx WARNING one\nx WARNING two\n")
    (tmp_path / "b.log").write_text("x INFO fine\n")
    paths = [tmp_path / name for name in ("a.log", "b.log", "none.log")]
    assert warnings_in(paths) == {str(tmp_path / "a.log"): 2}
    assert list_results(tmp_path) == {}


def test_the_last_lines_show_the_most_urgent_warnings(tmp_path):
    logs = {"a.log": "faint", "measure_shift/k.log": "k: not shifted", "run_monte_carlo/k.log": "k: no circle",
            "z.log": "late", "make_templates/k.log": "k: coarse"}  # fmt: skip
    for name, sentence in logs.items():
        path = tmp_path / "logs" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"2026-11-26 10:54:08,954 WARNING {sentence}\n" * 2)
    first, *sentences = list_results(tmp_path)["warnings"].splitlines()
    assert first.startswith("10, all in the report, in")
    assert [sentence.strip() for sentence in sentences] == ["k: not shifted", "k: no circle", "faint"]


def test_the_last_lines_leave_out_bands_that_are_gone(tmp_path):
    for name in ("mask_band/k.log", "mask_band/gone.log"):
        (tmp_path / "logs" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "logs" / name).write_text(f"x WARNING {name}\n")
    rows = list_results(tmp_path, ["k"])
    assert rows["warnings"].splitlines() == [f"1, in {tmp_path / 'logs'}: mask_band/k.log", "    mask_band/k.log"]


def test_the_flags_of_a_group_are_those_of_its_second_pass(tmp_path):
    assert fit_flags(tmp_path, "4") == []
    write_json(tmp_path / "imfit/4/fit.json", {"fit": {"members": [{"flags": 3}, {"flags": 0}]}})
    assert fit_flags(tmp_path, "4") == [3, 0]
    (tmp_path / "imfit/4/fit.json").write_text("{")
    assert fit_flags(tmp_path, "4") == []


def test_a_field_that_was_never_run_has_no_run_file(tmp_path):
    assert run_file(tmp_path) is None


def test_the_last_lines_say_what_was_dropped_shifted_and_not_measured(tmp_path):
    sources = np.zeros(2, dtype=[("id", "i4"), ("x", "f8"), ("y", "f8")])
    write_sources(tmp_path / "det_auto_cat.fits", sources, {"NSMALL": 3, "NFAINT": 7, "NHIDDEN": 1})
    columns = [("id", "i4"), ("flag", "i4"), *((f"{name}_{band}", "f8") for band in "jkz" for name in ("flux", "flag"))]
    table = np.zeros(2, dtype=columns)
    table["flux_z"] = np.nan
    write_table(tmp_path / "catalogue.fits", table)
    searched = {"grid": {"best_shift_arcsec": [-0.05, 0.03]}, "shift_arcsec": [-0.051, 0.0299], "recommendation": None}
    write_json(tmp_path / "bands/k/astrometry.json", searched)
    advice = {
        "message": "bands.j: the sources lie elsewhere.",
        "recommendation": "set shift: [0.1, 0.2], or shift: auto.",
    }
    offset = {"grid": None, "shift_arcsec": [0.0, 0.0], **advice}
    write_json(tmp_path / "bands/j/astrometry.json", offset)
    rows = list_results(tmp_path)
    assert rows["detection"].startswith(
        "7 candidates below min_snr and 3 below min_area dropped; 1 source found beside"
    )
    assert rows["no flux"] == "z"
    assert rows["shifts"].splitlines() == [
        "j: the sources lie elsewhere.; set shift: [0.1, 0.2], or shift: auto.",
        "    k: best shift: -0.0500 0.0300; adopted -0.0510 0.0299",
    ]


def test_nothing_is_said_of_what_is_in_order(tmp_path):
    table = np.zeros(1, dtype=[("id", "i4"), ("flag", "i4"), ("flux_k", "f8"), ("flag_k", "i4")])
    write_table(tmp_path / "catalogue.fits", table)
    quiet = {"grid": None, "shift_arcsec": [0.0, 0.0], "recommendation": None, "message": None}
    write_json(tmp_path / "bands/k/astrometry.json", quiet)
    assert set(list_results(tmp_path)) == {"catalogue"}


def test_the_last_lines_count_the_sources_that_only_one_band_shows(tmp_path):
    columns = [("id", "i4"), ("flag", "i4"), *((f"{name}_{band}", "f8") for band in "jkz" for name in ("flux", "flag"))]
    write_table(tmp_path / "catalogue.fits", np.zeros(1, dtype=columns))
    for band, number in (("j", 0), ("k", 1)):
        write_table(tmp_path / f"bands/{band}/fluxes.fits", np.zeros(1, dtype=[("id", "i4")]), header={"NOWN": number})
    assert list_results(tmp_path)["own"] == "1 source only in k, fitted as points (band_only.fits)"
