from __future__ import annotations

from pathlib import Path

import pytest
from unblend.core.flags import SENTENCES, Flag, describe, markdown, names

ROOT = Path(__file__).resolve().parents[3]


def test_every_flag_has_one_bit_and_one_sentence():
    assert set(SENTENCES) == set(Flag)
    assert sorted(int(flag) for flag in Flag) == [1 << bit for bit in range(len(Flag))]
    assert len(set(SENTENCES.values())) == len(Flag)
    assert all(sentence.endswith(".") and len(sentence) < 110 for sentence in SENTENCES.values())


def test_describe_and_names_go_from_the_lowest_bit():
    value = int(Flag.FIT_REPLACED | Flag.NO_PIXELS)
    assert names(value) == ["no_pixels", "fit_replaced"]
    assert describe(value) == [SENTENCES[Flag.NO_PIXELS], SENTENCES[Flag.FIT_REPLACED]]
    assert names(0) == describe(0) == []


def test_published_bits_never_move():
    # catalogues on disk hold these numbers
    assert {flag.name: int(flag) for flag in list(Flag)[:6]} == {
        "NO_PIXELS": 1, "PARTLY_MASKED": 2, "DEGENERATE": 4, "ON_EDGE": 8, "NO_MODEL": 16, "FIT_RETRIED": 32,
    }  # fmt: skip


def test_the_documentation_is_up_to_date():
    path = ROOT / "docs" / "flags.md"
    if not path.exists():
        pytest.skip("this copy has no docs/flags.md")
    assert path.read_text(encoding="utf-8") == markdown()
    for flag in Flag:
        assert f"| {int(flag).bit_length() - 1} | {int(flag)} | {flag.name.lower()} | {SENTENCES[flag]} |" in markdown()
