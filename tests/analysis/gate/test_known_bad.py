"""Files of known-bad entries: an expired one is refused by name, and so is one of no primary metric."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from harness.analysis.gate.declared import Gate
from harness.analysis.gate.known_bad import Entry, KnownBadError, load, schema
from harness.errors import InputFileError
from tests.analysis.gate.made import primary

GATE = Gate(primary=(primary(),))
TODAY = date(2026, 11, 28)
GOOD = """\
known_bad:
  - metric: total_time
    workload: file
    reason: the driver of this kernel, see its bug report
    owner: kim
    expires: "2026-11-28"
"""


def loaded(root: Path, text: str) -> tuple[Entry, ...]:
    place = root / "known.yml"
    place.write_text(text)
    return load(place, GATE, TODAY)


def test_an_entry_excuses_up_to_its_day(tmp_path: Path) -> None:
    (found,) = loaded(tmp_path, GOOD)
    assert found.covers("total_time", "file", "any") and not found.covers("total_time", "web", None)
    assert found.name == "total_time of file (kim)"


def test_an_expired_entry_is_refused_by_name_and_line(tmp_path: Path) -> None:
    with pytest.raises(KnownBadError) as caught:
        loaded(tmp_path, GOOD.replace("11-28", "11-27"))
    assert "total_time of file (kim) expired on 2026-11-27" in str(caught.value)
    assert "known.yml:2" in str(caught.value)
    assert caught.value.exit_code == 3


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("metric: total_time", "metric: total_tim", "did you mean 'total_time'"),
        ('"2026-11-28"', '"28.11.2026"', "YYYY-MM-DD"),
        ('"2026-11-28"', '"2026-02-30"', "YYYY-MM-DD"),
        ("    owner: kim\n", "", "known_bad[0].owner: the key is missing"),
        ("reason:", "reasons:", "unknown key"),
    ],
)
def test_what_is_wrong_is_told(tmp_path: Path, old: str, new: str, told: str) -> None:
    with pytest.raises(KnownBadError) as caught:
        loaded(tmp_path, GOOD.replace(old, new))
    assert told in str(caught.value)


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputFileError):
        load(tmp_path / "none.yml", GATE, TODAY)


def test_editors_get_a_schema() -> None:
    assert set(schema()["$defs"]["Entry"]["required"]) == {"metric", "reason", "owner", "expires"}
