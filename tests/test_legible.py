"""What a reader would not see is shown; what a reader sees stays as it is."""

from __future__ import annotations

import pytest

from harness.legible import legible


@pytest.mark.parametrize(
    "unseen",
    ["\u3164", "\uffa0", "\u115f", "\u1160", "\u2800", "\u034f", "\u180b", "\ufe0f", "\u2065", "\U000e0101"],
)
def test_a_character_that_is_seen_as_nothing_is_an_escape(unseen: str) -> None:
    """Else two names look alike, and a name like an empty one: no category of Unicode has all of these."""
    escaped = unseen.encode("unicode_escape").decode()
    assert legible(f"/usr/bin/ls{unseen}") == f"/usr/bin/ls{escaped}"


@pytest.mark.parametrize("text", ["a b", "Zürich", "日本語", "한국", "नमस्ते", "e\u0301", "\ufffd", "→ ✓"])
def test_what_is_seen_stays(text: str) -> None:
    assert legible(text) == text
