"""A small configuration with two detection bands and a blurred one, and the specs of its jobs."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Literal

import numpy as np
from astropy.io import fits
from unblend.io.files import write_json
from unblend.plan.checks import jobs_of as plan_jobs
from unblend.plan.config import load_config
from unblend.plan.jobs import Jobs

ROOT = Path(__file__).resolve().parents[1]
RAW: dict[str, Any] = {
    "data_dir": "data",
    "target": {"ra": 53.0, "dec": -27.8},
    "detection": {"bands": ["f125w", "f160w"]},
    "models": {"psf": "f160w", "batch_size": 1},
    "bands": {
        "f125w": {"image": "a.fits", "psf": "psf.fits"},
        "f160w": {"image": "b.fits", "psf": "psf.fits"},
        "k": {"image": "k_im.fits", "psf": "kpsf.fits", "weight": "k_w.fits", "zero_point": 25.0},
    },
}
BANDS = list(RAW["bands"])
PER_BAND = (
    "mask_band", "subtract_background", "prepare_psf", "measure_shift", "make_templates", "extract_fluxes",
    "run_monte_carlo", "inspect_band",
)  # fmt: skip
WHOLE = ("detect_sources", "edit_segments", "prepare_fit_psf", "group_sources", "collect_models", "subtract_models",
         "draw_fits", "write_catalogue", "write_covariance", "write_report")  # fmt: skip
PER_BATCH = ("fit_first_pass", "fit_second_pass")
SHAPE = [100, 100]
GROUPS = {
    # 1 and 2 are neighbours, 5 stands alone; 3 is fitted with 1
    "1": {"members": [1, 3], "box": [0, 0, 9, 9], "neighbours": [2], "digest": "one"},
    "2": {"members": [2], "box": [0, 9, 9, 18], "neighbours": [1], "digest": "two"},
    "5": {"members": [5], "box": [30, 30, 39, 39], "neighbours": [], "digest": "five"},
}

SMALL_FITS = fits.PrimaryHDU(np.zeros(720, dtype="f4")).header.tostring().encode() + bytes(2880)


def write_fits(path: Path, value: float) -> None:
    """Write a small image with a WCS."""
    header = fits.Header({"CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CRVAL1": 53.0, "CRVAL2": -27.8, "CRPIX1": 2.0})
    header.update({"CRPIX2": 2.0, "CD1_1": -2e-5, "CD2_2": 2e-5, "CD1_2": 0.0, "CD2_1": 0.0})
    fits.PrimaryHDU(np.full((4, 4), float(value)), header).writeto(path, overwrite=True)


def write_field(folder: Path) -> None:
    """Write the inputs and groups.json of the field into the current folder."""
    (folder / "data" / "overrides").mkdir(parents=True)
    (folder / "data" / "custom_models").mkdir()
    for value, name in enumerate(("a", "b", "psf", "k_im", "kpsf", "k_w")):
        write_fits(folder / "data" / f"{name}.fits", value + 1)
    write_json(folder / "results/imfit/groups.json", {"psf": "p", "grid": "g", "shape": SHAPE, "groups": GROUPS})


def jobs_of(raw: dict, purpose: Literal["run", "plan", "job"] = "plan") -> Jobs:
    """Return the jobs of a configuration."""
    return plan_jobs(load_config(raw), ROOT / "scripts", lambda: purpose)


def specs(raw: dict | None = None) -> dict[str, tuple[str, int]]:
    """Return the content of the spec of every job, by "rule" or "rule/wildcard", as a new run would write it."""
    jobs = jobs_of(RAW if raw is None else raw, "run")
    paths = {rule: jobs.spec(rule) for rule in WHOLE}
    paths |= {f"{rule}/{band}": jobs.spec(rule, band=band) for rule in PER_BAND for band in jobs.config.bands}
    paths |= {f"{rule}/{batch}": jobs.spec(rule, batch=batch) for rule in PER_BATCH for batch in jobs.fits.batches}
    jobs.store.release()
    return {name: (Path(path).read_text(), os.stat(path).st_mtime_ns) for name, path in paths.items()}


def changed(raw: dict | None = None) -> set[str]:
    """Return the jobs whose spec differs from that of the run before; a spec that does not differ is not written."""
    before = {
        str(path.relative_to("results/specs").parent): (path.read_text(), path.stat().st_mtime_ns)
        for path in Path("results/specs").rglob("spec.json")
    }
    after = specs(raw)
    different = {name for name, (text, _) in after.items() if text != before[name][0]}
    touched = {name for name, (_, time) in after.items() if time != before[name][1]}
    assert touched == different, "a spec was written anew without need"
    return different


def of_band(band: str, *rules: str) -> set[str]:
    """Return the jobs of some rules for a band."""
    return {f"{rule}/{band}" for rule in rules}
