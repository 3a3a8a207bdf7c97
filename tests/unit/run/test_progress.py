from __future__ import annotations

import pytest
from unblend.core.flags import Flag
from unblend.run.progress import (
    RunState,
    common_flags,
    count,
    duration,
    failure_lines,
    flag_counts,
    status,
    success_lines,
    time_left,
)


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0.0, "0 s"), (11.2, "12 s"), (60.0, "1 min 00 s"), (125.0, "2 min 05 s"), (3840.0, "1 h 04 min")],
)
def test_a_time_as_a_person_says_it(seconds, said):
    assert duration(seconds) == said


def test_the_rest_takes_as_long_as_the_work_so_far():
    assert time_left(10, 40, 5.0) == pytest.approx(15.0)
    assert time_left(3, 40, 5.0, least=5) is None
    assert time_left(40, 40, 5.0) is None and time_left(0, 0, 0.0) is None


def test_the_line_says_what_there_is_to_say():
    assert status(RunState()) == ""
    assert status(RunState(jobs_done=3, jobs_total=51)) == "jobs 3 of 51"
    state = RunState(fits_done=50, fits_total=200, fits_s=20.0, retried=3, bands_total=6, jobs_done=3, jobs_total=51)
    assert status(state) == "fits 50 of 200, about 1 min 00 s left (3 retried); bands 0 of 6"
    state.fits_done, state.bands_done, state.bands_s, state.warnings = 200, 2, 10.0, 1
    state.failed.append("mask_band: see x.log")
    assert (
        status(state)
        == "fits 200 of 200 (3 retried); bands 2 of 6, about 20 s left; jobs 3 of 51; 1 warning; 1 job failed"
    )


def test_flags_are_counted_by_source():
    both = Flag.FIT_RETRIED | Flag.FIT_ON_BOUND
    assert flag_counts([0, int(both), int(Flag.FIT_ON_BOUND)]) == "1 retried, 2 on a bound"
    assert flag_counts([0, 0]) == ""


def test_the_most_common_flags_come_first():
    assert (
        common_flags([0, int(Flag.ON_EDGE), int(Flag.SHAPE_FIXED), int(Flag.SHAPE_FIXED)]) == "2 shape fixed, 1 on edge"
    )
    assert common_flags([0]) == ""


def test_the_end_of_a_run():
    assert success_lines(72.0, {"catalogue": "results/catalogue.fits", "fits": "sheet"}) == [
        "Done in 1 min 12 s.",
        "  catalogue  results/catalogue.fits",
        "  fits       sheet",
    ]
    lines = failure_lines(3.0, ["fit_first_pass batch 1: see a.log"])
    assert lines[:2] == ["Stopped after 3 s: 1 job failed.", "  fit_first_pass batch 1: see a.log"]
    assert failure_lines(3.0, []) == ["Stopped after 3 s.", "Finished work is kept. Run again to continue."]
    assert count(2, "job") == "2 jobs"
