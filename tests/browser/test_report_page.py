"""The report in headless Chromium, controlled by its WebDriver. Skipped if Chromium is not installed."""

from __future__ import annotations

import itertools
import re
import time

import pytest
import write_report
from chromium import start_chromium, until
from field_products import COARSE, COMMON, TARGET, write_products

pytestmark = [pytest.mark.browser]


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    chrome = start_chromium(tmp_path_factory.mktemp("profile"))
    yield chrome
    chrome.quit()


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    folder = tmp_path_factory.mktemp("page")
    write_products(folder)
    page = folder / "results/report/index.html"
    write_report.main(str(folder / "spec.json"), str(folder / "results"), str(page), str(folder / "p.json"))
    return page.as_uri()


@pytest.fixture
def page(browser, address):
    """Load the page, and check after the test that the browser has logged no errors."""
    browser.get("about:blank")  # the browser does not reload an address that differs only in its fragment
    browser.get(address)
    until(browser, "return document.body.dataset.ready === 'yes'")
    yield browser
    # The tests read a canvas more often than the page does: warnings about that do not concern the page.
    messages = [entry["message"] for entry in browser.get_log("browser")]
    assert [text for text in messages if "willReadFrequently" not in text] == []


def texts(browser, selector):
    return browser.execute_script(
        "return [...document.querySelectorAll(arguments[0])].map(node => node.textContent.trim())", selector
    )


def rows(browser):
    return [int(text) for text in texts(browser, "#table tbody tr td:first-child")]


def click(browser, selector):
    browser.execute_script("arguments[0].click()", browser.find_element("css selector", selector))


def type_filter(browser, text):
    field = browser.find_element("id", "filter")
    field.clear()
    field.send_keys(text)


def grey(browser, selector, x, y):
    """Return the mean red channel of 5 x 5 pixels around (x, y) of a canvas, y from the top, once it is painted."""
    return until(
        browser,
        """const canvas = document.querySelector(arguments[0]), [x, y] = [arguments[1], arguments[2]];
        const bytes = canvas.getContext("2d").getImageData(x - 2, y - 2, 5, 5).data;
        let sum = 0, opaque = true;
        for (let k = 0; k < bytes.length; k += 4) { sum += bytes[k]; opaque &&= bytes[k + 3] === 255; }
        return opaque ? 1 + sum / 25 : 0;""",
        selector,
        x,
        y,
    )  # fmt: skip


def stamp(column, row, source=TARGET):
    return f"#source-{source} .stamps tbody tr:nth-child({row}) td:nth-child({column}) canvas"


def test_the_page_loads_from_disk_without_other_requests(page):
    assert "6 sources in 4 bands; target 2" in texts(page, "#lead")[0]
    requests = page.execute_script("return performance.getEntriesByType('resource').map(entry => entry.name)")
    assert [name for name in requests if not name.startswith("data:")] == []
    # nothing wider than the window
    assert page.execute_script("return document.documentElement.scrollWidth <= innerWidth")


def test_the_page_begins_with_the_warnings_of_the_run(page):
    assert page.execute_script("return document.querySelector('main').firstElementChild.id") == "summary"
    items = texts(page, "#summary > ul li")
    assert items[0] == "3 sources <b>touch</b> the edge. (detect_sources)" and len(items) == 8
    assert texts(page, "#summary summary") == ["4 more"]
    assert texts(page, "#summary details li")[2] == f"{COMMON} (mask_band red, prepare_psf coarse; 3 times)"
    links = page.find_elements("css selector", "#summary details li:nth-child(3) a")
    assert [link.get_attribute("href").rpartition("results/")[2] for link in links] == [
        "logs/mask_band/red.log", "logs/prepare_psf/coarse.log"]  # fmt: skip


def test_the_summary_has_counts_and_depths(page):
    assert texts(page, "#summary > p")[0].startswith("6 sources")
    cells = "row => [...row.children].map(cell => cell.textContent)"
    rows = page.execute_script(f"return [...document.querySelectorAll('#summary tbody tr')].map({cells})")
    assert [row[0] for row in rows] == [band["name"] for band in page.execute_script("return DATA.bands")]
    # noise 1 in a pixel and a PSF of 9 equal pixels: 5 × 3 image units
    assert all(row[2:4] == ["–", "15.0"] for row in rows)
    assert re.search(r"unblend \S+, \d{4}-\d\d-\d\d \d\d:\d\d UTC", texts(page, "#lead")[0])


