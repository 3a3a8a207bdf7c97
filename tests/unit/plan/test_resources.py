"""What jobs ask for: more for more pixels, more sources and every further attempt."""

from __future__ import annotations

import copy
import re
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from planned_jobs import RAW, ROOT, jobs_of, write_fits
from unblend.field import page_size
from unblend.io.tables import write_table
from unblend.plan import resources
from unblend.plan.jobs import SETTINGS
from unblend.plan.resources import COSTS, LARGE_REPORT, SNAKEMAKE_MB, SPARE, Cost, Requests

MILLION = (1000, 1000)


@pytest.fixture
def requests(field, monkeypatch):
    """The requests of a field whose stack has 10⁶ pixels in each of two bands, with a rule of simple costs."""
    header = fits.getheader("data/a.fits")
    for name in ("a", "b"):
        fits.writeto(f"data/{name}.fits", np.zeros(MILLION, dtype="f4"), header, overwrite=True)
    simple = {
        "a_band": Cost(
            100.0, band=10.0, sources=200.0, minutes=10.0, minutes_per_megapixel=1.0, minutes_per_kilosource=20.0
        ),
        "a_stack": Cost(100.0, stack=10.0),
        "detection": Cost(100.0, stack=30.0, detection=10.0),
        "everything": Cost(100.0, all_bands=10.0),
        "fit_a_pass": Cost(100.0, sources=1000.0, process=300.0),
    }
    monkeypatch.setattr(resources, "COSTS", simple)
    monkeypatch.setattr(resources, "STEP_MB", 1)
    return Requests(jobs_of(RAW))


def expected(megabytes: float) -> int:
    return round(np.ceil(SPARE * megabytes + SNAKEMAKE_MB))


def detect(number: int) -> None:
    write_table("results/det_cat.fits", np.zeros(number, dtype=[("id", "i4")]))


def test_pixels_are_those_of_the_band_of_the_stack_or_of_all(requests):
    detect(0)
    assert requests.memory_mb("a_band", "k") == expected(100.0 + 10.0 * 16e-6)
    assert requests.memory_mb("a_band", "f160w") == expected(110.0)
    assert requests.memory_mb("a_stack") == expected(110.0)
    assert requests.memory_mb("detection") == expected(100.0 + 30.0 + 20.0)
    assert requests.memory_mb("everything") == expected(120.0 + 10.0 * 16e-6)


def test_sources_count_as_soon_as_they_are_detected(requests):
    # until then one in 5000 pixels of the flux band
    assert requests.memory_mb("a_band", "f160w") == expected(110.0 + 200.0 * 0.2)
    detect(3000)
    assert requests.memory_mb("a_band", "f160w") == expected(110.0 + 200.0 * 3.0)
    assert requests.runtime_minutes("a_band", "f160w") == 10 + 1 + 60
    detect(4000)
    assert requests.memory_mb("a_band", "f160w") == expected(110.0 + 200.0 * 4.0)


def test_the_detection_in_a_large_image_asks_for_strips(requests, monkeypatch):
    costs = {"detect_sources": Cost(100.0, stack=30.0), "edit_segments": Cost(100.0, stack=20.0)}
    monkeypatch.setattr(resources, "COSTS", costs)
    monkeypatch.setattr(resources, "LARGE_DETECTION", dict.fromkeys(costs, Cost(90.0)))
    rules = list(costs)
    assert [requests.memory_mb(rule) for rule in rules] == [expected(130.0), expected(120.0)]
    monkeypatch.setattr(resources, "MOST_PIXELS", 900_000)
    assert [requests.memory_mb(rule) for rule in rules] == [expected(90.0), expected(90.0)]
    # those of the user's own sources, too
    config = requests.jobs.config
    detection = config.detection.model_copy(update={"segmentation": "own.fits"})
    monkeypatch.setattr(requests.jobs, "config", config.model_copy(update={"detection": detection}))
    assert [requests.memory_mb(rule) for rule in rules] == [expected(90.0), expected(90.0)]


