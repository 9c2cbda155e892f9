"""Rows of a series that are not whole: refused with file and line, but for a torn last one."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.analysis import table as results
from harness.errors import RecordError
from harness.evidence.reading import read_series
from tests.migration.runs import reason, small

COLUMNS = ("t_ns", "cpu_busy_s", "qemu_cpu_s")
HEADER = "t_ns,cpu_busy_s,qemu_cpu_s"


@pytest.mark.parametrize(
    ("row", "fields"), [("5,1.5", 2), ("5", 1), ("5,1.5,0.5,9", 4), ("5,1.5,0.5,,", 5), ("", 1)]
)
def test_a_row_with_too_few_or_too_many_fields_is_refused_with_its_line(
    tmp_path: Path, row: str, fields: int
) -> None:
    file = tmp_path / "host-a.csv"
    file.write_text(f"{HEADER}\n4,1.0,0.5\n{row}\n6,2.0,0.5\n", encoding="utf-8")
    with pytest.raises(RecordError) as refused:
        read_series(file, COLUMNS)
    assert refused.value.where == f"{file}:3"
    assert f"{fields} field" in refused.value.why


def test_a_number_without_end_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "host-a.csv"
    file.write_text(f"{HEADER}\n4,1.0,0.5\n5,inf,0.5\n", encoding="utf-8")
    with pytest.raises(RecordError, match="no end"):
        read_series(file, COLUMNS)


def test_a_torn_last_row_is_left_out_and_empty_fields_are_missing(tmp_path: Path) -> None:
    file = tmp_path / "host-a.csv"
    file.write_text(f"{HEADER}\n4,,0.5\n5,1.5", encoding="utf-8")
    frame = read_series(file, COLUMNS)
    assert len(frame) == 1
    assert frame["cpu_busy_s"].isna().all()


@pytest.mark.parametrize(
    ("name", "metric"), [("wire-a.csv", "wire_bytes"), ("heartbeat.csv", "outage_network")]
)
def test_what_needs_a_damaged_series_names_the_line(tmp_path: Path, name: str, metric: str) -> None:
    run = small(tmp_path)
    file = run.attempt("001-file", 1) / name
    rows = file.read_text(encoding="utf-8").splitlines()
    rows[20] += ",7"
    file.write_text("\n".join(rows) + "\n", encoding="utf-8")
    assert f"{name}:21" in reason(results.compute(run), metric)
