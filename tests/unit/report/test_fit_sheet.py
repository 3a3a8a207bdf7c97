from __future__ import annotations

import re

from unblend.core.flags import Flag
from unblend.report.fit_sheet import Card, sheet


def card(group, chi2, failed=0, bits=0, size=(900, 400), members=None):
    members = members or (int(group),)
    return Card(group, members, failed, chi2, tuple((i, int(bits)) for i in members), size)


def test_failed_groups_come_first_then_the_worst_chi2():
    page = sheet([card("1", 1.0), card("2", 3.0), card("3", 0.0, failed=1), card("4", 3.0)])
    assert re.findall(r'<article id="group-(\d+)"', page) == ["3", "2", "4", "1"]


def test_pictures_are_next_to_the_page_and_loaded_when_visible():
    page = sheet([card("12", 1.0)])
    assert '<img loading="lazy" width="900" height="400"' in page and 'src="12/fit.png"' in page
    assert "http" not in page and "file:" not in page


def test_flags_are_described_with_their_source():
    page = sheet([card("5", 1.0, bits=Flag.FIT_ON_BOUND, members=(5, 8))])
    assert page.count("<b>8</b> A fitted parameter is at the limit of its allowed range.") == 1
    assert 'data-ids="5 8"' in page and "fit on bound" in page
    assert "1 group of 2 sources, worst first; 1 has a flag" in page
    assert "2 groups of 2 sources, worst first; 0 have a flag" in sheet([card("5", 1.0), card("6", 1.0)])


def test_a_group_without_a_picture_has_a_note():
    page = sheet([card("5", 1.0, size=None)])
    assert "<img" not in page and "There is no picture" in page


def test_the_page_of_a_thousand_groups_is_small():
    # only the text: pictures are loaded when they come into view
    assert len(sheet([card(str(i), 1.0) for i in range(1, 1001)])) < 600_000
