"""Documents are in plain English: a few words that make a sentence vague or literary are rejected."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.docs.test_guide import PAGES, ROOT

DOCUMENTS = [*PAGES, *sorted((ROOT / "docs/decisions").glob("*.md"))]
REJECTED = (
    r"nobody",
    r"somebody",
    r"anew",
    r"afresh",
    r"of itself",
    r"(?<!there )is none",
    r"beside",
    r"so that none",
    r"whatever else",
    r"what there is not",
    r"to and fro",
    r"spelt out",
    r"as it lies",
    r"in the same breath",
)


def _prose(text: str) -> str:
    """The text without code, links' targets and quoted titles: what a reader reads as English."""
    text = re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
    return re.sub(r"`[^`]*`|\]\([^)]*\)", "", text)


def _found(text: str) -> list[str]:
    """The rejected words in the prose of `text`."""
    return re.findall(rf"\b(?:{'|'.join(REJECTED)})\b", " ".join(_prose(text).split()), flags=re.IGNORECASE)


@pytest.mark.parametrize("page", DOCUMENTS, ids=[str(page.relative_to(ROOT)) for page in DOCUMENTS])
def test_a_page_has_no_rejected_word(page: Path) -> None:
    assert _found(page.read_text()) == []


def test_a_rejected_word_is_found_in_prose_and_not_in_code() -> None:
    assert _found("The host that\nnobody asked. `nobody` is a user.\n\n```\nsu nobody\n```\n") == ["nobody"]
    assert _found("It is never 0 where there is none.") == []
