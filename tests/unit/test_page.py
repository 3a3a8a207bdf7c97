from __future__ import annotations

import base64
from html.parser import HTMLParser

from matplotlib.figure import Figure
from unblend.page import image, page, paragraph, png, section, table


def small():
    figure = Figure(figsize=(1, 1))
    figure.add_axes((0, 0, 1, 1)).plot([0, 1], [0, 1])
    return figure


class Balance(HTMLParser):
    """Opens and closes tags; collects addresses."""

    def __init__(self):
        super().__init__()
        self.open, self.hrefs, self.ids, self.sources = [], [], [], []

    def handle_starttag(self, tag, attrs):
        named = dict(attrs)
        self.hrefs += [named["href"]] if "href" in named else []
        self.ids += [named["id"]] if "id" in named else []
        self.sources += [named["src"]] if "src" in named else []
        if tag not in ("meta", "img"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_a_figure_is_inside_the_page_and_always_the_same():
    first = png(small())
    assert base64.b64decode(first.removeprefix("data:image/png;base64,")).startswith(b"\x89PNG") and first == png(
        small()
    )


def test_text_is_escaped():
    assert paragraph("a < b & c", "warn") == '<p class="warn">a &lt; b &amp; c</p>'
    assert "<td>&lt;script&gt;</td>" in table(["<b>"], [["<script>"]]) and "<th>&lt;b&gt;</th>" in table(["<b>"], [])
    assert 'alt="5&quot; &amp; more"' in image(small(), '5" & more')


def test_table_by_hand():
    assert table(["a", "b"], [["1", "2"], ["3", "4"]]) == (
        "<table><thead><tr><th>a</th><th>b</th></tr></thead><tbody><tr><td>1</td><td>2</td></tr>"
        "<tr><td>3</td><td>4</td></tr></tbody></table>"
    )


def test_the_page_is_whole_and_needs_no_network():
    parts = [(name, section(name, paragraph("x"), image(small(), name))) for name in ("irac-ch1 & more", "Fits")]
    text = page("Report <1>", "180 sources", parts)
    reader = Balance()
    reader.feed(text)
    assert reader.open == []
    assert [href.removeprefix("#") for href in reader.hrefs] == reader.ids == ["irac-ch1-&-more", "Fits"]
    assert all(source.startswith("data:") for source in reader.sources) and len(reader.sources) == 2
    assert "http" not in text and text.count("Report &lt;1&gt;") == 2
