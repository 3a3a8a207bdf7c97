"""Places of stars in tables and DS9 files."""

from __future__ import annotations

import numpy as np
import pytest
from unblend.core.errors import InputError
from unblend.io.star_places import read_star_places


def test_a_table_needs_no_ids(tmp_path):
    (tmp_path / "stars.csv").write_text("RA,Dec,mag\n53.1,-27.8,20\n03:32:24,-27:48:00,21\n".replace(",mag", ",m"))
    ra, dec = read_star_places(str(tmp_path / "stars.csv"))
    np.testing.assert_allclose(ra, [53.1, 53.1])
    np.testing.assert_allclose(dec, [-27.8, -27.8])


@pytest.mark.parametrize("head", ["ra dec", "# ra dec", "# ra dec id"])
def test_columns_separated_by_blanks_are_read(tmp_path, head):
    (tmp_path / "stars.txt").write_text(f"{head}\n53.1 -27.8 {'3' if 'id' in head else ''}\n")
    ra, dec = read_star_places(str(tmp_path / "stars.txt"))
    assert (ra[0], dec[0]) == (53.1, -27.8)


def test_circles_and_points_are_places(tmp_path):
    text = 'icrs\ncircle(53.1,-27.8,2") # text={a}\npoint(53.2,-27.7) # point=x\n-circle(53.3,-27.8,1")\n'
    (tmp_path / "stars.reg").write_text(text)
    regions = read_star_places(str(tmp_path / "stars.reg"))
    assert [region.kind for region in regions] == ["circle", "circle"]


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.csv", "ra,dec\n", "no rows"),
        ("a.csv", "x,y\n1,2\n", "no column ra or alpha_j2000"),
        ("a.csv", "ra,dec\n53.1,-97.8\n", "outside the sky in the rows 1"),
        ("a.reg", "icrs\ntext(1,2) # text={b}\n", "no circles or points"),
        ("a.reg", "icrs\ncircle(1,2\n", "a.reg"),
    ],
)
def test_what_cannot_be_used_is_an_error(tmp_path, name, text, message):
    (tmp_path / name).write_text(text)
    with pytest.raises(InputError, match=message):
        read_star_places(str(tmp_path / name))


@pytest.mark.parametrize("name", ["none.csv", "none.reg"])
def test_a_missing_file_is_an_error(tmp_path, name):
    with pytest.raises(InputError, match="none"):
        read_star_places(str(tmp_path / name))
