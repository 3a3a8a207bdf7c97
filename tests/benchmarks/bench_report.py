"""What the report of many sources costs: `make bench-report`, or `python tests/benchmarks/bench_report.py 180 1000`.

The field is made up and as dense as the example (105 sources in a square arcminute): three sharp bands, a coarse one,
templates of 150 pixels. Prints seconds to write the page, its size, and, where there is a Chromium, seconds until it
is ready and until a card is drawn.
"""

from __future__ import annotations

import argparse
import resource
import shutil
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "scripts")]

import write_report  # noqa: E402
from field_products import write_products  # noqa: E402

SPACING, HALF = 98, 75
"""Pixels of 0.06" between sources; half the side of a template."""


def processor_s() -> float:
    """Return the seconds of processor time of this process."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def in_browser(page: Path) -> str:
    """Return what a headless Chromium takes for the page."""
    if not (shutil.which("chromium") and shutil.which("chromedriver")):
        return "no chromium"
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium") or ""
    for option in ("--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tempfile.mkdtemp()}"):
        options.add_argument(option)
    chrome = webdriver.Chrome(options=options, service=webdriver.ChromeService(shutil.which("chromedriver")))
    try:
        chrome.set_script_timeout(120)
        chrome.get(page.as_uri())
        ready = chrome.execute_script("return performance.getEntriesByType('navigation')[0].loadEventEnd") / 1000
        drawn = chrome.execute_async_script(
            """const done = arguments[0], start = performance.now();
            drawStamps(DATA.bands[0], 5, {data: document.createElement('canvas')}).then(() => {
              const first = performance.now() - start, again = performance.now();
              Promise.all(DATA.bands.map(band => drawStamps(band, 7, {data: document.createElement('canvas')})))
                .then(() => done([first, performance.now() - again])); });"""
        )
        sort = chrome.execute_script("const t = performance.now(); drawTable(); return performance.now() - t")
    finally:
        chrome.quit()
    first, later = (value / 1000 for value in drawn)
    return f"ready after {ready:.2f} s; first stamp {first:.2f} s, all bands {later:.2f} s; table {sort / 1000:.2f} s"


def main() -> None:
    """Print a line a size."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("numbers", type=int, nargs="*", default=[180, 1000], help="numbers of sources")
    for number in parser.parse_args().numbers:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            write_products(folder, number, half=HALF, spacing=SPACING)
            page, start, clock = folder / "results/report/index.html", processor_s(), time.monotonic()
            write_report.main(str(folder / "spec.json"), str(folder / "results"), str(page), str(folder / "p.json"))
            took = f"{processor_s() - start:.1f} s of processor, {time.monotonic() - clock:.1f} s by the clock"
            print(f"{number} sources: written in {took}; {page.stat().st_size / 1e6:.1f} MB; {in_browser(page)}")


if __name__ == "__main__":
    main()
