"""Checks of what a figure shows of names: each is removed once, and its attack succeeds."""

from __future__ import annotations

import warnings
from pathlib import Path

import pytest
from matplotlib.figure import Figure as Canvas

from harness.report.document import drawing
from tests.security.removed import Attack, Removed, require_needed


def painted_figure(_folder: Path) -> bool:
    """A name has controls, and is the label of a mark and of a tick of a figure."""
    escape = "\x1b]0;OWNED\x07\u202e"

    def paint(canvas: Canvas) -> None:
        axes = canvas.subplots()
        axes.set_yticks([0], [escape])
        axes.text(0, 0, escape)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of glyphs that no font has
        svg = drawing.Sketch(key="k", title="", caption="", height_in=1, paint=paint).drawn().svg.decode()
    return not set("\x1b\x07\u202e") & set(svg) and svg.count("OWNED") == 2


REMOVED: tuple[tuple[Removed, Attack], ...] = (
    (
        Removed(function=drawing._literal, check='map(legible, text.split("\\n"))', by='text.split("\\n")'),
        painted_figure,
    ),
    (
        Removed(function=drawing._literally, check="_literal(label(*place))", by="label(*place)"),
        painted_figure,
    ),
)


@pytest.mark.parametrize(("removed", "attack"), REMOVED, ids=lambda one: getattr(one, "id", ""))
def test_an_attack_notices_that_its_check_is_missing(
    removed: Removed, attack: Attack, tmp_path: Path
) -> None:
    require_needed(removed, attack, tmp_path)
