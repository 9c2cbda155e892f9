"""Two logs of one infrastructure: what both have is paired, what one has alone is named."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import linear_sum_assignment

from benchmarks import reconciliation
from harness.errors import RecordError
from harness.pvi import event_log
from harness.pvi.event_log import MAX_LINE_BYTES, Log, Side
from harness.pvi.reconcile import RULES, Reconciled, Rule, reconcile

S = 1_000_000_000
GUEST = "guest-1"
PAUSE = next(rule for rule in RULES if rule.kind == "guest.paused")


def line(kind: str, t_s: float, off_s: float = 0.001, guest: str = GUEST) -> dict[str, object]:
    return {"kind": kind, "guest": guest, "t_ns": round(t_s * S), "uncertainty_ns": round(off_s * S)}


def log(side: Side, *lines: dict[str, object]) -> Log:
    raw = [json.dumps(one).encode() + b"\n" for one in ({"log": side.value, "version": 1}, *lines)]
    return event_log.parse(raw, side, where="a log")


def both(inside: Sequence[dict[str, object]], outside: Sequence[dict[str, object]]) -> Reconciled:
    return reconcile(log(Side.INSIDE, *inside), log(Side.OUTSIDE, *outside))


def said(done: Reconciled) -> list[str]:
    return [one.says for one in done.oddities]


@pytest.mark.parametrize("rule", RULES, ids=[rule.kind for rule in RULES])
def test_each_rule_finds_its_pair_and_misses_it(rule: Rule) -> None:
    event, needed = line(rule.kind, 100_000), line(rule.needs, 100_000 - rule.before_s / 2)
    sides = {rule.side: [event], rule.side.other: [needed]}
    done = both(sides[Side.INSIDE], sides[Side.OUTSIDE])
    assert (done.pairs, said(done), done.unjudged) == (1, [], 0)
    for missing, says in ((rule.side.other, rule.lacks), (rule.side, rule.unused)):
        left = {**sides, missing: []}
        done = both(left[Side.INSIDE], left[Side.OUTSIDE])
        assert (done.pairs, said(done)) == (0, [says] if says else [])


@pytest.mark.parametrize(
    ("ordered_s", "off_s", "pairs"),
    [
        (40, 0.0, 1),
        (39.99, 0.0, 0),
        (39.99, 0.005, 1),
        (101, 0.0, 1),
        (101.01, 0.0, 0),
        (101.01, 0.005, 1),
    ],
)
def test_the_uncertainty_of_both_clocks_widens_the_time(ordered_s: float, off_s: float, pairs: int) -> None:
    done = both([line("pause.ordered", ordered_s, off_s)], [line("guest.paused", 100, off_s)])
    assert done.pairs == pairs


def test_an_order_serves_one_pause() -> None:
    done = both([line("pause.ordered", 99)], [line("guest.paused", 100), line("guest.paused", 101)])
    assert (done.pairs, said(done)) == (1, [PAUSE.lacks])


def test_an_order_of_another_guest_serves_none() -> None:
    done = both([line("pause.ordered", 99, guest="guest-2")], [line("guest.paused", 100)])
    assert sorted(said(done)) == sorted([PAUSE.lacks, PAUSE.unused])


def test_a_session_serves_each_login_after_it() -> None:
    logins = [line("login", at) for at in (99, 101, 102)]
    done = both(logins, [line("vpn.session", 100)])
    assert (done.pairs, [one.t_ns for one in done.oddities]) == (2, [99 * S])


def test_a_vague_clock_hides_nothing() -> None:
    done = both([line("pause.ordered", 99, 5.1)], [line("guest.paused", 100)])
    assert (done.pairs, sorted(one.side for one in done.oddities)) == (0, [Side.INSIDE, Side.OUTSIDE])


def test_what_no_rule_speaks_of_is_counted() -> None:
    done = both([line("something.else", 1)], [line("pause.ordered", 1)])
    assert (done.pairs, said(done), done.unjudged) == (0, [], 2)


def test_an_oddity_names_its_line_and_order_does_not_matter() -> None:
    pauses = [line("guest.paused", at) for at in (300, 100, 200)]
    done = both([line("pause.ordered", 200)], pauses)
    assert [(one.t_ns, one.line, one.side) for one in done.oddities] == [
        (100 * S, 3, Side.OUTSIDE),
        (300 * S, 2, Side.OUTSIDE),
    ]


moments = st.lists(st.integers(0, 40).map(lambda t: t * 10.0), max_size=7)


@given(st.lists(st.tuples(st.integers(0, 40), st.integers(0, 4)), max_size=7), moments)
def test_as_many_pairs_are_made_as_can_be(pauses: list[tuple[int, int]], orders: list[float]) -> None:
    """By a general algorithm for assignments on the same stretches."""
    done = both(
        [line("pause.ordered", at, 0) for at in orders],
        [line("guest.paused", 10 * at, off) for at, off in pauses],
    )
    allowed = [
        [-int(-60 - off <= at - 10 * pause <= 1 + off) for at in orders] or [0] for pause, off in pauses
    ]
    most = 0
    if pauses:
        rows, columns = linear_sum_assignment(allowed)
        most = -sum(allowed[row][column] for row, column in zip(rows, columns, strict=True))
    assert done.pairs == most
    assert len(done.oddities) == len(pauses) + len(orders) - 2 * most


GOOD = json.dumps(line("guest.paused", 1)).encode()


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        (b"", "it is empty"),
        (GOOD, "its first line is not"),
        (b'{"log": "inside", "version": 2}', "its first line is not"),
        (b'{"log": "outside", "version": 1}', "the log of the outside"),
        (b'{"log": "inside", "version": 1}\n[]', "no object"),
        (b'{"log": "inside", "version": 1}\nx', "not JSON"),
        (b'{"log": "inside", "version": 1}\n' + b"[" * 3000, "not JSON"),
        (b'{"log": "inside", "version": 1}\n' + b" " * MAX_LINE_BYTES + b"{}", "more than"),
    ],
)
def test_a_log_that_is_none_is_refused_with_its_line(raw: bytes, why: str, tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(raw)
    with pytest.raises(RecordError, match=why) as refused:
        event_log.read(path, Side.INSIDE)
    assert refused.value.where.startswith(str(path))


@pytest.mark.parametrize(
    ("key", "value"),
    [
        *(("kind", value) for value in (None, "", "A", "a\x1b", "a" * 65)),
        *(("guest", value) for value in (None, "", "\x1b[2J", "a" * 129)),
        *((key, value) for key in ("t_ns", "uncertainty_ns") for value in (None, True, -1, 1.0, 2**63, "1")),
    ],
)
def test_an_event_that_is_none_is_refused_with_its_line(key: str, value: object) -> None:
    with pytest.raises(RecordError, match=f"its {key}") as refused:
        log(Side.INSIDE, line("guest.paused", 1), {**line("guest.paused", 1), key: value})
    assert refused.value.where == "a log:3"


def test_a_log_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match="cannot be read"):
        event_log.read(tmp_path / "none", Side.INSIDE)


def test_a_million_events_a_side_take_less_than_ten_times_their_limit(tmp_path: Path) -> None:
    """By a hundredth of them; the limit itself is measured on a quiet machine (benchmarks/README.md)."""
    count = reconciliation.COUNT // 100
    inside, outside, odd = reconciliation.write(tmp_path, count)
    took = reconciliation.one("reconcile", inside, outside)
    assert took["oddities"] == odd == 20
    assert took["cpu_s"] <= 10 * reconciliation.LIMIT_S * count / reconciliation.COUNT


def test_a_log_of_endless_guests_takes_no_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each takes some 500 bytes here for a line of 50: a log of 40 MB would take more than 400 MB."""
    monkeypatch.setattr(event_log, "MOST_KINDS", 10)
    lines = [b'{"log":"inside","version":1}\n']
    lines += [b'{"t_ns":1,"uncertainty_ns":0,"kind":"a","guest":"%d"}\n' % number for number in range(11)]
    assert len(event_log.parse(lines[:-1], Side.INSIDE, where="a log").events) == 10
    with pytest.raises(RecordError, match="more than 10 kinds and guests"):
        event_log.parse(lines, Side.INSIDE, where="a log")
