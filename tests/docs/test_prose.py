"""Documents and what sources say are in plain English: a few vague or literary words are rejected."""

from __future__ import annotations

import io
import re
import tokenize
from pathlib import Path

import pytest

from tests.docs.test_guide import PAGES, ROOT

SOURCES = ("harness", "benchmarks", "playbooks", "openstack")
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


def _said(source: str) -> str:
    """The comments, docstrings and texts of Python source, without code in them and the value None."""
    kept = {tokenize.COMMENT, tokenize.STRING}
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    text = "\n\n".join(one.string for one in tokens if one.type in kept)
    return re.sub(r"``[^`]*``|\bNone\b", "", text)


@pytest.mark.parametrize("room", SOURCES)
def test_comments_docstrings_and_texts_have_no_rejected_word(room: str) -> None:
    found = {
        str(path.relative_to(ROOT)): words
        for path in sorted((ROOT / room).rglob("*.py"))
        if (words := _found(_said(path.read_text())))
    }
    assert found == {}


def test_a_rejected_word_is_found_in_what_source_says_and_not_in_its_code() -> None:
    source = 'def beside() -> None:\n    """None when nobody asks."""\n    return anew is none  # `nobody`\n'
    assert _found(_said(source)) == ["nobody"]