def test_the_summary_has_the_number_counts_of_bands_with_magnitudes(page):
    # magnitudes 14.90, 15.65, 16.09, 16.40, 16.64, 16.84; nothing is seen in blue, and the first has no flux in coarse
    assert page.execute_script("return DATA.bands.map((band) => band.counts && band.counts.numbers)") == [
        None, [1, 0, 1, 2, 2], [1, 0, 1, 2, 2], [1, 2, 2]]  # fmt: skip
    titles = "[...document.querySelectorAll('#summary .counts svg')].map((plot) => plot.lastChild.textContent)"
    assert page.execute_script(f"return {titles}") == ["green", "red", "coarse"]


@pytest.mark.parametrize("width", [1300, 390])
def test_the_page_is_not_wider_than_the_window(page, browser, width):
    metrics = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    try:
        page.execute_script("document.querySelector('#summary details').open = true")
        wide = page.execute_script(
            """const right = innerWidth + scrollX, hidden = (node) => node.closest('.wide, .scroll, .field, .panels');
            return [...document.querySelectorAll('body *')].filter((node) => !hidden(node)
              && node.getBoundingClientRect().right > right + 1).map((node) => node.outerHTML.slice(0, 80))"""
        )
        assert wide == []
        assert page.execute_script("return [innerWidth, document.documentElement.scrollWidth <= innerWidth]") == [
            width, True]  # fmt: skip
    finally:
        browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_the_targets_card_is_open_and_the_first(page):
    assert texts(page, ".card h3")[0].startswith("Source 2target") and len(texts(page, ".card")) == 1
    facts = dict(zip(texts(page, ".card .facts th"), texts(page, ".card .facts td"), strict=True))
    assert facts["Sersic n"] == "1.00 ± 0.10" and facts["r_e [arcsec]"] == "0.300 ± 0.030"
    assert facts["fitted in"] == "imfit/1 with 1"
    fluxes = page.find_element("css selector", ".card .numbers").text
    assert re.search(r"green 250 2000 8\.00 2000 ± 8\.00 15\.65 ± 0\.00 2000 ± 8\.00", fluxes)
    # no source in blue: an upper limit in place of a magnitude
    assert re.search(r"blue 0 0 8\.00 0 ± 8\.00 > 20\.45 0 ± 8\.00", fluxes)


def test_a_card_shows_the_extinction_where_it_is_known(page):
    """The columns of a catalogue with `extinction`, put into the data of the page."""
    words = page.execute_async_script(
        """DATA.sources.ebv = DATA.sources.id.map(() => 0.021);
        DATA.bands[1].columns.extinction = DATA.sources.id.map(() => 0.068);
        cardOf(ROW_OF.get(DATA.target)).then((card) => arguments[0]([
          shapeTable(card).textContent, fluxTable(card).querySelector("thead").textContent,
          ...[...fluxTable(card).querySelectorAll("tbody tr")].map((line) => line.children[6].textContent)]));"""
    )
    assert "Galactic E(B−V)0.021" in words[0] and "A [mag]" in words[1]
    assert words[2:5] == ["–", "0.068", "–"]


def test_stamps_show_the_source_and_remove_its_neighbours(page):
    # Columns: kind, colour, stack, blue, green, red, coarse. The side of a stamp is 9.4" (six times the FWHM of 1.6" of
    # the coarse band), and its pixels are 0.071". Source 3 is 2.4" west (right) of the target at the centre.
    side = page.execute_script("return DATA.sources.side[1]")
    middle, beside = 66, round(66 + 2.4 / side * 132)
    for column in (5, 7):  # a sharp band, and the coarse band, which is rotated by 180 degrees
        assert grey(page, stamp(column, 1), middle, 66) < 80 and grey(page, stamp(column, 1), beside, 66) < 80
        assert grey(page, stamp(column, 2), middle, 66) < 80 and grey(page, stamp(column, 2), beside, 66) > 120
        assert grey(page, stamp(column, 3), middle, 66) > 120 and grey(page, stamp(column, 3), beside, 66) > 120
    assert grey(page, stamp(4, 1), middle, 66) > 120  # no source in blue


def test_the_spectral_energy_distribution(page):
    points = page.execute_script(
        "return [...document.querySelectorAll('.card .plot g[stroke]')].map(g => g.querySelector('title').textContent)"
    )
    assert points[1] == "green: 2000 ± 8.00 µJy" and len(points) == 4
    labels = texts(page, ".card .plot text")
    assert "wavelength [µm]" in labels and "flux [µJy]" in labels
    names = page.execute_script(
        """const of = (node) => [node.textContent, node.getBoundingClientRect().left];
        return [...document.querySelectorAll('.card .band-name text')].map(of)"""
    )
    assert sorted(name for name, _ in names) == sorted(point.split(":")[0] for point in points)
    lefts = [left for _, left in names]
    assert all(right - left > 8 for left, right in itertools.pairwise(lefts)), "names do not overlap"


