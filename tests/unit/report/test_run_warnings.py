"""Warnings in the logs of a field."""

from __future__ import annotations

from unblend.report.run_warnings import RunWarning, read_warnings, warnings_of


def write_logs(results, logs):
    for name, text in logs.items():
        path = results / "logs" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def test_a_warning_is_given_without_its_time_and_the_place_in_the_code(tmp_path):
    path = tmp_path / "a.log"
    path.write_text(
        "2026-11-26 10:54:08,954 INFO fine\n2026-11-26 10:54:08,954 WARNING ks: WARNING is a word\n"
        "2026-11-26 10:54:08,954 WARNING /usr/lib/x/y.py:12: RuntimeWarning: divide by zero\n  a / b\n"
    )
    assert warnings_of(path) == ["ks: WARNING is a word", "RuntimeWarning: divide by zero"]
    assert warnings_of(tmp_path / "none.log") == []


def test_a_sentence_is_listed_once_with_all_its_logs(tmp_path):
    write_logs(tmp_path, {"prepare_fit_psf.log": "x WARNING same\n", "prepare_psf/ks.log": "x WARNING same\n" * 2})
    logs = ("prepare_fit_psf.log", "prepare_psf/ks.log")
    assert read_warnings(tmp_path) == [RunWarning("same", logs, 3)]


def test_what_concerns_all_fluxes_comes_first(tmp_path):
    names = ("a.log", "run_monte_carlo/k.log", "measure_shift/k.log")
    write_logs(tmp_path, {name: f"x WARNING {name}\n" for name in names})
    assert [warning.sentence for warning in read_warnings(tmp_path)] == [*reversed(names[1:]), "a.log"]


def test_logs_of_bands_that_are_gone_and_of_stages_left_out_are_ignored(tmp_path):
    names = ("mask_band/k.log", "mask_band/gone.log", "fit_first_pass/0.log", "draw_fits.log")
    write_logs(tmp_path, {name: f"x WARNING {name}\n" for name in names})
    found = read_warnings(tmp_path, ["k"], without=["draw_fits"])
    assert [warning.sentence for warning in found] == ["fit_first_pass/0.log", "mask_band/k.log"]


def test_a_field_without_logs_has_no_warnings(tmp_path):
    assert read_warnings(tmp_path) == []
