"""The cost of whole runs against the number of sources: processor time and memory of every stage, beside its floor.

`make bench`, or `python tests/benchmarks/bench_workflow.py 180 1000 5000 20000 --cores 2`.

Galaxies drawn with GalSim, 180 per square arcminute, in four bands: two sharp ones, a ground-based and a Spitzer-like
one. Every field goes from images to report. The processor time is that of all processes, Snakemake and the starts of
jobs included; the memory is that of the largest process of a stage. The floor is what no program of this kind can do
without: IMFIT alone on the stored fits, two transforms of every template, one factorisation of each band's equations.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import yaml
from astropy.io import fits

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "scripts"), str(ROOT / "tests"), str(ROOT / "tests/integration")]

import accuracy_fields as fields  # noqa: E402
from bench_overhead import snakemake  # noqa: E402
from job_memory import benchmarks  # noqa: E402
from unblend.fits.imfit_loader import load_pyimfit  # noqa: E402
from unblend.io.tables import read_table  # noqa: E402
from unblend.io.template_store import read_templates  # noqa: E402
from unblend.simulation.fields import BandSpec, draw_field  # noqa: E402

PER_SQUARE_ARCMIN = 180.0
SEED = 16
IMFIT_FITS = 40
"""Stored fits that IMFIT repeats alone."""
STAGES = {
    "detection": ("detect_sources", "edit_segments"),
    "groups": ("group_sources",),
    "fits, first pass": ("fit_first_pass",),
    "fits, second pass": ("fit_second_pass",),
    "pictures of fits": ("draw_fits",),
    "models": ("collect_models", "subtract_models"),
    "PSFs, masks, background": (
        "prepare_fit_psf", "prepare_psf", "cut_mosaic", "mask_band", "join_masks", "subtract_background",
    ),
    "templates": ("make_templates",),
    "shifts": ("measure_shift", "join_offsets"),
    "fluxes": ("extract_fluxes", "join_tiles"),
    "Monte Carlo": ("run_monte_carlo",),
    "proposals": ("inspect_band",),
    "catalogue, report": ("write_catalogue", "write_covariance", "write_report"),
}  # fmt: skip
"""Rules of each stage of the table."""
OF_BANDS = ("templates", "shifts", "fluxes", "Monte Carlo", "proposals")
OTHERS, WHOLE, BAND = "Snakemake, starts of jobs", "the whole run", "a band (mean)"
FLOORS = {"fits, second pass": "IMFIT", "templates": "transforms", "fluxes": "factorisation"}


def four_bands(side_arcsec: float) -> tuple[BandSpec, ...]:
    """Return the bands of a field: those of the accuracy benchmark, and a second sharp one."""
    hst, ground, spitzer = fields.bands(side_arcsec)
    return (hst, replace(hst, name="hst2", wavelength_um=1.25), ground, spitzer)


def draw(folder: Path, number: int) -> None:
    """Draw a field of `number` galaxies unless it is there already."""
    config = folder / "config.yaml"
    if config.exists():
        return
    folder.mkdir(parents=True, exist_ok=True)
    side = 60.0 * np.sqrt(number / PER_SQUARE_ARCMIN)
    bands = four_bands(float(side))
    scenario = fields.Scenario("workflow", "", PER_SQUARE_ARCMIN, float(side), bands)
    field = draw_field(scenario.spec(), np.random.default_rng([SEED, number]))
    for name, band in field.bands.items():
        fits.writeto(folder / f"{name}.fits", band.image.astype(np.float32), band.wcs.to_header(), overwrite=True)
        fits.writeto(folder / f"{name}-psf.fits", band.psf.astype(np.float32), overwrite=True)
    fits.BinTableHDU(field.truth).writeto(folder / "truth.fits", overwrite=True)
    config.write_text(yaml.safe_dump(fields.configuration(bands, "results", "none"), sort_keys=False))


def run(folder: Path, cores: int) -> tuple[float, float]:
    """Run the workflow from the start; return seconds by the clock, and of the processors for all processes."""
    for name in ("results", "program"):
        shutil.rmtree(folder / name, ignore_errors=True)
    return snakemake(folder, "--cores", str(cores))


def jobs(results: Path) -> dict[str, tuple[float, float]]:
    """Return the processor seconds of all jobs of every rule, and the memory of the largest process of these in MB."""
    found: dict[str, tuple[float, float]] = {}
    for (rule, *_), row in benchmarks(results):
        seconds, peak = found.get(rule, (0.0, 0.0))
        found[rule] = seconds + float(row["cpu_time"]), max(peak, float(row["max_rss"]))
    return found


def stages(results: Path, spent: float, bands: int) -> dict[str, tuple[float, float]]:
    """Return the processor seconds and the largest memory in MB of every stage, NaN where it is not known."""
    by_rule = jobs(results)
    missing = by_rule.keys() - {rule for rules in STAGES.values() for rule in rules}
    assert not missing, f"rules without a stage: {missing}"
    found = {
        name: (sum(by_rule[r][0] for r in rules if r in by_rule),
               max((by_rule[r][1] for r in rules if r in by_rule), default=np.nan))
        for name, rules in STAGES.items()
    }  # fmt: skip
    largest = max(peak for _, peak in by_rule.values())
    found[BAND] = sum(found[name][0] for name in OF_BANDS) / bands, max(found[name][1] for name in OF_BANDS)
    found[OTHERS] = spent - sum(seconds for seconds, _ in by_rule.values()), np.nan
    found[WHOLE] = spent, largest
    return found


def floors(results: Path, bands: list[str], sources: int) -> dict[str, float]:
    """Return the processor seconds of IMFIT alone, of the transforms and of the factorisations; NaN if not known."""
    return {
        "IMFIT": imfit_alone(results) * sources,
        "transforms": sum(transforms(results / "bands" / band) for band in bands),
        "factorisation": sum(factorisation(results / "bands" / band) for band in bands),
    }


def imfit_alone(results: Path) -> float:
    """Return the processor seconds a source that IMFIT takes for stored fits, NaN where there are no files."""
    pyimfit = load_pyimfit()
    groups = json.loads((results / "imfit/groups.json").read_text())["groups"]
    folders = sorted(path.parent for path in (results / "imfit").glob("*/imfit_config.dat"))
    some = folders[:: max(1, len(folders) // IMFIT_FITS)]
    seconds, members = 0.0, 0
    for folder in some:
        description = pyimfit.ModelDescription.load(str(folder / "imfit_config.dat"))
        image, error, mask, psf = (
            fits.getdata(folder / f"{name}.fits").astype(float) for name in ("img", "error", "mask", "psf")
        )

        def repeated() -> None:
            fitter = pyimfit.Imfit(description, psf=psf, maxThreads=1)  # noqa: B023
            fitter.loadData(image, error=error, mask=mask)  # noqa: B023
            fitter.doFit(ftol=1e-6)

        seconds += processor_seconds(repeated)
        members += len(groups[folder.name]["members"])
    return seconds / members if members else np.nan


def transforms(folder: Path) -> float:
    """Return the processor seconds of a transform of every template of a band, and back."""
    from scipy.fft import irfft2, rfft2

    stamps = [template.data for path in stores(folder) for template in read_templates(path)[0] if template.data.size]
    return processor_seconds(lambda: [irfft2(rfft2(stamp), s=stamp.shape) for stamp in stamps])


def factorisation(folder: Path) -> float:
    """Return the processor seconds of one factorisation of the normal matrix of a band, tile by tile."""
    from scipy.sparse import csc_array
    from scipy.sparse.linalg import splu

    seconds = 0.0
    for path in stores(folder):
        templates = [template for template in read_templates(path)[0] if template.data.size]
        wide = max(template.box.x1 for template in templates)
        pixels = [
            (np.arange(t.box.y0, t.box.y1)[:, None] * wide + np.arange(t.box.x0, t.box.x1)).ravel() for t in templates
        ]
        ends = np.append(0, np.cumsum([each.size for each in pixels]))
        light = np.concatenate([t.data.ravel().astype(float) for t in templates])
        matrix = csc_array((light, np.concatenate(pixels), ends))
        normal = csc_array(matrix.T @ matrix)
        seconds += processor_seconds(lambda: splu(normal, "MMD_AT_PLUS_A", options={"SymmetricMode": True}))  # noqa: B023
    return seconds


def stores(folder: Path) -> list[Path]:
    """Return the files with the templates of a band, one for each of its tiles."""
    whole = folder / "templates.npz"
    return [whole] if whole.exists() else sorted(folder.glob("tiles/*/templates.npz"))


def processor_seconds(work: Callable[[], object]) -> float:
    """Return the processor seconds of some work."""
    began = time.process_time()
    work()
    return time.process_time() - began


def table(measured: dict[int, dict]) -> str:
    """Return the stages of all fields beside each other, and the exponents between the first and the last field."""
    numbers = sorted(measured)
    first, last = measured[numbers[0]], measured[numbers[-1]]
    heads = [f"{measured[n]['sources']} sources" for n in numbers]
    lines = ["| stage | " + " | ".join(heads) + " | exponent | floor |", "|---" * (len(numbers) + 3) + "|"]
    for name in (*STAGES, OTHERS, WHOLE, BAND):
        cells = []
        for n in numbers:
            seconds, peak = measured[n]["stages"][name]
            memory = f", {peak:.0f} MB" if np.isfinite(peak) else ""
            cells.append(f"{seconds:.1f} s, {1e3 * seconds / measured[n]['sources']:.1f} ms a source{memory}")
        ratio = last["stages"][name][0] / max(first["stages"][name][0], 1e-9)
        growth = np.log(last["sources"] / first["sources"])
        exponent = f"{np.log(ratio) / growth:.2f}" if growth > 0 and ratio > 0 else ""
        floor = FLOORS.get(name)
        bottom = f"{floor}: " + ", ".join(f"{measured[n]['floors'][floor]:.2f} s" for n in numbers) if floor else ""
        lines.append(f"| {name} | {' | '.join(cells)} | {exponent} | {bottom} |")
    clock = [f"{measured[n]['clock']:.0f} s, {measured[n]['sources'] / measured[n]['clock']:.1f} sources a second"
             for n in numbers]  # fmt: skip
    lines.append(f"| by the clock, {last['cores']} cores | {' | '.join(clock)} | | |")
    return "\n".join(lines)


def main() -> None:
    """Draw, run, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("numbers", type=int, nargs="*", default=[180, 1000], help="numbers of drawn galaxies")
    parser.add_argument("--cores", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--out", type=Path, default=ROOT / "bench")
    arguments = parser.parse_args()
    work = arguments.out / "workflow"
    work.mkdir(parents=True, exist_ok=True)
    measured = {}
    for number in arguments.numbers:
        folder = work / str(number)
        draw(folder, number)
        clock, spent = run(folder, arguments.cores)
        results, bands = folder / "results", [band.name for band in four_bands(1.0)]
        sources = len(read_table(results / "det_cat.fits"))
        measured[number] = {
            "sources": sources, "clock": clock, "cores": arguments.cores,
            "stages": stages(results, spent, len(bands)), "floors": floors(results, bands, sources),
        }  # fmt: skip
        (arguments.out / "workflow.md").write_text(table(measured) + "\n")
        print(table(measured), flush=True)


if __name__ == "__main__":
    main()
