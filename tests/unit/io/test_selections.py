from __future__ import annotations

import pytest
from unblend.core.errors import InputError
from unblend.io.selections import Selection, known_extensions, split_extension


@pytest.mark.parametrize(
    ("name", "path", "selection"),
    [
        ("a/b.fits", "a/b.fits", None),
        ("b.fits[SCI]", "b.fits", "SCI"),
        ("b.fits[SCI,2]", "b.fits", "SCI,2"),
        ("cube.fits[DATA][*,*,3]", "cube.fits", "DATA][*,*,3"),
        ("cube.fits[*,*,3]", "cube.fits", "*,*,3"),
        ("field[1]/b.fits", "field[1]/b.fits", None),
    ],
)
def test_paths_and_what_follows_them(name, path, selection):
    assert split_extension(name) == (path, selection)


@pytest.mark.parametrize(
    ("text", "key", "plane"),
    [
        (None, None, None),
        ("SCI", "SCI", None),
        ("2", 2, None),
        ("SCI,2", ("SCI", 2), None),
        ("DATA][*, *, 3", "DATA", 3),
        ("*,*,12", None, 12),
        ("a,b", "a,b", None),
        ("PRIMARY", 0, None),
        ("primary,1][*,*,2", 0, 2),
    ],
)
def test_selections(text, key, plane):
    assert Selection.parse(text) == Selection(key, plane)


def test_the_plane_of_a_cube():
    assert Selection(plane=3).plane_index((5, 20, 30), "c.fits") == (2,)
    assert Selection().plane_index((20, 30), "c.fits") == ()
    assert Selection().plane_index((1, 1, 20, 30), "c.fits") == (0, 0)


@pytest.mark.parametrize(
    ("plane", "shape", "message"),
    [
        (
            None,
            (5, 20, 30),
            r"5 planes of 30 x 20 pixels; .* Name a plane from 1 to 5: c\.fits\[EXT\]",
        ),
        (6, (5, 20, 30), "5 planes of 30 x 20 pixels"),
        (0, (5, 20, 30), "5 planes of 30 x 20 pixels"),
        (1, (2, 3, 20, 30), "6 planes of 30 x 20 pixels"),
        (None, (30,), "one dimension; expected a two-dimensional image"),
        (None, (), "no pixels; expected a two-dimensional image"),
    ],
)
def test_what_is_not_an_image_is_refused(plane, shape, message):
    with pytest.raises(InputError, match=message):
        Selection(plane=plane).plane_index(shape, "c.fits[SCI]")


def test_extensions_are_listed_as_one_names_them():
    assert known_extensions([("", 1), ("SCI", 1), ("SCI", 2), ("WHT", 1)]) == "[0], [SCI,1], [SCI,2], [WHT]"
