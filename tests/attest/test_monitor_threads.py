"""The trust monitor with real threads and a real clock: hangs, silence, and a clean end."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from harness.attest.monitor.kinds.contract import Observation
from harness.attest.monitor.monitor import Settings, TrustMonitor, in_thread
from harness.attest.monitor.outbox import Outbox
from harness.attest.monitor.standing import Change, Listener
from harness.attest.monitor.watch import Watch
from harness.attest.reasons import Reason, Tier
from harness.clock import MonotonicClock
from tests.attest.monitor.fakes import Told, seen

CLOCK = MonotonicClock()
LONG_S = 10.0
"""How long a test waits before it fails."""


def watch(look: Callable[[], Observation | None], subject: str = "a", lifetime_s: float = 5.0) -> Watch:
    return Watch(subject=subject, monitor=Told.by(look), interval_s=0.02, lifetime_s=lifetime_s, server=False)


@contextmanager
def running(
    *watches: Watch, listeners: tuple[Listener, ...] = (), hang_s: float = 0.1, close_s: float = 0.1
) -> Iterator[tuple[TrustMonitor, queue.Queue[Change]]]:
    told: queue.Queue[Change] = queue.Queue()
    monitor = TrustMonitor(
        watches,
        clock=CLOCK,
        listeners=[*listeners, told.put],
        settings=Settings(workers=2, spare=2, hang_s=hang_s, check_s=0.05, close_s=close_s),
    )
    with monitor:
        monitor.start()
        yield monitor, told


def until(told: queue.Queue[Change], wanted: Callable[[Change], bool]) -> Change:
    while True:
        change = told.get(timeout=LONG_S)
        if wanted(change):
            return change


def test_a_violation_is_told_while_it_runs() -> None:
    bad = threading.Event()
    look = watch(lambda: seen(CLOCK.now_ns(), Tier.CONTRAINDICATED if bad.is_set() else Tier.AFFIRMING))
    with running(look) as (_monitor, told):
        until(told, lambda change: change.after == "affirming")
        bad.set()
        found = until(told, lambda change: change.after == "contraindicated")

    assert (found.reason, found.before) == (Reason.PCR_VALUE, "affirming")


def test_looks_that_hang_are_reported_and_the_others_go_on() -> None:
    """More looks hang than there are workers; the one that works is still looked at."""
    never = threading.Event()
    looks = 0

    def look() -> Observation:
        nonlocal looks
        looks += 1
        return seen(CLOCK.now_ns())

    def hang() -> None:
        never.wait()

    hanging = [watch(hang, f"hung-{n}") for n in range(3)]
    try:
        # A look that is late on a busy machine must not be taken for one that hangs.
        with running(*hanging, watch(look, "works"), hang_s=1.0) as (monitor, told):
            silent = {until(told, lambda change: change.reason is Reason.TIMED_OUT).subject for _ in hanging}
            before = looks
            deadline_ns = CLOCK.now_ns() + round(LONG_S * 1e9)
            while looks <= before + 3 and CLOCK.now_ns() < deadline_ns:
                never.wait(0.01)
            tiers = {one.subject: one.verdict.tier for one in monitor.standings()}
    finally:
        never.set()

    assert looks > before + 3
    assert silent == {"hung-0", "hung-1", "hung-2"}
    assert tiers == {"hung-0": Tier.NONE, "hung-1": Tier.NONE, "hung-2": Tier.NONE, "works": Tier.AFFIRMING}


def test_an_attester_that_falls_silent_is_reported_within_its_lifetime() -> None:
    looked: list[int] = []
    never = threading.Event()

    def look() -> Observation:
        if looked:
            never.wait()
        looked.append(CLOCK.now_ns())
        return seen(looked[0])

    try:
        with running(watch(look, lifetime_s=0.2), hang_s=60.0) as (monitor, told):
            until(told, lambda change: change.after == "affirming")
            quiet = until(told, lambda change: change.kind == "silent")
            tier = monitor.standings()[0].verdict.tier
    finally:
        never.set()

    assert (quiet.reason, quiet.after, tier) == (Reason.RESULT_EXPIRED, "none", Tier.NONE)
    # Not before the evidence is too old, and soon after: the watchdog looks twenty times a second.
    assert 0.2e9 <= quiet.at_ns - looked[0] < LONG_S * 1e9


def test_a_listener_that_hangs_holds_up_nobody_and_is_reported() -> None:
    never = threading.Event()

    def hang(_change: Change) -> None:
        never.wait()

    try:
        with running(watch(lambda: seen(CLOCK.now_ns())), listeners=(hang,)) as (_monitor, told):
            until(told, lambda change: change.after == "affirming")
            stuck = until(told, lambda change: change.monitor == "listener 0")
    finally:
        never.set()

    assert (stuck.kind, stuck.reason, stuck.subject) == ("silent", Reason.MONITOR_SILENT, "")


def test_the_end_delivers_what_was_found_and_leaves_no_thread_but_the_hung() -> None:
    with running(watch(lambda: seen(CLOCK.now_ns()))) as (_monitor, told):
        until(told, lambda change: change.after == "affirming")
    deadline_ns = CLOCK.now_ns() + round(LONG_S * 1e9)
    while (left := [one for one in threading.enumerate() if one.name.startswith("trust-")]) and (
        CLOCK.now_ns() < deadline_ns
    ):
        left[0].join(0.1)

    assert left == []


def test_the_end_awaits_a_look_that_is_under_way() -> None:
    begun, go_on, ended = threading.Event(), threading.Event(), threading.Event()

    def look() -> Observation:
        begun.set()
        go_on.wait(LONG_S)
        ended.set()
        return seen(CLOCK.now_ns())

    with running(watch(look), hang_s=60.0, close_s=LONG_S):
        assert begun.wait(LONG_S)
        threading.Timer(0.05, go_on.set).start()

    assert ended.is_set()


def test_no_look_begins_after_the_end() -> None:
    looks = 0

    def look() -> Observation:
        nonlocal looks
        looks += 1
        return seen(CLOCK.now_ns())

    with running(watch(look)) as (_monitor, told):
        until(told, lambda change: change.after == "affirming")
    for thread in [one for one in threading.enumerate() if one.name.startswith("trust-")]:
        thread.join(LONG_S)
    after = looks

    threading.Event().wait(0.1)
    assert looks == after


@pytest.mark.parametrize("dead", ["schedule", "watchdog"])
def test_a_thread_that_died_is_reported_by_the_other(dead: str) -> None:
    told: queue.Queue[Change] = queue.Queue()

    def without(name: str, call: Callable[[], None]) -> None:
        if name != f"trust-{dead}":
            in_thread(name, call)

    settings = Settings(workers=1, hang_s=0.1, check_s=0.05, close_s=0.1)
    look = watch(lambda: seen(CLOCK.now_ns()), lifetime_s=0.2)
    with TrustMonitor([look], clock=CLOCK, listeners=[told.put], settings=settings, spawn=without) as monitor:
        monitor.start()
        found = until(told, lambda change: change.monitor == dead)
        if dead == "schedule":
            quiet = until(told, lambda change: change.subject == "a")
            assert (quiet.kind, quiet.reason) == ("silent", Reason.MONITOR_SILENT)

    assert (found.kind, found.subject) == ("silent", "")


def test_an_outbox_keeps_the_order_and_drops_nothing() -> None:
    got: list[int] = []
    box = Outbox(lambda change: got.append(change.at_ns), CLOCK, lambda _box, fault: pytest.fail(fault.why))
    thread = threading.Thread(target=box.run)
    thread.start()
    for number in range(1000):
        box.put(
            Change(
                subject="a",
                monitor="m",
                kind="tier",
                before=None,
                after=None,
                reason=Reason.ACCEPTED,
                at_ns=number,
                simulated=False,
            )
        )
    box.close()
    thread.join(LONG_S)

    assert got == list(range(1000))
    assert box.busy_ns(CLOCK.now_ns()) == 0
