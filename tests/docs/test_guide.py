"""The README is short, links lead somewhere, and every page is found from the README."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"
OTHERS = ("CONTRIBUTING.md", "results/README.md", "benchmarks/README.md")
PAGES = sorted([README, *(ROOT / name for name in OTHERS), *(ROOT / "docs").glob("*.md")])


def _targets(page: Path) -> list[str]:
    """The files that the links of `page` lead to; addresses on the web and places in the page left out."""
    links = re.findall(r"\]\(([^)\s]+)\)", page.read_text())
    return [link.split("#")[0] for link in links if not re.match(r"#|\w+:", link)]


def test_the_readme_fits_on_a_few_screens() -> None:
    assert len(README.read_text().splitlines()) <= 150


@pytest.mark.parametrize("page", PAGES, ids=[str(page.relative_to(ROOT)) for page in PAGES])
def test_every_link_leads_to_a_file(page: Path) -> None:
    assert [target for target in _targets(page) if not (page.parent / target).exists()] == []


def test_the_readme_links_to_every_page_of_docs() -> None:
    named = {(ROOT / target).resolve() for target in _targets(README)}
    assert {page for page in PAGES if page.parent.name == "docs"} - named == set()