def rgb(browser, selector, kind):
    text = browser.execute_script(
        "return getComputedStyle(document.querySelector(arguments[0]))[arguments[1]]", selector, kind
    )
    return [int(number) for number in re.findall(r"\d+", text)[:3]]


def test_dark_windows(page):
    """Text and plots change with the window, the images and the marks on them do not."""
    looks = {}
    for scheme in ("light", "dark"):
        wish = {"name": "prefers-color-scheme", "value": scheme}
        page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [wish]})
        image = grey(page, stamp(4, 2), 20, 66)
        mark = rgb(page, ".card .stamp .marks .own path", "stroke")
        looks[scheme] = rgb(page, "body", "backgroundColor"), rgb(page, ".card .band-name text", "fill"), image, mark
    page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})
    light, dark = looks["light"], looks["dark"]
    assert min(light[0]) > 240 and max(dark[0]) < 40
    assert max(light[1]) < 60 and min(dark[1]) > 200
    assert light[2:] == dark[2:]


def test_sorting(page):
    assert rows(page) == [1, 2, 3, 4, 5, 6]
    click(page, "th[data-key='chi2'] button")
    assert rows(page) == [6, 5, 4, 3, 2, 1]
    assert page.find_element("css selector", "th[data-key='chi2']").get_attribute("aria-sort") == "descending"
    click(page, "th[data-key='chi2'] button")
    assert rows(page) == [1, 2, 3, 4, 5, 6]
    click(page, f"th[data-key='snr_{COARSE}'] button")
    assert rows(page) == [2, 3, 4, 5, 6, 1]  # unknown values come last
    click(page, f"th[data-key='snr_{COARSE}'] button")
    assert rows(page) == [6, 5, 4, 3, 2, 1]


def test_filtering(page):
    for text, expected in [
        ("fit_on_bound", [6]),
        ("!fit_on_bound chi2>1.15", [3, 4, 5]),
        ("snr_green>=125 snr_green<500", [2, 3, 4]),
        ("no_pix", [1]),
        ("4", [4]),
        ("flux_blue=-4", [6]),
        ("n>5", []),
    ]:
        type_filter(page, text)
        assert rows(page) == expected, text
    type_filter(page, "colour>3")
    assert texts(page, "#filtered")[0].startswith("No column is named colour. Columns: id, snr_blue")
    assert "warn" in page.find_element("id", "filtered").get_attribute("class")
    type_filter(page, "chi2<1.05")
    assert texts(page, "#filtered") == ["1 of 6 sources"]


def test_columns_can_be_shown_and_hidden(page):
    assert not page.find_elements("css selector", "th[data-key='flux_red']")
    click(page, "input[data-group='flux']")
    assert page.find_elements("css selector", "th[data-key='flux_red']")
    click(page, "input[data-group='mag']")
    assert not page.find_elements("css selector", "th[data-key='mag_red']")


def test_a_click_on_a_row_opens_a_card_and_its_button_closes_it(page):
    click(page, "#table tbody tr[data-id='6'] td:nth-child(3)")
    until(page, "return document.getElementById('source-6') !== null")
    assert [text[:8] for text in texts(page, ".card h3")] == ["Source 2", "Source 6"]
    assert "A fitted parameter is at the limit of its allowed range." in texts(page, "#source-6 .flags li")[0]
    assert "PointSource" in texts(page, "#source-6 .facts td")
    assert grey(page, stamp(5, 1, source=6), 66, 66) < 120
    click(page, "#source-6 .close")
    assert page.execute_script("return document.getElementById('source-6')") is None
    assert page.execute_script("return location.hash") == "#sources"


def test_sources_are_links_in_all_sections(page):
    for number, selector in [
        (3, "#overview .marks a[href='#source-3']"),
        (1, ".card .numbers a[href='#source-1']"),
        (5, "#band-coarse .plot a[href='#source-5']"),
        (4, "#worst a[href='#source-4']"),
    ]:
        link = page.find_element("css selector", selector)
        page.execute_script(
            "arguments[0].dispatchEvent(new MouseEvent('click', {bubbles: true, cancelable: true}))", link
        )
        until(page, f"return document.getElementById('source-{number}') !== null")


def test_an_address_opens_a_card(browser, address):
    browser.get("about:blank")
    browser.get(address + "#source-5")
    until(browser, "return document.getElementById('source-5') !== null")
    assert browser.get_log("browser") == []


