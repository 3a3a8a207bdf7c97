from __future__ import annotations

import json
from html.parser import HTMLParser

import numpy as np
import pytest
from unblend.report.page import SECTIONS, decimals, in_script, numbers, page


class Balance(HTMLParser):
    """Check that tags are closed, and collect the addresses, IDs and texts of the page."""

    def __init__(self):
        super().__init__()
        self.open, self.hrefs, self.ids, self.texts = [], [], [], {}

    def handle_starttag(self, tag, attrs):
        named = dict(attrs)
        self.hrefs += [named["href"]] if "href" in named else []
        self.ids += [named["id"]] if "id" in named else []
        if tag not in ("meta", "link"):
            self.open.append((tag, named.get("id")))

    def handle_endtag(self, tag):
        assert self.open.pop()[0] == tag

    def handle_data(self, data):
        if self.open and self.open[-1][1]:
            self.texts[self.open[-1][1]] = data


def test_numbers_have_significant_digits_and_nan_becomes_none():
    assert numbers(np.array([1234567.8, -0.00012345678, 0.0, np.nan, np.inf])) == [
        1234600.0,
        -0.00012346,
        0.0,
        None,
        None,
    ]
    whole = numbers(np.array([3, 1234567]))
    assert whole == [3, 1234567] and all(isinstance(value, int) for value in whole)
    assert numbers([3.14159], 3) == [3.14]


def test_decimals():
    assert decimals(np.array([53.08730049, np.nan]), 6) == [53.0873, None]


def test_text_in_json_cannot_end_its_element():
    text = in_script({"name": "</script><b>"})
    assert "<" not in text and json.loads(text) == {"name": "</script><b>"}
    with pytest.raises(ValueError, match="JSON"):
        in_script([float("nan")])


def test_the_page_contains_its_data_images_and_programs():
    data = {"name": "a </script> & b", "n": [1, None]}
    text = page("Report <1>", data, {"band:k:image": b"\x89PNG"}, "p { color: red }", [("one.js", "const a = 1 < 2;")])
    reader = Balance()
    reader.feed(text)
    assert reader.open == []
    assert json.loads(reader.texts["data"]) == data
    assert reader.texts["png:band:k:image"] == "iVBORw=="
    assert [href for href in reader.hrefs if href.startswith("#")] == [f"#{name}" for name, _ in SECTIONS]
    assert {name for name, _ in SECTIONS} <= set(reader.ids)
    assert text.count("Report &lt;1&gt;") == 2 and "const a = 1 < 2;" in text
