from __future__ import annotations

import pytest
from unblend.core.shown import MAX_SHOWN, shortened


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("uJy", "uJy"),
        ("two\nlines\x07", r"two\nlines\x07"),
        ("x" * MAX_SHOWN, "x" * MAX_SHOWN),
        ("x" * (MAX_SHOWN + 1), "x" * (MAX_SHOWN - 1) + "…"),
        ("\n" * 1000, r"\n" * (MAX_SHOWN // 2 - 1) + "\\" + "…"),
    ],
)
def test_text_of_a_user_is_one_short_line(text, shown):
    assert shortened(text) == shown and len(shown) <= MAX_SHOWN
