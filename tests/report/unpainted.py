"""Reports whose figures are named and described but blank, for tests that do not look at them.

Painting takes most of a report's time. What the figures show is tested where they are looked at.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest

from harness.report.document.drawing import Sketch
from harness.report.document.model import Figure

BLANK = b'<svg xmlns="http://www.w3.org/2000/svg"></svg>'


@contextmanager
def figures(*, but: str | None = None) -> Iterator[None]:
    """Leave all figures blank, `but` those whose key begins so; they have no PDF."""
    painted = Sketch.drawn

    def drawn(sketch: Sketch, *, pdf: bool = False) -> Figure:
        if but is not None and sketch.key.startswith(but):
            return painted(sketch, pdf=pdf)
        return Figure(key=sketch.key, title=sketch.title, caption=sketch.caption, svg=BLANK, pdf=None)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Sketch, "drawn", drawn)
        yield


@contextmanager
def pdfs() -> Iterator[None]:
    """Paint all figures, for pages alone: the same strokes once more, as PDF, would show nothing new."""
    painted = Sketch.drawn

    def drawn(sketch: Sketch, *, pdf: bool = False) -> Figure:
        return replace(painted(sketch), pdf=b"%PDF-1.4\n" if pdf else None)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Sketch, "drawn", drawn)
        yield
