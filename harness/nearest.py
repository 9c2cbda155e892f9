"""Hints at what a person may have meant."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def nearest(word: str, candidates: Iterable[str]) -> str:
    """A hint at the candidate that looks most like `word`; empty where none does."""
    near = difflib.get_close_matches(word.lower(), [name for name in candidates if name], n=1)
    return f"did you mean {near[0]!r}?" if near else ""
