from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from harness.report.document import quantity
from harness.report.document.model import MISSING, Cell, Column, Table, marker


def table(*reasons: str) -> Table:
    return Table(
        key="t",
        title="T",
        columns=[Column(label="x", group="g"), Column(label="y", unit="s", group="g"), Column(label="z")],
        rows=[[Cell(text=MISSING, reason=reason), Cell(text="1"), Cell(text="2")] for reason in reasons],
    )


def test_one_reason_has_one_note_however_often_it_is_met() -> None:
    found = table("lost", "", "late", "lost")
    assert [(note.marker, note.text) for note in found.notes] == [("a", "lost"), ("b", "late")]
    assert [found.mark(row[0]) for row in found.rows] == ["a", "", "b", "a"]


@given(st.lists(st.integers(min_value=0, max_value=5000), unique=True))
def test_markers_never_repeat(positions: list[int]) -> None:
    assert len({marker(at) for at in positions}) == len(positions)


def test_markers_go_on_after_z() -> None:
    assert [marker(at) for at in (0, 25, 26, 27, 702)] == ["a", "z", "aa", "ab", "aaa"]


def test_heads_are_grouped_where_they_can_be_and_flat_where_not() -> None:
    found = table("x")
    assert found.groups == [("g", 2), ("", 1)]
    assert [column.flat for column in found.columns] == ["g: x", "g: y, s", "z"]


@given(st.lists(st.text(max_size=200), min_size=2, max_size=8))
def test_text_columns_share_less_than_a_line(texts: list[str]) -> None:
    found = Table(
        key="t",
        title="T",
        columns=[Column(label="n"), *(Column(label="c", numeric=False) for _ in texts)],
        rows=[[Cell(text="1"), *(Cell(text=text) for text in texts)]],
    )
    assert 0 < sum(found.width(at) for at in range(1, len(texts) + 1)) < 1


def test_stored_units_become_readable_ones() -> None:
    assert quantity.of_metric("blackout").with_unit(0.2204) == "220\u00a0ms"
    assert quantity.of_metric("total_time").with_unit(3.1) == "3.10\u00a0s"
    assert quantity.of_metric("data_sent").with_unit(217_000_000) == "217.0\u00a0MB"
    assert quantity.of_metric("bandwidth", "bytes/s").with_unit(72_300_000.0) == "72.3\u00a0MB/s"
    assert quantity.of_metric("other", "operations").with_unit(3.0) == "3.0\u00a0operations"


def test_missing_is_a_dash_and_never_zero() -> None:
    shown = quantity.of_metric("blackout")
    assert shown.text(None) == shown.with_unit(float("nan")) == MISSING
    assert shown.text(0.0) == "0"
    assert shown.text(-0.005) == "−5"
