"""The report of a field with more sources than one file has, in headless Chromium, from disk."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
import write_report
from chromium import start_chromium, until
from field_products import write_products

pytestmark = [pytest.mark.browser]

NUMBER, SPACING = 2101, 16
FLUXES = np.where(np.arange(1, NUMBER + 1) == 1000, 4000.0, 400.0)
"""Source 1000 is ten times as bright as all others."""


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    chrome = start_chromium(tmp_path_factory.mktemp("profile"))
    chrome.set_script_timeout(30)
    yield chrome
    chrome.quit()


@pytest.fixture(scope="module")
def index(tmp_path_factory):
    folder = tmp_path_factory.mktemp("page")
    write_products(folder, NUMBER, half=7, spacing=SPACING, fluxes=FLUXES)
    page = folder / "results/report/index.html"
    write_report.main(str(folder / "spec.json"), str(folder / "results"), str(page), str(folder / "p.json"))
    return page


@pytest.fixture
def page(browser, index):
    """Load the page, and check after the test that the browser has logged no errors."""
    opened(browser, index.as_uri())
    yield browser
    messages = [entry["message"] for entry in browser.get_log("browser")]
    assert [text for text in messages if "willReadFrequently" not in text] == []


def opened(browser, address):
    browser.get("about:blank")
    browser.get(address)
    until(browser, "return document.body.dataset.ready === 'yes'")


def texts(browser, selector):
    return browser.execute_script(
        "return [...document.querySelectorAll(arguments[0])].map(node => node.textContent.trim())", selector
    )


def told(browser, text):
    until(browser, "return document.getElementById('filtered').textContent === arguments[0]", text)


def type_filter(browser, text):
    field = browser.find_element("id", "filter")
    field.clear()
    field.send_keys(text)


def ids(browser):
    return [int(text) for text in texts(browser, "#table tbody tr[data-id] td:first-child")]


def scroll_to_field(browser):
    browser.execute_script("document.querySelector('#overview .viewer').scrollIntoView({block: 'center'})")
    until(browser, "return document.querySelectorAll('#overview .marks a').length > 0")


def at_source(browser, row):
    """Return the place of a source on the screen."""
    return browser.execute_script(
        """const { node } = OVERVIEW, { view } = node, box = node.getBoundingClientRect(), row = arguments[0];
        const { x_stack: x, y_stack: y } = DATA.sources, up = DATA.stack.height - view.y - 0.5;
        const across = (x[row] + 0.5 - view.x) / view.width, down = (up - y[row]) / view.height;
        return [box.left + across * box.width, box.top + down * box.height]""",
        row,
    )  # fmt: skip


def mouse(browser, kind, x, y, buttons=1):
    words = {"type": kind, "x": x, "y": y, "button": "left", "buttons": buttons, "clickCount": 1}
    browser.execute_cdp_cmd("Input.dispatchMouseEvent", words)


def test_the_page_opens_with_little_and_only_the_rows_in_view(page, index):
    assert index.stat().st_size < 250_000
    assert f"{NUMBER} sources in 4 bands; target 2" in texts(page, "#lead")[0]
    told(page, f"{NUMBER} of {NUMBER} sources")
    assert 20 < len(ids(page)) < 200 and ids(page)[:3] == [1, 2, 3]
    rows = page.execute_script("return [document.querySelector('#sources .scroll').scrollHeight, TABLE.height]")
    assert rows[0] == pytest.approx(NUMBER * rows[1], rel=0.02)
    loaded = page.execute_script("return performance.getEntriesByType('resource').map((entry) => entry.name)")
    assert not [name for name in loaded if "flux_" in name or "bands/" in name]


def test_scrolling_draws_the_rows_that_come_into_view(page):
    page.execute_script("const box = document.querySelector('#sources .scroll'); box.scrollTop = box.scrollHeight")
    until(
        page, "return document.querySelector('#table tbody').lastElementChild.dataset.id === arguments[0]", str(NUMBER)
    )
    assert len(ids(page)) < 200
    first, box = page.execute_script(
        """const box = document.querySelector('#sources .scroll').getBoundingClientRect();
        const last = [...document.querySelectorAll('#table tbody tr[data-id]')].at(-1).getBoundingClientRect();
        return [last.bottom, box.bottom]"""
    )
    assert first == pytest.approx(box, abs=3)  # the last row is at the lower edge


def test_searching_filtering_and_sorting(page):
    type_filter(page, "1234")
    told(page, f"1 of {NUMBER} sources")
    assert ids(page) == [1234]
    type_filter(page, "fit_on_bound")
    told(page, f"1 of {NUMBER} sources")
    assert ids(page) == [NUMBER] and texts(page, "#table tbody td.words") == ["fit_on_bound"]
    type_filter(page, "!fit_on_bound snr_green>=500")
    told(page, f"1 of {NUMBER} sources")
    assert ids(page) == [1000]
    # columns that are not shown are loaded when they are asked for; numbers are rounded as they are shown
    type_filter(page, "flux_blue=-4 mag_coarse=17.395")
    told(page, f"1 of {NUMBER} sources")
    type_filter(page, "colour>3")
    until(page, "return document.getElementById('filtered').textContent.startsWith('No column is named colour')")
    type_filter(page, "chi2>1.05")
    told(page, f"{NUMBER - 1} of {NUMBER} sources")
    page.execute_script("document.querySelector(\"th[data-key='snr_green'] button\").click()")
    until(page, "return document.querySelector('#table tbody tr[data-id]').dataset.id === '1000'")
    page.execute_script("document.querySelector(\"th[data-key='snr_coarse'] button\").click()")
    until(page, "return TABLE.sort === 'snr_coarse' && TABLE.rows.at(-1) === arguments[0]", NUMBER - 1)


def test_a_row_opens_a_card_with_stamps_from_tiles(page):
    type_filter(page, "1000")
    told(page, f"1 of {NUMBER} sources")
    page.execute_script("document.querySelector(\"#table tr[data-id='1000'] td\").click()")
    until(page, "return document.querySelector('#source-1000 .facts')")
    facts = dict(zip(texts(page, "#source-1000 .facts th"), texts(page, "#source-1000 .facts td"), strict=True))
    assert facts["Sersic n"] == "1.00 ± 0.10"
    fluxes = page.find_element("css selector", "#source-1000 .wide .numbers:not(.stamps)").text
    assert "green 500 4000 8.00 4000 ± 8.00 14.89 ± 0.00" in fluxes
    link = page.find_element("css selector", "#source-1000 .facts a").get_attribute("href")
    assert link.endswith("/imfit/1000/fit.png")
    middle = "#source-1000 .stamps tbody tr:nth-child({}) td:nth-child(5) canvas"
    until(page, BRIGHTNESS.replace("COMPARED", "< 60"), middle.format(1))  # data: black is bright
    assert page.execute_script(BRIGHTNESS.replace("COMPARED", "< 60"), middle.format(2))  # neighbours removed
    assert page.execute_script(BRIGHTNESS.replace("COMPARED", "> 120"), middle.format(3))  # residual


BRIGHTNESS = """const canvas = document.querySelector(arguments[0]);
const bytes = canvas.getContext("2d").getImageData(64, 64, 5, 5).data;
let sum = 0, opaque = true;
for (let k = 0; k < bytes.length; k += 4) { sum += bytes[k] / 25; opaque &&= bytes[k + 3] === 255; }
return opaque && sum COMPARED;"""


@pytest.mark.parametrize("row", [999, 46 * 32 + 31, NUMBER - 1])
def test_a_card_has_the_pixels_of_the_source_across_the_edges_of_tiles(page, row):
    """Around a source that is near no edge, at the corner of four tiles, and near the edge of the image."""
    found = page.execute_async_script(
        """const done = arguments[1], panel = DATA.bands[1];
        cardOf(arguments[0]).then(async (card) => {
          const [y, x] = [card.panels[2].y, card.panels[2].x].map(Math.round);
          const patch = await patchOf(panel, [y - 24, x - 24, y + 25, x + 25]);
          const tile = await tileOf(panel, 0, Math.floor(y / TILE), Math.floor(x / TILE));
          const direct = SIGMAS[tile.layers[0][(y % TILE) * tile.width + x % TILE]];
          const value = SIGMAS[patch.image[(y - patch.y0) * patch.width + x - patch.x0]];
          done([value, direct, patch.image.length, y, x]);
        });""",
        row,
    )
    value, direct, size, y, x = found
    peak = FLUXES[row] / (2 * np.pi * 2.5**2)
    assert value == direct and value == pytest.approx(peak, rel=0.06, abs=3.5)
    side = 46 * SPACING // 5 * 5
    assert size == np.prod([min(side, c + 25) - max(0, c - 24) for c in (y, x)])


def test_a_click_on_the_image_opens_the_source(page):
    scroll_to_field(page)
    assert texts(page, "#overview [role=status]") == [f"{NUMBER} sources in view, the first 300 are marked"]
    until(page, "return OVERVIEW.pictures.size > 0 && [...OVERVIEW.pictures.values()].every(Boolean)")
    x, y = at_source(page, 1000)  # not marked
    mouse(page, "mousePressed", x + 1, y)
    mouse(page, "mouseReleased", x + 1, y, 0)
    until(page, "return document.getElementById('source-1001') !== null")


def test_the_view_zooms_and_moves_and_a_drag_opens_nothing(page):
    scroll_to_field(page)
    page.execute_script("OVERVIEW.show(DATA.sources.y_stack[999], DATA.sources.x_stack[999], 120)")
    until(page, "return OVERVIEW.node.dataset.level === '0'")
    until(page, "return document.querySelectorAll('#overview .marks a').length < 80")
    assert "1000" in texts(page, "#overview .marks text")
    before = page.execute_script("return OVERVIEW.node.view")
    x, y = at_source(page, 999)
    box = page.execute_script(
        "const b = OVERVIEW.node.getBoundingClientRect(); return [b.left + b.width / 2, b.top + b.height / 2]"
    )
    assert (x, y) == pytest.approx(box, abs=1)
    mouse(page, "mousePressed", x, y)
    for step in (10, 50, 100):
        mouse(page, "mouseMoved", x + step, y)
    mouse(page, "mouseReleased", x + 100, y, 0)
    after = page.execute_script("return OVERVIEW.node.view")
    width = page.execute_script("return OVERVIEW.node.clientWidth")
    assert after["x"] == pytest.approx(before["x"] - 100 * before["width"] / width, abs=0.2)
    assert page.execute_script("return location.hash") == "" and len(texts(page, ".card")) == 1
    # the scale bar is that of the view
    assert texts(page, "#overview .compass text")[0] == "1″"
    page.execute_script("document.querySelector('#overview .zoom button:last-child').click()")
    assert page.execute_script("return OVERVIEW.node.view.width === DATA.stack.width")


def test_the_field_shows_the_source_of_a_card(page):
    page.execute_script("document.querySelector('.card .show').click()")
    until(page, "return OVERVIEW.node.view.width < 0.5 * DATA.stack.width")
    until(page, "return document.querySelector('#overview .marks .target') !== null")


def test_a_band_is_loaded_when_it_is_opened_and_its_images_move_together(page):
    assert page.execute_script("return document.querySelectorAll('#band-coarse canvas').length") == 0
    page.execute_script("location.hash = 'band-coarse'")
    until(page, "return document.querySelectorAll('#band-coarse .viewer').length === 3")
    until(page, "return document.querySelectorAll('#band-coarse .plot').length === 5")
    assert f"The 500 best measured of {NUMBER} offsets." in " ".join(texts(page, "#band-coarse figcaption"))
    assert len(page.find_elements("css selector", "#band-coarse .rings.own circle")) == 2
    page.execute_script("document.querySelector('#band-coarse .zoom button').click()")
    widths = page.execute_script(
        "return [...document.querySelectorAll('#band-coarse .viewer')].map((node) => node.view.width)"
    )
    assert widths == [page.execute_script("return DATA.bands[3].width") / 2] * 3
    boxes = page.execute_script(
        "return [...document.querySelectorAll('#band-coarse svg.marks')].map((n) => n.getAttribute('viewBox'))"
    )
    assert len(set(boxes)) == 1


def test_shapes_are_drawn_in_pixels_of_the_image_whatever_the_view(page):
    scroll_to_field(page)
    page.execute_script("document.querySelector('#edit button[data-key=manual]').click()")
    page.execute_script("OVERVIEW.show(DATA.sources.y_stack[999], DATA.sources.x_stack[999], 200)")
    page.execute_script("document.querySelector('#overview .viewer').scrollIntoView({block: 'center'})")
    x, y = at_source(page, 999)
    mouse(page, "mousePressed", x, y)
    mouse(page, "mouseMoved", x + 50, y)
    mouse(page, "mouseReleased", x + 50, y, 0)
    (line,) = texts(page, "#edit-list code")
    centre = page.execute_script(
        "return [DATA.sources.x_stack[999], DATA.sources.y_stack[999], OVERVIEW.node.clientWidth]"
    )
    numbers = [float(word) for word in line.removeprefix("image;circle(").removesuffix(")").split(",")]
    # FITS counts pixels from 1; a pixel of the screen is a fifth of one of the image
    assert numbers == pytest.approx([centre[0] + 1, centre[1] + 1, 50 * 200 / centre[2]], abs=0.25)
    boxes = page.execute_script(
        "return ['.edits', '.marks'].map((n) => document.querySelector(`#overview ${n}`).getAttribute('viewBox'))"
    )
    assert boxes[0] == boxes[1]


@pytest.mark.parametrize("width", [1300, 390])
def test_the_page_is_not_wider_than_the_window(page, browser, width):
    metrics = {"width": width, "height": 844, "deviceScaleFactor": 1, "mobile": False}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    try:
        assert page.execute_script("return [innerWidth, document.documentElement.scrollWidth <= innerWidth]") == [
            width, True]  # fmt: skip
    finally:
        browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_files_that_are_missing_are_named(browser, index, tmp_path):
    """A page that was copied without its folder, or that was written again while it was open."""
    shutil.copy(index, tmp_path / "index.html")
    opened(browser, (tmp_path / "index.html").as_uri())
    until(browser, "return document.getElementById('problem') !== null")
    assert "is missing. Load the page again" in texts(browser, "#problem")[0]
    browser.get_log("browser")


def test_a_file_that_was_cut_is_named(browser, index, tmp_path):
    report = tmp_path / "report"
    shutil.copytree(index.parent, report)
    (card,) = report.glob("index_files/*/cards/31.js")
    card.write_text(card.read_text()[:1000])
    opened(browser, (report / "index.html").as_uri())
    browser.execute_script("location.hash = 'source-1000'")
    until(browser, "return document.getElementById('problem') !== null")
    assert "cards/31.js is damaged" in texts(browser, "#problem")[0]
    assert browser.execute_script("return document.getElementById('source-1000')") is None
    browser.get_log("browser")
