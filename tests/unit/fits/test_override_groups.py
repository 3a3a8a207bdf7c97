from __future__ import annotations

import pytest
from unblend.core.errors import OverrideError
from unblend.fits.override_groups import Directives, origin_line, requested_groups, split_directives


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("n 4\n", Directives()),
        ("GROUP alone  # too near the edge\n", Directives(alone=True)),
        ("GROUP with 12, 15\nGROUP with 3", Directives(partners=(3, 12, 15))),
        ("PIXELS cutout\n", Directives(in_cutout=True)),
        ("COMPONENTS free\n", Directives(free_components=True)),
        ("COMPONENTS tied\n", Directives()),
        (f"# {origin_line(20, 30)}\nX0 5\n", Directives(in_cutout=True, origin=(20, 30))),
        (f"# {origin_line(-4, -1)}\n", Directives(in_cutout=True, origin=(-4, -1))),
        (f"# {origin_line(20, 30)}\nPIXELS stack\n", Directives()),
        ("# Best-fit model results for imfit\n", Directives(in_cutout=True)),
    ],
)
def test_directives_of_a_file(text, expected):
    assert split_directives(text, "7.dat")[0] == expected


def test_the_remaining_lines_keep_their_numbers():
    assert split_directives("GROUP alone\n\nn 4\nPIXELS stack", "7.dat")[1] == "\n\nn 4\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("n 4\nGROUP wiht 12", "line 2: expected 'GROUP alone' or 'GROUP with' and IDs, found 'GROUP wiht 12'"),
        ("GROUP with", "line 1: expected 'GROUP alone' or"),
        ("GROUP with x", "found 'GROUP with x'"),
        ("GROUP", "found 'GROUP'"),
        ("\nGRUOP alone", "line 2: found 'GRUOP'; did you mean GROUP"),
        ("Function Sersic", "line 1: found 'Function'; did you mean FUNCTION"),
        ("PIXEL cutout", "did you mean PIXELS"),
        ("COMPONENT free", "did you mean COMPONENTS"),
        ("COMPONENTS two", "line 1: expected 'COMPONENTS free' or 'COMPONENTS tied', found 'COMPONENTS two'"),
        ("PIXELS sky", "expected 'PIXELS stack' or 'PIXELS cutout', found 'PIXELS sky'"),
        ("GROUP alone\nGROUP with 3", "line 2: found both GROUP alone and GROUP with; keep one"),
    ],
)
def test_mistakes_are_explained(text, message):
    with pytest.raises(OverrideError, match=f"overrides/7.dat.*{message}"):
        split_directives(text, "overrides/7.dat")


def requested(**texts):
    return requested_groups({int(name[1:]): (text, f"{name[1:]}.dat") for name, text in texts.items()})


def test_requests_of_all_files():
    assert requested() == {"alone": [], "together": []}
    found = requested(_9="GROUP with 2", _7="GROUP alone\nn 4", _4="GROUP with 5 6", _6="GROUP with 2", _1="n 1")
    assert found == {"alone": [7], "together": [[2, 4, 5, 6, 9]]}


def test_contradictory_requests_are_an_error():
    with pytest.raises(OverrideError, match=r"7.dat: GROUP with 7 lists the source itself; list only other sources"):
        requested(_7="GROUP with 7")
    with pytest.raises(OverrideError, match=r"7.dat: GROUP with 9, but 9.dat says GROUP alone"):
        requested(_7="GROUP with 9", _9="GROUP alone")
