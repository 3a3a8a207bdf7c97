"""Long headers, parsed by Astropy, have the cards that fitsio finds in them."""

from __future__ import annotations

import gzip
import shutil

import fitsio
import numpy as np
import pytest
from unblend.io import headers
from unblend.io.headers import comments_of, header_text, read_cards
from unblend.io.images import read_array, read_header

TEXT = "a text that does not fit into one card " * 4


def write_long(path, extra=()):
    """Write an image whose header has 600 cards of every kind."""
    cards = [{"name": f"KEY{k}", "value": value} for k, value in enumerate([True, 2, -3.5, "x y ", "it's", TEXT])]
    cards += [{"name": f"NUM{k}", "value": 0.1 * k} for k in range(600)]
    cards += [{"name": "NUM7", "value": 77}, {"name": "HISTORY", "value": "made"}, {"name": "COMMENT", "value": "none"}]
    fitsio.write(str(path), np.ones((3, 4), dtype=np.float32), header=[*cards, *extra], clobber=True)
    return path


def by_fitsio(path, monkeypatch):
    """Return the cards as fitsio reads them."""
    with monkeypatch.context() as patch, fitsio.FITS(str(path)) as fits:
        patch.setattr(headers, "LONG", 10**6)
        return read_cards(fits[0])


def test_both_readers_find_the_same_cards(tmp_path, monkeypatch):
    path = write_long(tmp_path / "long.fits")
    with fitsio.FITS(str(path)) as fits:
        assert len(header_text(fits[0])) > headers.LONG * 80
        cards = read_cards(fits[0])
    expected = by_fitsio(path, monkeypatch)
    assert {k: repr(v) for k, v in cards.items()} == {k: repr(v) for k, v in expected.items()}
    assert cards["KEY0"] is True and cards["KEY1"] == 2 and cards["KEY5"] == TEXT.rstrip() and cards["NUM7"] == 77
    assert read_header(str(path)) == cards


def test_comments_of_a_long_header(tmp_path, monkeypatch):
    path = write_long(tmp_path / "long.fits", [{"name": "MAGZERO", "value": 25.9, "comment": "AB magnitude"}])
    with fitsio.FITS(str(path)) as fits:
        comments = comments_of(fits[0])
        monkeypatch.setattr(headers, "LONG", 10**6)
        assert comments == comments_of(fits[0])
    assert comments["MAGZERO"] == "AB magnitude" and comments["NUM3"] == ""


@pytest.mark.parametrize("card", [b"BAD     = 1.2.3", b"BROKEN  = 'no end"])
def test_a_card_beyond_the_standard_is_left_to_fitsio(card, tmp_path, monkeypatch):
    path = write_long(tmp_path / "long.fits", [{"name": "PLACE", "value": 1}])
    content = path.read_bytes()
    place = content.index(b"PLACE   ")
    path.write_bytes(content[:place] + card.ljust(80) + content[place + 80 :])
    with fitsio.FITS(str(path)) as fits:
        assert read_cards(fits[0]) == by_fitsio(path, monkeypatch)


def test_a_compressed_file(tmp_path, monkeypatch):
    path = write_long(tmp_path / "long.fits")
    packed = tmp_path / "long.fits.gz"
    with path.open("rb") as plain, gzip.open(packed, "wb") as stream:
        shutil.copyfileobj(plain, stream)
    with fitsio.FITS(str(packed)) as fits:
        assert header_text(fits[0]) is None
        assert read_cards(fits[0]) == by_fitsio(path, monkeypatch)
    assert np.array_equal(read_array(str(packed)), np.ones((3, 4)))
