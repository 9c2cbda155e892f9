from __future__ import annotations

import pytest

from harness.evidence import wall_time
from harness.evidence.journal import Event

S = 1_000_000_000


def event(at_s: float, kind: str, trial: str | None = "001-idle") -> Event:
    attempt = None if trial is None else 1
    return Event(
        seq=0, t_ns=round(at_s * S), observer="runner", kind=kind, trial=trial, attempt=attempt, data={}
    )


def whole(trial: str, at_s: float) -> list[Event]:
    marks = [
        (0, "attempt.started"), (17, "guest.started"), (20, "workload.steady"), (21, "baseline.opened"),
        (31, "window.opened"), (151, "window.closed"), (155, "attempt.finished"),
    ]  # fmt: skip
    return [event(at_s + after_s, kind, trial) for after_s, kind in marks]


RUN = [
    event(100, "run.started", None),
    *whole("001-idle", 102),
    *whole("002-web", 258),
    event(420, "run.finished", None),
]


def test_every_second_is_in_one_part() -> None:
    found = wall_time.of(RUN)
    assert found == wall_time.WallTime(
        boot_s=34, warm_up_s=8, baseline_s=20, window_s=240, collection_s=8, between_s=10
    )
    assert found.total_s == 320
    assert found.ratio == pytest.approx(320 / 240)


def test_an_attempt_cut_short_is_collection_from_where_it_was() -> None:
    cut = [one for one in RUN if one.trial != "002-web" or one.kind not in ("window.opened", "window.closed")]
    found = wall_time.of(cut)
    assert found is not None
    assert (found.window_s, found.collection_s) == (120, 4 + 134)
    assert found.total_s == 320


def test_a_run_without_a_window_has_no_ratio() -> None:
    found = wall_time.of([RUN[0], RUN[-1]])
    assert found is not None
    assert (found.ratio, found.between_s) == (None, 320)


@pytest.mark.parametrize("events", [[], RUN[:-1], [*RUN, event(430, "run.resumed", None)]])
def test_what_is_not_one_whole_run_has_no_wall_time(events: list[Event]) -> None:
    assert wall_time.of(events) is None
