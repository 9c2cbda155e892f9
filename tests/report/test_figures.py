from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree

import pytest
from matplotlib.figure import Figure as Canvas

from harness.evidence.events import AttemptStarted
from harness.report.document import drawing
from harness.report.document.model import Document, Figure
from harness.report.material import Material
from harness.report.migration import charts, curves, scatters
from tests.synthetic.vocabulary import changed

SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(scope="module")
def figures(shown: Document) -> dict[str, Figure]:
    return {figure.key: figure for figure in shown.figures}


def words(figure: Figure) -> list[str]:
    found = ElementTree.fromstring(figure.svg).iter(f"{SVG}text")
    return ["".join(text.itertext()).strip() for text in found]


def test_no_file_holds_a_date_or_the_drawing_programs_version(figures: dict[str, Figure]) -> None:
    for figure in figures.values():
        assert b"dc:date" not in figure.svg
        assert figure.pdf is not None
        assert figure.pdf.startswith(b"%PDF-")
        assert b"CreationDate" not in figure.pdf
        assert b"matplotlib v" not in figure.svg.lower()


def test_the_comparison_labels_both_values(figures: dict[str, Figure]) -> None:
    found = words(figures["table-v"])
    assert {"3.20", "paper 7.2", "paper 2.6", "240", "paper 250", "219.0", "paper 697.87"} <= set(found)
    assert "total time as a multiple of the paper's: file 0.44, idle 1.23" in figures["table-v"].title


def test_axes_carry_their_units(figures: dict[str, Figure]) -> None:
    assert "Blackout, ms" in words(figures["table-v"])
    assert "planned offset, s" in words(figures["migrations"])
    assert {"left to send, MB", "s since its start"} <= set(words(figures["precopy"]))
    assert {"gap, ms", "time from t = 0, s"} <= set(words(figures["gaps"]))
    assert "operations/s" in words(figures["timeline-file"])


def test_each_migrations_longest_gap_is_labelled(figures: dict[str, Figure]) -> None:
    assert {"265", "285", "305", "325", "345"} <= set(words(figures["gaps"]))


def test_a_gap_outside_a_migration_is_not_drawn_as_one_of_its(demo: Material) -> None:
    idle = demo.attempts[0]
    rows = demo.gaps[demo.gaps["trial"] == idle.trial].head(1).assign(start_s=8.0, length_s=0.5)
    figure = curves.gaps([(idle, rows)], {"idle": 1}, demo.names)
    assert figure is not None
    assert drawing.PAPER.encode() not in figure.drawn().svg
    assert "500" in words(figure.drawn())


def test_nothing_measured_gives_no_figure(demo: Material) -> None:
    none = demo.valid.head(0)
    assert charts.comparison(none, demo.paper, ["idle"], demo.names) is None
    assert charts.points(none, ["idle"], demo.names) is None
    assert curves.gaps([], {}, demo.names) is None
    assert curves.precopy([(demo.attempts[0], demo.precopy.head(0))], {}, demo.names) is None
    assert scatters.outages(none, ["idle"], demo.names) is None
    assert scatters.dirtying(none, ["idle"], demo.names) is None
    assert scatters.floor(demo.valid, none, ["idle"], demo.names) is None


def test_a_wide_span_is_drawn_on_a_logarithmic_axis(demo: Material) -> None:
    paper = {"idle": {**demo.paper["idle"], "blackout": 40.0}}
    figure = charts.comparison(demo.valid, paper, ["idle"], demo.names)
    assert figure is not None
    assert any("10" in word and "4" not in word for word in words(figure.drawn()))
    assert "paper 40000" in words(figure.drawn())


def test_inline_drawings_follow_the_pages_theme_and_share_no_id(figures: dict[str, Figure]) -> None:
    seen: set[str] = set()
    for figure in figures.values():
        text = drawing.inline(figure)
        ids = set(re.findall(r'\bid="([^"]+)"', text))
        assert all(key.startswith(f"{figure.key}-") for key in ids)
        assert not ids & seen
        seen |= ids
        assert set(re.findall(r"url\(#([^)]+)\)", text)) <= ids
        assert "var(--quiet)" in text
        assert "#000000" not in text
        assert "<?xml" not in text


def test_text_with_markup_stays_text_in_a_drawing(demo: Material) -> None:
    odd = changed(demo.attempts[0], AttemptStarted, workload="<i>&amp;</i>")
    rows = demo.gaps[demo.gaps["trial"] == odd.trial]
    figure = curves.gaps([(odd, rows)], {}, demo.names)
    assert figure is not None
    assert "<i>&amp;</i>" in words(figure.drawn())


def test_a_name_with_dollar_signs_is_a_name() -> None:
    def paint(canvas: Canvas) -> None:
        canvas.supylabel(r"a $\frac$ b")
        axes = canvas.add_subplot()
        axes.set_yticks([1.0], labels=["$x_1$"])

    figure = drawing.Sketch("x", "", "", 1.0, paint, note="$_$")
    assert {r"a $\frac$ b", "$_$", "$x_1$"} <= set(words(figure.drawn()))


class _Changing:
    """Data that its owner changes while figures are drawn of it."""

    def __init__(self) -> None:
        self.names = {str(number): number for number in range(20_000)}

    def sketch(self) -> drawing.Sketch:
        return drawing.Sketch("x", "", str(len(self.names)), 1.0, _nothing)


def _nothing(canvas: Canvas) -> None:
    """Paints nothing."""


def test_figures_are_of_the_data_as_it_was_when_they_were_begun() -> None:
    data = _Changing()
    with drawing.together([data.sketch] * 16, pdf=False) as drawn:
        for number in range(200_000):
            data.names[f"more {number}"] = number
        assert {one and one.caption for one in drawn} == {"20000"}


def test_only_who_asks_for_a_pdf_waits_for_it() -> None:
    sketch = drawing.Sketch("x", "", "", 1.0, lambda canvas: None)
    alone, both = sketch.drawn(), sketch.drawn(pdf=True)
    assert alone.pdf is None
    assert both.pdf is not None
    assert both.svg == alone.svg
    with drawing.together([lambda: sketch, lambda: None], pdf=False) as drawn:
        assert [one and one.pdf for one in drawn] == [None] * 2
