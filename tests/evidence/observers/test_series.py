from __future__ import annotations

from pathlib import Path

import pytest

from harness.errors import StorageError
from harness.evidence.record import Series


def test_rows_are_on_disk_as_they_come(tmp_path: Path) -> None:
    series = Series(tmp_path / "s.csv", "a,b")
    series.add("1,2")
    assert (tmp_path / "s.csv").read_text() == "a,b\n1,2\n"
    series.close()
    series.close()
    series.add("3,4")
    assert ((tmp_path / "s.csv").read_text(), series.rows) == ("a,b\n1,2\n", 1)


def test_a_full_disk_is_said_once_by_whoever_closes_the_file() -> None:
    series = Series(Path("/dev/full"), "a,b")
    series.add("1,2")
    assert series.rows == 0
    with pytest.raises(StorageError, match="evidence cannot be written") as caught:
        series.close()
    assert "No space left" in caught.value.why
    series.close()


def test_a_folder_that_is_gone_is_a_storage_error(tmp_path: Path) -> None:
    with pytest.raises(StorageError) as caught:
        Series(tmp_path / "gone" / "s.csv")
    assert str(tmp_path / "gone" / "s.csv") in str(caught.value)
