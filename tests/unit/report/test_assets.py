from __future__ import annotations

import re

from unblend.report.assets import FILE_PROGRAMS, FOLDER, PROGRAMS, read_programs, read_style


def test_style_and_programs_load_nothing_from_the_network():
    assert sorted(path.name for path in FOLDER.glob("*.js")) == sorted(FILE_PROGRAMS)
    for name, text in [*read_programs(FILE_PROGRAMS), ("style.css", read_style())]:
        addresses = set(re.findall(r"https?://[^\s\"'`]+", text)) - {
            "http://www.w3.org/2000/svg"
        }  # a name, not an address
        assert not addresses, f"{name} contains {addresses}"
        # the server of `./unblend page`, beside the page itself
        text = text.replace("fetch(`../api/", "")
        assert not re.search(r"\bimport\b|\bfetch\(|XMLHttpRequest|@import|url\((?!#)", text), f"{name} loads something"
        assert "</" not in text, f"{name} could end its element"
        assert text.count("\n") <= 300, f"{name} is too long: split it"


def test_programs_are_in_the_order_of_execution():
    names = [name for name, _ in read_programs()]
    assert names == list(PROGRAMS) and names[0] == "base.js" and names[-1] == "main.js"
    assert FILE_PROGRAMS[-1] == "main.js" and set(FILE_PROGRAMS) == {*PROGRAMS, "files.js", "viewer.js"}
