"""Draw the pictures of the docs that show the report in Chromium, and DS9: see `make figures`.

Both programs are optional. Where one is missing, its pictures are left as they are, and a line says so.
"""

from __future__ import annotations

import argparse
import base64
import io
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from PIL import Image, ImageGrab

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "tests")]

from chromium import start_chromium, until  # noqa: E402
from ds9_program import MISSING, Ds9  # noqa: E402

WINDOW = (1500, 800)
"""Size of the window of DS9 in pixels."""
FIELD_SIZE = (708, 434)
"""The part of the field that is shown, in pixels."""
PAINTING_S = 3.0
"""Time for the stamps and panels of the page, or for the frames of DS9 to be matched."""


def main() -> None:
    """Draw the pictures from the results of a field into a folder."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--field", type=Path, required=True, help="folder of the field")
    parser.add_argument("--out", type=Path, required=True, help="folder of the pictures")
    parser.add_argument("--report-band", default="ks", help="band that is shown in the report")
    parser.add_argument("--ds9-band", default="irac-ch1", help="band that is shown in DS9")
    options = parser.parse_args()
    if shutil.which("chromium") and shutil.which("chromedriver"):
        draw_report(options.field / "results/report/index.html", options.out, options.report_band)
    else:
        print("Chromium is not installed: the pictures of the report are left as they are.")
    if MISSING:
        print(f"The picture of DS9 is left as it is; missing: {', '.join(MISSING)}.")
    else:
        draw_ds9(options.field, options.out / "ds9.png", options.ds9_band)


def draw_report(page: Path, out: Path, band: str) -> None:
    """Draw the field, the table with the card of the target, and a band."""
    with tempfile.TemporaryDirectory() as profile:
        browser = start_chromium(Path(profile))
        try:
            browser.set_window_size(1264, 1000)
            browser.get(page.resolve().as_uri())
            until(browser, "return document.body.dataset.ready === 'yes'")
            browser.execute_script("document.querySelector(`#band-${arguments[0]}`).open = true", band)
            browser.execute_script("document.querySelector(`#band-${arguments[0]}`).scrollIntoView()", band)
            time.sleep(PAINTING_S)  # panels are painted when they come into view
            left, top, width, _ = box(browser, "#overview .field")
            save(browser, (left + (width - FIELD_SIZE[0]) / 2, top + 150, *FIELD_SIZE), out / "report-field.png")
            _, top, _, _ = box(browser, "#sources")
            left, first, width, height = box(browser, "#cards .card")
            save(browser, (left, top, width, first + height - top), out / "report-card.png")
            save(browser, box(browser, f"#band-{band}"), out / "report-band.png")
        finally:
            browser.quit()


def box(browser: Any, selector: str) -> tuple[float, float, float, float]:
    """Return left, top, width and height of an element on the page, in pixels."""
    script = """const box = document.querySelector(arguments[0]).getBoundingClientRect();
    return [box.left + window.scrollX, box.top + window.scrollY, box.width, box.height]"""
    left, top, width, height = browser.execute_script(script, selector)
    return left, top, width, height


def save(browser: Any, place: tuple[float, float, float, float], path: Path) -> None:
    """Save a part of the page as a picture."""
    clip = dict(zip(("x", "y", "width", "height"), place, strict=True)) | {"scale": 1}
    picture = browser.execute_cdp_cmd("Page.captureScreenshot", {"captureBeyondViewport": True, "clip": clip})
    Image.open(io.BytesIO(base64.b64decode(picture["data"]))).convert("RGB").quantize(256).save(path, optimize=True)


def draw_ds9(field: Path, path: Path, band: str) -> None:
    """Draw the window that `./unblend ds9 BAND` opens."""
    command = [str(ROOT / "unblend"), "ds9", band, "--directory", str(field.resolve()), "--print"]
    words = shlex.split(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    words[words.index("-geometry") + 1] = "x".join(map(str, WINDOW))
    ds9 = Ds9(WINDOW)
    try:
        at = words.index("-title")
        ds9.open([*words[:at], *words[at + 2 :]], words[at + 1])
        time.sleep(PAINTING_S)
        ImageGrab.grab(xdisplay=ds9.screen).quantize(256).save(path, optimize=True)
    finally:
        ds9.stop()


if __name__ == "__main__":
    main()
