"""Each kind of event is a type: strict when it is made, lenient with what an older version wrote."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest
from pydantic import ValidationError

from harness.evidence.events import KINDS, ClockSampled, MigrationStarted, WindowOpened, WorkloadStarted
from harness.evidence.journal import Event, parse
from harness.json_types import Json

REFERENCE = Path(__file__).parents[2] / "results/reference/lab"
MIGRATION: dict[str, Json] = {"n": 1, "planned_s": 2, "source": "a", "destination": "b", "options": {}}


OLDER = Path(__file__).parent / "older"
"""Journals of responses as an older version wrote them; newer runs are in the reference data set now."""
JOURNALS = {
    **{path.parts[-3]: path for path in sorted(REFERENCE.glob("*/run/journal.jsonl.gz"))},
    **{f"older {path.name}": path for path in sorted(OLDER.iterdir())},
}


@pytest.mark.parametrize("path", JOURNALS.values(), ids=JOURNALS)
def test_every_kept_journal_is_read_and_would_be_written_as_it_is(path: Path) -> None:
    text = gzip.decompress(path.read_bytes()).decode("ascii")
    for event, line in zip(parse(text), text.splitlines(), strict=True):
        assert event.value is not None, line
        assert event.observer == event.value.OBSERVER
        assert json.dumps(event.value.to_data()) == json.dumps(json.loads(line)["data"])


def test_what_is_made_here_has_every_field_of_its_type() -> None:
    with pytest.raises(ValidationError, match="planned_s"):
        MigrationStarted(n=1, source="a", destination="b", options={})  # type: ignore[call-arg]
    with pytest.raises(ValidationError, match="window_s"):
        WindowOpened(window_s="60")  # type: ignore[arg-type]
    with pytest.raises(ValidationError, match="surprise"):
        WindowOpened(window_s=60, surprise=1)  # type: ignore[call-arg]
    with pytest.raises(ValidationError, match="window_s"):
        WindowOpened(window_s=True)


def test_a_number_is_written_as_it_is() -> None:
    assert json.dumps(WindowOpened(window_s=60).to_data()) == '{"window_s": 60}'
    assert json.dumps(WindowOpened(window_s=60.0).to_data()) == '{"window_s": 60.0}'


def test_an_event_names_its_guest_where_it_is_known() -> None:
    assert MigrationStarted(**MIGRATION).to_data() == MIGRATION  # type: ignore[arg-type]
    named = MigrationStarted(**MIGRATION, guest="web").to_data()  # type: ignore[arg-type]
    assert named == {"guest": "web", **MIGRATION}


def test_an_older_line_may_lack_what_may_be_null_and_have_what_is_no_longer_known() -> None:
    data: dict[str, Json] = {"workload": "idle", "generator": "none", "options": {}, "gone": 1}
    found = WorkloadStarted.read(data)
    assert found is not None
    assert (found.version, found.substitutes) == (None, None)


@pytest.mark.parametrize("wrong", [None, "1", True, 1.5, {}, []])
def test_data_of_another_type_is_not_read(wrong: Json) -> None:
    assert MigrationStarted.read({**MIGRATION, "n": wrong}) is None
    event = Event(seq=0, t_ns=0, observer="runner", kind="migration.started", data={**MIGRATION, "n": wrong})
    assert event.value is None
    assert ClockSampled.read({}) is None


def test_every_kind_has_its_own_name() -> None:
    assert all(kind == value.KIND for kind, value in KINDS.items())
    assert len({id(value) for value in KINDS.values()}) == len(KINDS)
