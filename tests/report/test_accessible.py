"""What a screen reader needs of a page: its language, headings in order, heads that say something, names."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

from tests.report.page import Element


def test_the_page_names_its_language_and_itself(html: Element) -> None:
    assert html.all("html")[0].attributes["lang"] == "en"
    assert html.all("title")[0].text
    assert len(html.all("main")) == len(html.all("h1")) == 1


def test_headings_skip_no_level(html: Element) -> None:
    levels = [int(one.tag[1]) for one in html.everything() if one.tag in {"h1", "h2", "h3", "h4"}]
    assert levels[0] == 1
    assert [pair for pair in pairwise(levels) if pair[1] > pair[0] + 1] == []


def test_every_head_of_a_table_says_something_and_what_it_heads(html: Element) -> None:
    heads = html.all("th")
    assert [head.attributes for head in heads if not head.text] == []
    assert {head.attributes["scope"] for head in heads} == {"col", "colgroup"}


def test_every_table_and_figure_scrolls_by_keyboard_under_a_name_of_its_own(html: Element) -> None:
    scrolled = [one for one in html.all("div") if one.attributes.get("class") == "scroll"]
    assert len(scrolled) == len(html.all("figure"))
    assert {(one.attributes["tabindex"], one.attributes["role"]) for one in scrolled} == {("0", "region")}
    names = Counter(
        one.attributes.get("aria-label") or html.by_id(one.attributes["aria-labelledby"]).text
        for one in scrolled
    )
    assert [name for name, number in names.items() if number > 1 or not name] == []
