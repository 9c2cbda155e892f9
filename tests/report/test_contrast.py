"""The report's colours can be read: contrast after WCAG 2.2, 1.4.3 (text) and 1.4.11 (marks)."""

from __future__ import annotations

import re

import pytest
from matplotlib.colors import to_hex
from matplotlib.figure import Figure as Canvas

from harness import resources
from harness.report.attestation import figures
from harness.report.document.drawing import GROUND, INK

TEXT = [
    *((name, ground) for name in ("ink", "quiet", "measured") for ground in ("ground", "page")),
    *((name, "ground") for name in ("paper", "second", "fourth", "good-ink", "bad")),
    ("warn-ink", "warn-ground"),
    ("good-ink", "good-ground"),
]
MARKS = [(name, "ground") for name in ("measured", "paper", "second", "fourth", "fifth", "sixth")]


def themes() -> list[dict[str, str]]:
    """The colours in light, in dark and in print."""
    css = (resources.templates() / "report.css").read_text(encoding="utf-8")
    return [
        dict(re.findall(r"--([\w-]+): (#\w{6})", block))
        for block in re.findall(r":root \{(.*?)\}", css, re.DOTALL)
    ]


def luminance(colour: str) -> float:
    """Relative luminance of ``#rrggbb``."""
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    """Their contrast ratio, from 1 to 21."""
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def test_black_on_white_has_the_greatest_contrast() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21)


@pytest.mark.parametrize("theme", range(3), ids=["light", "dark", "print"])
def test_text_has_a_contrast_of_4_5_and_marks_of_3(theme: int) -> None:
    colours = themes()[theme]
    faint = [pair for pair in TEXT if contrast(colours[pair[0]], colours[pair[1]]) < 4.5]
    faint += [pair for pair in MARKS if contrast(colours[pair[0]], colours[pair[1]]) < 3]
    assert faint == []


def test_a_legends_text_does_not_take_the_colour_of_its_mark() -> None:
    canvas = Canvas(figsize=(4, 2))
    figures._key(canvas, [(name, colour, "s") for name, _, colour in figures.STACK])
    (legend,) = canvas.legends
    texts = legend.get_texts()
    assert [text.get_text() for text in texts] == [name for name, _, _ in figures.STACK]
    assert {to_hex(text.get_color()) for text in texts} == {INK}
    assert contrast(INK, GROUND) >= 4.5