def test_bands_are_drawn_with_one_stretch_when_they_are_visible(page):
    canvas = "#band-coarse .panels figure:nth-child({}) canvas"
    assert page.execute_script("return document.querySelector(arguments[0]).width", canvas.format(1)) == 300  # not yet
    assert not page.execute_script("return document.getElementById('band-coarse').open")  # bands are folded
    page.execute_script("document.querySelector('#summary a[href=\"#band-coarse\"]').click()")
    until(page, "return document.getElementById('band-coarse').open")
    until(page, f"return document.querySelector('{canvas.format(3)}').width === 24")
    # The target in the coarse band is at (x, y) = (11.5, 19.5) of 24 pixels, at 4 from the top.
    at = (12, 4)
    assert grey(page, canvas.format(1), *at) < 80 and grey(page, canvas.format(2), *at) < 80
    assert grey(page, canvas.format(3), *at) > 120
    before = grey(page, canvas.format(2), 12, 12)
    page.execute_script(
        "const s = document.getElementById('stretch'); s.value = '1000'; s.dispatchEvent(new Event('change'))"
    )
    until(page, "return STRETCH.high === 1000")
    time.sleep(0.2)
    assert grey(page, canvas.format(2), 12, 12) > before  # fainter, since the black level is higher
    assert len(page.find_elements("css selector", "#band-coarse .rings.empty circle")) == 1
    # the source that only this band shows, on the image and on the residual
    assert len(page.find_elements("css selector", "#band-coarse .rings.own circle")) == 2
    assert "fits better" in texts(page, "#band-coarse .warn")[0]
    # chi2 map, arrows, the field of shifts, Monte Carlo, formal against Monte Carlo errors
    assert len(page.find_elements("css selector", "#band-coarse .plot")) == 5


def test_an_offset_is_an_arrow_only_where_it_is_significant(page):
    """Two offsets of 0.04" with errors of 0.01" and 0.02" along both axes."""
    drawn = page.execute_script(
        """const same = { dx: [0.04, 0.04], dy: [0, 0] }, errors = [0.01, 0.02];
        const found = { id: [1, 2], x: [5, 9], y: [5, 9], ...same, err_dx: errors, err_dy: errors };
        const number = (node, kind) => node.querySelectorAll(kind).length;
        return [...offsetsPlot(DATA.bands[1], found).querySelectorAll("a")]
          .map((node) => [number(node, "circle"), number(node, "path")])"""
    )
    assert drawn == [[2, 1], [2, 0]]


def test_the_sed_has_the_upper_limits_of_the_table(page):
    """No light in blue: below 3 errors of 8 microjansky. All other points have error bars."""
    found = page.execute_script(
        """return [...document.querySelectorAll(".card .plot g")].filter((g) => g.querySelector(":scope > title"))
        .map((g) => [g.querySelector("title").textContent, g.querySelectorAll("circle").length])"""
    )
    assert found[0] == ["blue: 0 ± 8.00 µJy, below 24.0 µJy", 0]
    assert len(found) == 4 and all(points == 1 and "below" not in title for title, points in found[1:])


def test_the_field_of_shifts_is_drawn_with_the_offsets_from_which_it_was_fitted(page):
    titles = texts(page, "#band-coarse .plot text")
    assert "offsets of bright sources" in titles and "field of shifts" in titles
    field = "[...document.querySelectorAll('#band-coarse .plot')].find(plot => plot.textContent.includes('field of'))"
    # eight by eight grey arrows; 0.01 arcsec that are left and 0.02 of the field at each of six sources
    assert page.execute_script(f"return {field}.querySelectorAll('g > path').length") == 64
    found = page.execute_script(f"return [...{field}.querySelectorAll('a title')].map(title => title.textContent)")
    assert len(found) == 6 and found[0] == "1: 0.030 ± 0.005, 0.030 ± 0.005 arcsec"
    # all other bands have one shift
    assert sum("field of order 1" in text for text in texts(page, "#bands td")) == 1
    assert "field of shifts" not in texts(page, "#band-green .plot text")


def test_fits_with_the_worst_first_and_run_times(page):
    assert texts(page, "#worst tbody td:first-child") == ["6", "5", "4", "3", "2", "1"]
    assert "1 of 6 fits are flagged" in texts(page, "#fits p")[0]
    assert texts(page, "#time tbody th") == ["extract_fluxes", "detect_sources"]
    links = [link.get_attribute("href") for link in page.find_elements("css selector", "#fits a[href*='imfit']")]
    assert links[0].endswith("imfit/sheet.html") and all("sheet.html#group-" in link for link in links[1:7])