def test_a_damaged_catalogue_counts_as_none(requests):
    guess = requests.memory_mb("a_band", "f160w")
    detect(3000)
    Path("results/det_cat.fits").write_bytes(b"SIMPLE")
    assert requests.memory_mb("a_band", "f160w") == guess


def test_a_further_attempt_has_twice_as_much(requests):
    detect(0)
    once, twice, thrice = (requests.memory_mb("a_stack", attempt=attempt) for attempt in (1, 2, 3))
    assert (twice, thrice) == (2 * once, 4 * once)
    assert [requests.runtime_minutes("a_stack", attempt=attempt) for attempt in (1, 2)] == [11, 21]


def test_a_batch_of_fits_has_no_more_sources_in_a_larger_field_but_as_many_processes_as_cores(requests):
    detect(1000)
    small = requests.memory_mb("fit_a_pass", processes=4)
    detect(100_000)
    assert requests.memory_mb("fit_a_pass", processes=4) == small
    assert small - requests.memory_mb("fit_a_pass", processes=1) == pytest.approx(SPARE * 900.0, abs=1)


def test_a_mosaic_counts_with_its_cutout(field):
    raw = copy.deepcopy(RAW)
    raw["bands"]["k"] = {"mosaic": "https://x.org/k.fits", "cutout_size": 60.0, "psf": "kpsf.fits"}
    detect(0)
    planned = Requests(jobs_of(raw))
    guess = planned.memory_mb("extract_fluxes", "k")
    Path("results/bands/k").mkdir(parents=True)
    write_fits(Path("results/bands/k/cutout.fits"), 1.0)
    assert planned.memory_mb("extract_fluxes", "k") < guess


def test_moving_backgrounds_and_psfs_from_stars_are_asked_for_where_they_are(field):
    raw = copy.deepcopy(RAW)
    raw["bands"]["f160w"] |= {"background": {"box": 15.0}, "psf": {"stars": "auto"}}
    header = fits.getheader("data/a.fits")
    for name in ("a", "b"):
        fits.writeto(f"data/{name}.fits", np.zeros((2000, 2000), "f4"), header, overwrite=True)
    planned = Requests(jobs_of(raw))
    for rule in ("subtract_background", "prepare_psf"):
        without, more = (planned.memory_mb(rule, band) for band in ("f125w", "f160w"))
        assert more > without + 200, rule
    assert planned.memory_mb("prepare_fit_psf") > Requests(jobs_of(RAW)).memory_mb("prepare_fit_psf") + 200


def test_every_rule_has_its_costs():
    text = "".join(path.read_text() for path in (ROOT / "workflow/rules").glob("*.smk"))
    asked = [set(re.findall(rf'{name}\("(\w+)"\)', text)) for name in ("memory_of", "time_of")]
    assert asked == [set(COSTS), set(COSTS)] and set(SETTINGS) <= set(COSTS)


def test_a_large_report_asks_for_memory_by_its_sources_and_not_by_its_pixels(field, monkeypatch):
    detect(1000)
    planned = Requests(jobs_of(RAW))
    small = planned.memory_mb("write_report")
    monkeypatch.setattr(page_size, "PAGE_MEGAPIXELS", 1e-6)
    large = planned.memory_mb("write_report")
    assert large == resources.STEP_MB * np.ceil(expected(LARGE_REPORT.mb + LARGE_REPORT.sources) / resources.STEP_MB)
    monkeypatch.setattr(page_size, "PAGE_MEGAPIXELS", 30.0)
    assert planned.memory_mb("write_report") == small
    detect(100_000)
    assert planned.memory_mb("write_report") == pytest.approx(
        expected(LARGE_REPORT.mb + 100 * LARGE_REPORT.sources), abs=resources.STEP_MB)  # fmt: skip
