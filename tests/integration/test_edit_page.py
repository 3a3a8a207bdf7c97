"""Edits on the page in Chromium: draw, save, run, compare. The files are those that DS9 would write."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from chromium import start_chromium, until
from harness import Field, environment, fits_of
from smallfield import SHARP, SMALL, wcs_of
from unblend.images.masks import circles
from unblend.io.regions import read_regions

pytestmark = [pytest.mark.integration, pytest.mark.browser]
RUN_S = 300.0


@pytest.fixture
def address(field: Field) -> Iterator[str]:
    """Yield the address that `./unblend page` prints for the small field."""
    script = field.program / "scripts/edit_page.py"
    words = [sys.executable, str(script), str(field.folder), "--no-browser", "--cores", "1"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True, env=environment(), cwd=field.folder) as server:
        assert server.stdout is not None
        yield server.stdout.readline().strip()
        server.terminate()


@pytest.fixture
def browser(tmp_path) -> Iterator[Any]:
    chrome = start_chromium(tmp_path / "profile")
    yield chrome
    chrome.quit()


def click(browser: Any, selector: str) -> None:
    browser.execute_script("document.querySelector(arguments[0]).click()", selector)


def drag(browser: Any, y: float, x: float, radius: float) -> None:
    """Draw a circle on the field: a place and a radius in pixels of the stack, 0-based."""
    from selenium.webdriver import ActionChains

    node = browser.find_element("css selector", "#overview .field")
    width, binned, y0, x0 = browser.execute_script("const s = DATA.stack; return [s.width, s.binned, ...s.corner]")
    size = node.rect["width"] / width / binned
    right = (x - x0 + 0.5) * size - node.rect["width"] / 2
    down = node.rect["height"] / 2 - (y - y0 + 0.5) * size
    actions = ActionChains(browser).move_to_element_with_offset(node, round(right), round(down)).click_and_hold()
    actions.move_by_offset(round(radius * size), 0).release().perform()


def test_draw_save_run_compare(field: Field, address: str, browser: Any) -> None:
    before = field.table("catalogue.fits")
    browser.get(address)
    until(browser, "return document.querySelector('#edit-list [data-key=merge]') !== null")

    # A circle over two galaxies makes one of them.
    first, second = SMALL.galaxies[:2]
    middle = (0.5 * (first.y + second.y), 0.5 * (first.x + second.x))
    click(browser, "[data-key=merge]")
    drag(browser, *middle, 6.0)
    until(browser, "return document.querySelectorAll('#edit-list code').length === 1")
    (circle,) = circles(read_regions(field / "merged_segments.reg"), wcs_of(SHARP))
    assert circle == pytest.approx((*middle, 6.0), abs=0.6)
    shown = until(browser, "return document.querySelectorAll('#overview .edits circle').length")
    assert shown == 1 and browser.execute_script("return location.hash") == ""

    # An override of a third one; a mistake is one sentence.
    browser.execute_script("document.querySelector('#override-id').value = 7")
    click(browser, "#open-override")
    until(browser, "return document.querySelector('#edit-override textarea') !== null")
    for text, message in (("nn 2 fixed", "did you mean n"), ("n 2 fixed", "7.dat is saved")):
        browser.execute_script("document.querySelector('#edit-override textarea').value = arguments[0]", text)
        click(browser, "#save-override")
        until(browser, "return document.querySelector('#edit-message').textContent.includes(arguments[0])", message)
    assert (field / "overrides/7.dat").read_text() == "n 2 fixed\n"

    # The run does what the edits touch, and its changes are listed.
    done = field.log_size
    click(browser, "#run")
    until(browser, "return document.querySelector('#changes') !== null", timeout_s=RUN_S)
    work = field.work_since(done)
    assert fits_of(1, 7) <= work and not fits_of(5, 6, 9, 10, 11, 12) & work
    rows = browser.execute_script(
        "return [...document.querySelectorAll('#changes tbody tr')].map((row) => row.textContent)"
    )
    listed = [int(found.group(1)) for row in rows if (found := re.match(r"(\d+)", row))]
    assert rows[0].startswith("2 (gone)") and not any("– ±" in row for row in rows)
    assert set(listed) >= {1, 2, 7} and len(listed) < len(before)
    assert field.table("catalogue.fits")["id"].tolist() == [1, *range(3, 13)]

    # Taken back, the file is empty, and what was there is kept.
    click(browser, "#edit-list .remove")
    until(browser, "return document.querySelectorAll('#edit-list code').length === 0")
    assert not read_regions(field / "merged_segments.reg")
    assert len(read_regions(field / "merged_segments.reg~")) == 1
    assert [entry for entry in browser.get_log("browser") if "409" not in entry["message"]] == []
