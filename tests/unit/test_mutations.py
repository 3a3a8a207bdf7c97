"""Mutated inputs of every kind end right or in a sentence: never in a traceback, a hang or a wrong value in silence."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mutations import KINDS, RIGHT, SENTENCE, judge

PROFILE = settings(
    max_examples=40, derandomize=True, database=None, deadline=None, suppress_health_check=list(HealthCheck)
)


@pytest.mark.parametrize("kind", KINDS)
def test_a_mutated_input_ends_right_or_in_a_sentence(kind, tmp_path_factory):
    folder, verdicts = tmp_path_factory.mktemp("mutations"), set()

    @PROFILE
    @given(case=KINDS[kind][0])
    def check(case):
        verdict, why = judge(kind, case, folder)
        verdicts.add(verdict)
        assert verdict in (RIGHT, SENTENCE), f"{verdict}: {why}\n{case!r}"

    check()
    assert RIGHT in verdicts  # not everything is refused


@pytest.mark.parametrize(("kind", "case"), [("override", "r_e nan\n"), ("regions", "image\ncircle(1,1,nan)\n")])
def test_the_judge_knows_a_sentence(kind, case, tmp_path):
    assert judge(kind, case, tmp_path)[0] == SENTENCE


def test_the_judge_knows_a_fault(tmp_path, monkeypatch):
    def faulty(case, folder):
        raise KeyError(case)

    for name, judged, expected in (("a", faulty, "traceback"), ("b", lambda *_: "wrong: 7 for 8", "wrong")):
        monkeypatch.setitem(KINDS, name, (st.none(), judged))
        assert judge(name, "x", tmp_path)[0] == expected
