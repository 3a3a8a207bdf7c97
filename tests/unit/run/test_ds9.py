"""The command line that shows a field in DS9; tests/integration/test_ds9.py opens it."""

from __future__ import annotations

from unblend.run.ds9 import Ds9Frame, ds9_arguments


def words_after(words: list[str], word: str) -> list[str]:
    return words[words.index(word) + 1 :]


def test_frames_come_in_order_with_their_regions():
    frames = [Ds9Frame("a b.fits", ("one.reg", "two.reg")), Ds9Frame("seg.fits", labels=True), Ds9Frame("c.fits")]
    words = ds9_arguments(frames, (53.1, -27.8), "field-k", (1500, 900))
    assert words[:6] == ["ds9", "-title", "field-k", "-geometry", "1500x900", "a b.fits"]
    assert [word for word in words if word.endswith(".fits")] == ["a b.fits", "seg.fits", "c.fits"]
    assert words.count("new") == 2
    before_second = words[: words.index("seg.fits")]
    assert [word for word in before_second if word.endswith(".reg")] == ["one.reg", "two.reg"]
    # segments have a colour of their own each, images a grey
    assert words_after(words, "seg.fits")[:2] == ["-cmap", "sls"] and words_after(words, "c.fits")[1] == "grey"


def test_limits_of_an_image_are_its_own():
    frames = [Ds9Frame("a.fits", limits=(0.2, 0.3)), Ds9Frame("b.fits", limits=(-0.05, 0.05))]
    words = ds9_arguments([*frames, Ds9Frame("seg.fits", labels=True)], (53.1, -27.8), "t", (1500, 900))
    text = " ".join(words)
    assert "-scale limits 0.2 0.3" in text and "-scale limits -0.05 0.05" in text and "scalelimits" not in text
    plain = ds9_arguments([Ds9Frame("a.fits"), Ds9Frame("seg.fits", labels=True)], (53.1, -27.8), "t", (1500, 900))
    assert "-scale mode zscale" in " ".join(plain) and "scalelimits" in plain


def test_the_view_is_centred_on_the_target():
    words = ds9_arguments([Ds9Frame("a.fits")], (53.1, -27.8), "t", (1500, 900))
    assert words_after(words, "-pan")[:3] == ["to", "53.1000000", "-27.8000000"]


def test_four_frames_are_in_two_rows():
    for number, mode in ((3, "column"), (4, "grid")):
        words = ds9_arguments([Ds9Frame("a.fits")] * number, (53.1, -27.8), "t", (1500, 900))
        assert words[words.index("mode", words.index("-tile")) + 1] == mode
