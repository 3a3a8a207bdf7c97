from __future__ import annotations

from unblend.field.stored_fits import PASSES, Stamp, first_pass_limits, key_with_limits, read_stamp
from unblend.io.files import write_json


def test_the_stamp_of_a_fit_is_read_from_the_end_of_its_file(tmp_path):
    path = tmp_path / "first.json"
    for stamp in (Stamp("abc123"), Stamp("abc123", 600.0), Stamp("ab" * 8, 1.5e-05)):
        write_json(path, {"fit": {"members": []}, **stamp.content()})
        assert read_stamp(path) == stamp
    assert read_stamp(tmp_path / "nothing.json") is None
    path.write_text('{"fit": {}, "key": "ab')
    assert read_stamp(path) is None
    path.write_text('{"fit": {}, "key": "abc123", "timed_out_at_s": 60')
    assert read_stamp(path) is None


def test_a_fit_holds_with_its_key_and_with_no_more_time_than_it_had():
    assert Stamp("a").holds("a", 1e9) and not Stamp("a").holds("b", 1.0)
    assert Stamp("a", 600.0).holds("a", 600.0) and not Stamp("a", 600.0).holds("a", 600.1)


def test_limits_of_first_passes_enter_the_key_of_the_second(tmp_path):
    write_json(tmp_path / "1" / PASSES["first"], {"fit": {}, **Stamp("one").content()})
    write_json(tmp_path / "2" / PASSES["first"], {"fit": {}, **Stamp("two", 300.0).content()})
    assert first_pass_limits(tmp_path, ["1", "3"]) == {}
    assert first_pass_limits(tmp_path, ["2", "1"]) == {"2": 300.0}
    assert key_with_limits("key", {}) == "key"
    assert len({"key", key_with_limits("key", {"2": 300.0}), key_with_limits("key", {"2": 301.0})}) == 3
