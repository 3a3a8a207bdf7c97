"""What the report of many sources costs: `make bench-report`, or `python tests/benchmarks/bench_report.py 1000 100000`.

The field is made up: three sharp bands and seven coarse ones for `--bands 10`, sources of every brightness on a grid,
one in 32 × 32 pixels of 0.06" (270 in a square arcminute), templates of 31 × 31 pixels. 100 000 sources have 103 Mpx
in each sharp band. Bands after the first sharp and the first coarse one are links to the products of these.

Prints, in processes of their own: seconds of processor and by the clock to write the page, peak memory, size and number
of files; and where there is a Chromium, seconds until the page can be used and until it reacts.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "scripts")]

import numpy as np  # noqa: E402

SPACING, HALF = 32, 15
"""Pixels of 0.06" between sources; half the side of a template."""
SHARP_BANDS, COARSE_BAND = ("blue", "green", "red"), "coarse"
FAINTEST = 200.0
"""Flux of the faintest source: its brightest pixel has 5 sigma."""


def write_field(folder: Path, number: int, bands: int) -> None:
    """Write the products of a made-up field below `folder`, unless they are there."""
    from field_products import write_products
    from unblend.io.tables import read_table, write_table

    if (folder / "spec.json").exists():
        return
    fluxes = FAINTEST * (number / np.arange(1, number + 1)) ** 0.6
    names = [*SHARP_BANDS, *(f"coarse{k}" for k in range(1, bands - len(SHARP_BANDS) + 1))]
    field = write_products(folder, number, bands=("green", COARSE_BAND), half=HALF, spacing=SPACING, fluxes=fluxes)
    catalogue = read_table(folder / "results/catalogue.fits")
    columns: dict[str, np.ndarray] = {name: catalogue[name] for name in ("id", "ra", "dec", "area", "flag")}
    for band in names:
        source = COARSE_BAND if band.startswith(COARSE_BAND) else "green"
        if band != source:
            (folder / "results/bands" / band).symlink_to(folder / "results/bands" / source)
        for name in catalogue.dtype.names or ():
            kind, found, rest = name.partition(f"_{source}")
            if found and rest in ("", "_ujy"):
                columns[f"{kind}_{band}{rest}"] = catalogue[name]
    table = np.zeros(number, dtype=[(name, values.dtype) for name, values in columns.items()])
    for name, values in columns.items():
        table[name] = values
    for ending in ("fits", "ecsv", "vot"):
        (folder / f"results/catalogue.{ending}").unlink()
    write_table(folder / "results/catalogue.fits", table, name="CATALOGUE")
    images = {band: field.spec["bands"][COARSE_BAND if band.startswith(COARSE_BAND) else "green"] for band in names}
    (folder / "spec.json").write_text(json.dumps({**field.spec, "order": names, "bands": images}))


def write_page(folder: Path) -> dict[str, Any]:
    """Write the page of a field in this process, and return what it takes."""
    import write_report

    page, start = folder / "results/report/index.html", time.monotonic()
    write_report.main(str(folder / "spec.json"), str(folder / "results"), str(page), str(folder / "p.json"))
    clock, used = time.monotonic() - start, resource.getrusage(resource.RUSAGE_SELF)
    beside = [path.stat().st_size for path in page.with_name("index_files").rglob("*.js")]
    return {
        "processor_s": used.ru_utime + used.ru_stime, "clock_s": clock, "peak_mb": used.ru_maxrss / 1024,
        "page_mb": page.stat().st_size / 1e6, "files": len(beside), "files_mb": sum(beside) / 1e6,
    }  # fmt: skip


MEASURES = {
    "search_s": "TABLE.filter = String(Math.floor(NUMBER / 3)); await drawTable();",
    "flag_s": "TABLE.filter = 'fit_on_bound'; await drawTable();",
    "condition_s": "TABLE.filter = `snr_${DATA.bands[1].name}>30 n<2`; await drawTable();",
    "sort_s": "TABLE.filter = ''; await sortBy(COLUMNS.find((c) => c.key === `snr_${DATA.bands[1].name}`));",
    "card_s": "await openCard(DATA.sources.id[Math.floor(NUMBER / 2)]);",
    "stamps_s": "const row = Math.floor(NUMBER / 3), card = await cardOf(row);"
    "await Promise.all(DATA.bands.map((band) => drawStamps(band, card, {data: document.createElement('canvas')})));",
}
"""What the browser does with the page open, by its name."""


def in_browser(page: Path) -> dict[str, float]:
    """Return the seconds that a headless Chromium takes for the page, and the memory of its JavaScript in MB."""
    from chromium import start_chromium, until

    with tempfile.TemporaryDirectory() as profile:
        chrome = start_chromium(Path(profile))
        try:
            chrome.set_script_timeout(120)
            # the processor time of the page's main thread, whatever else the machine does
            chrome.execute_cdp_cmd("Performance.enable", {"timeDomain": "threadTicks"})
            chrome.get(page.as_uri())
            until(chrome, "return document.body.dataset.ready === 'yes'", timeout_s=120)
            ready = chrome.execute_script("return performance.getEntriesByName('ready')[0].startTime")
            metrics = chrome.execute_cdp_cmd("Performance.getMetrics", {})["metrics"]
            used = next(metric["value"] for metric in metrics if metric["name"] == "TaskDuration")
            found = {"ready_s": ready / 1000, "ready_processor_s": used}
            for name, work in MEASURES.items():
                program = (
                    "const done = arguments[0], start = performance.now();"
                    f"(async () => {{ {work} }})().then(() => done(performance.now() - start), (e) => done(e.message));"
                )
                took = chrome.execute_async_script(program)
                assert isinstance(took, float | int), f"{name}: {took}"
                found[name] = took / 1000
            found["heap_mb"] = chrome.execute_script("return performance.memory.usedJSHeapSize") / 1e6
        finally:
            chrome.quit()
    return found


def main() -> None:
    """Print a line a size."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("numbers", type=int, nargs="*", default=[1000], help="numbers of sources")
    parser.add_argument("--bands", type=int, default=10, help="number of bands (default: 10)")
    parser.add_argument("--folder", type=Path, help="keep the fields below this folder (default: a temporary one)")
    parser.add_argument("--work", choices=["field", "page"], help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.work == "field":
        write_field(options.folder, options.numbers[0], options.bands)
    elif options.work == "page":
        print(json.dumps(write_page(options.folder)))
    else:
        for number in options.numbers:
            folder = Path(options.folder or tempfile.mkdtemp()) / f"{number}-{options.bands}"
            words = [sys.executable, __file__, str(number), "--bands", str(options.bands), "--folder", str(folder)]
            subprocess.run([*words, "--work", "field"], check=True)
            done = subprocess.run([*words, "--work", "page"], check=True, stdout=subprocess.PIPE, text=True)
            found = json.loads(done.stdout.splitlines()[-1])
            if shutil.which("chromium") and shutil.which("chromedriver"):
                found |= in_browser(folder / "results/report/index.html")
            print(f"{number} sources, {options.bands} bands:", ", ".join(f"{k} {v:.3g}" for k, v in found.items()))
            if not options.folder:
                shutil.rmtree(folder.parent)


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    main()
