"""What Nova said in recorded migrations, read in any order, twice, or with parts missing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.migration.nova.notifications import Notice, in_order, latest, parse
from harness.migration.nova.outcome import Ended, Ending, ended, refused_at_once
from harness.migration.nova.trigger import (
    ACCEPTED,
    ASKED,
    FINISHED,
    MARKS_OF_NOTICES,
    QEMU,
    STEPS,
    Mark,
    of_notices,
    spans,
)

RECORDED = {
    path.stem: json.loads(path.read_text())
    for path in sorted((Path(__file__).parent / "recorded").glob("*.json"))
}
COMPLETED = RECORDED["completed"]
SERVER = COMPLETED["server"]["id"]
OFFSETS = dict.fromkeys(("a", "b", "c"), (0, 0))

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=5), inner, max_size=2),
    max_leaves=5,
)


def notices(name: str) -> list[Notice]:
    """The notices of a recorded file, in the order in which they were sent."""
    return [found for one in RECORDED[name]["notifications"] if (found := parse(one)) is not None]


def became(name: str, heard: list[Notice] | None = None, destination: str = "c") -> Ended | None:
    """What became of the recorded migration, by what was heard; by default everything."""
    found = RECORDED[name]
    newest = max(found["migrations"], key=lambda one: one["id"], default=None)
    said = notices(name) if heard is None else heard
    return ended(newest, found["server"], said, destination, found["action"])


def test_the_recordings_name_what_they_were_made_with() -> None:
    assert {one["recorded_with"]["nova"] for one in RECORDED.values()} == {"31.0.0"}


def test_a_migration_is_told_in_order() -> None:
    events = [one.event for one in notices("completed")]
    assert [one for one in events if one in MARKS_OF_NOTICES] == [*MARKS_OF_NOTICES]
    assert {one.server for one in notices("completed")} == {SERVER}
    assert len({one.request for one in notices("completed")}) == 1


@given(st.permutations(notices("completed")), st.integers(0, 20))
def test_the_order_of_arrival_and_repetition_change_nothing(heard: list[Notice], again: int) -> None:
    twice = [*heard, *heard[:again]]
    assert in_order(twice) == in_order(notices("completed"))
    where = latest(twice, SERVER)
    assert where is not None
    assert where.host == "c"  # the source's last notification still names the source


@given(st.lists(st.sampled_from(notices("no-valid-host"))))
def test_what_became_of_it_needs_no_notification(heard: list[Notice]) -> None:
    found = became("no-valid-host", heard)
    assert found is not None
    assert (found.ending, found.host) == (Ending.NO_VALID_HOST, "b")


@pytest.mark.parametrize(
    ("name", "ending", "host"),
    [
        ("completed", Ending.COMPLETED, "c"),
        ("no-valid-host", Ending.NO_VALID_HOST, "b"),
        ("pre-check-failed", Ending.PRE_CHECK, "b"),
        ("rolled-back", Ending.ROLLED_BACK, "b"),
    ],
)
def test_each_end_has_its_name(name: str, ending: Ending, host: str) -> None:
    found = became(name)
    assert found is not None
    assert (found.ending, found.host) == (ending, host), found
    assert bool(found.why) == (ending is not Ending.COMPLETED)


def test_a_server_that_is_not_where_it_was_to_go_is_no_success() -> None:
    found = became("completed", destination="a")
    assert found is not None
    assert found.ending is Ending.ELSEWHERE


def test_a_migration_is_not_over_while_nova_works_on_the_server() -> None:
    found = RECORDED["completed"]
    busy = found["server"] | {"OS-EXT-STS:task_state": "migrating"}
    assert ended(found["migrations"][0], busy, [], "c", None) is None
    assert ended(found["migrations"][0] | {"status": "running"}, found["server"], [], "c", None) is None
    assert ended(None, found["server"], [], "c", None) is None
    gone = ended(found["migrations"][0] | {"status": "running"}, None, [], "c", None)
    assert gone is not None
    assert gone.ending is Ending.DELETED


@pytest.mark.parametrize(
    ("name", "answer", "ending"),
    [
        ("vtpm", "answer", Ending.VTPM),
        ("refused-at-once", "stopped", Ending.STATE),
        ("refused-at-once", "denied", Ending.DENIED),
        ("refused-at-once", "unknown_host", Ending.BAD_HOST),
        ("deleted", "gone", Ending.DELETED),
    ],
)
def test_each_refusal_has_its_name(name: str, answer: str, ending: Ending) -> None:
    found = RECORDED[name][answer]
    refused = refused_at_once(found["status"], found["body"])
    assert refused is not None
    assert refused.ending is ending
    assert refused.why


@pytest.mark.parametrize(
    ("status", "ending"), [(401, Ending.TOKEN), (503, Ending.UNREACHABLE), (413, Ending.DENIED)]
)
def test_a_status_alone_is_enough(status: int, ending: Ending) -> None:
    refused = refused_at_once(status, None)
    assert refused is not None
    assert refused.ending is ending
    assert refused_at_once(202, None) is None


def test_changed_metadata_are_told_with_all_that_is_there_now() -> None:
    told = [one.metadata for one in notices("metadata-changed") if one.event == "instance.update"]
    assert told[-1] == RECORDED["metadata-changed"]["server"]["metadata"]
    assert told[-1] is not None
    assert "sod_option_2" not in told[-1]


@given(JSON, st.sampled_from(COMPLETED["notifications"]), st.data())
def test_no_message_ends_a_reader(value: Any, message: dict[str, Any], data: st.DataObject) -> None:
    parse(value)
    parse({**message, data.draw(st.sampled_from(sorted(message))): value})
    inner = message["payload"]["nova_object.data"]
    payload = {
        **message["payload"],
        "nova_object.data": {**inner, data.draw(st.sampled_from(sorted(inner))): value},
    }
    parse({**message, "payload": payload})


def test_what_is_about_an_aggregate_is_about_no_server() -> None:
    told = [one for one in COMPLETED["notifications"] if one["event_type"].startswith("aggregate.")]
    assert told
    assert [parse(one) for one in told] == [None] * len(told)


# -- the trigger

MARKS = of_notices(notices("completed"), SERVER, None, OFFSETS)
FIRST_NS = min(one.at_ns for one in MARKS)
ALL = (
    Mark(name=ASKED, at_ns=FIRST_NS - 400_000_000, uncertainty_ns=0, observer="api"),
    Mark(name=ACCEPTED, at_ns=FIRST_NS - 100_000_000, uncertainty_ns=0, observer="api"),
    *MARKS,
    Mark(
        name=QEMU,
        at_ns=max(one.at_ns for one in MARKS if one.name != FINISHED) + 5_000,
        uncertainty_ns=0,
        observer="qmp",
    ),
)


@given(st.permutations(ALL))
def test_the_parts_make_the_whole(marks: list[Mark]) -> None:
    *parts, whole = spans(marks)
    assert [one.name for one in parts] == [name for name, _, _ in STEPS]
    assert sum(one.duration_ns or 0 for one in parts) == whole.duration_ns
    assert all(one.duration_ns is not None for one in parts)


@given(st.sets(st.sampled_from([ASKED, ACCEPTED, QEMU, *MARKS_OF_NOTICES.values()])))
def test_a_lost_mark_costs_its_own_parts_alone(lost: set[str]) -> None:
    found = spans([one for one in ALL if one.name not in lost])
    for (name, first, second), span in zip((*STEPS, ("trigger", ASKED, QEMU)), found, strict=True):
        assert (span.duration_ns is None) == bool({first, second} & lost), name
        assert bool(span.why) == (span.duration_ns is None)


@given(st.integers(0, 10**9), st.integers(0, 10**9))
def test_marks_in_the_wrong_order_are_no_span_beyond_their_uncertainty(
    early_ns: int, uncertainty_ns: int
) -> None:
    marks = [
        Mark(name=ASKED, at_ns=0, uncertainty_ns=0, observer="api"),
        Mark(name=ACCEPTED, at_ns=-early_ns, uncertainty_ns=uncertainty_ns, observer="api"),
    ]
    api = spans(marks)[0]
    assert (api.duration_ns is None) == (early_ns > uncertainty_ns)


def test_another_request_and_an_unknown_clock_make_no_mark() -> None:
    assert of_notices(notices("completed"), SERVER, "req-of-another", OFFSETS) == ()
    assert of_notices(notices("completed"), "another", None, OFFSETS) == ()
    assert {one.name for one in of_notices(notices("completed"), SERVER, None, {"b": (0, 0)})} == {FINISHED}
