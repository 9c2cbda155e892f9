"""The whole evacuation is a sum over all guests, or it is not known."""

from __future__ import annotations

import pytest

from harness.evidence.attempt import Attempt
from harness.evidence.clocks import Clocks
from harness.json_types import Json
from harness.migration.measures.evacuation import evacuations
from tests.synthetic.evidence import Journalist
from tests.synthetic.vocabulary import said

S = 1_000_000_000


def left(**second: Json) -> Attempt:
    """Two guests leave at the same point; `second` is what the journal says of the second one's start."""
    book = Journalist(trial="001-file", attempt=1)
    for guest in ("g1", "g2"):
        book.add(S, "runner", "guest.started", **{**said("guest.started").to_data(), "guest": guest})
    book.add(2 * S, "runner", "window.opened", window_s=60.0)
    first: dict[str, Json] = {"n": 1, "planned_s": 0.0, "source": "a", "destination": "b", "options": {}}
    book.add(3 * S, "runner", "migration.started", guest="g1", **first)
    book.add(5 * S, "runner", "migration.started", guest="g2", **{**first, "n": 2, **second})
    return Attempt(trial="001-file", attempt=1, events=tuple(book.events()), clocks=Clocks())


def test_two_guests_that_leave_at_one_point_are_one_evacuation() -> None:
    (found,) = evacuations(left())
    assert [one.guest for one in found.departures] == ["g1", "g2"]
    assert found.total.reason == "the journal does not say that the call returned"


@pytest.mark.parametrize("planned_s", [None, "soon"])
def test_a_guest_whose_start_cannot_be_read_leaves_no_total_over_the_others(planned_s: Json) -> None:
    (found,) = evacuations(left(planned_s=planned_s))
    assert [one.guest for one in found.departures] == ["g1"]
    assert found.total.value is None
    assert found.total.reason == "the journal does not say when migration 2, of guest g2, was to start"
    assert found.sent_bytes.reason == found.total.reason
