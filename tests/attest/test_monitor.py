"""The trust monitor at exact instants: a clock that stands still, looks that end when the test says so."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from harness.attest.evidence import RefusedError
from harness.attest.monitor.kinds.contract import Observation
from harness.attest.monitor.monitor import Settings, TrustMonitor
from harness.attest.monitor.schedule import phase_ns
from harness.attest.monitor.standing import Change
from harness.attest.reasons import Reason, Tier
from harness.errors import UnreachableError
from tests.attest.monitor.bench import Bench, S, kinds, watch
from tests.attest.monitor.fakes import Played, Store, seen
from tests.synthetic.clocks import SteppedClock


@pytest.fixture
def clock() -> SteppedClock:
    return SteppedClock()


PHASE_S = phase_ns("a/told", 10 * S) / S
"""When the first look at `a` is due."""


def test_the_first_look_is_at_its_phase_to_the_nanosecond(clock: SteppedClock) -> None:
    bench = Bench([watch(lambda: seen(clock.now))], clock)
    clock.now = phase_ns("a/told", 10 * S) - 1

    assert bench.begin() == []
    clock.now += 1
    assert bench.begin() == ["a/told"]


def test_looks_do_not_drift_however_long_they_take(clock: SteppedClock) -> None:
    begun: list[int] = []
    bench = Bench([watch(lambda: seen(clock.now))], clock)
    while len(begun) < 5:
        wait_s = bench.monitor.dispatch()
        if bench.looks:
            begun.append(clock.now)
            clock.now += 3 * S
            bench.end()
        else:
            clock.now += max(1, round(wait_s * S))

    first = phase_ns("a/told", 10 * S)
    assert [moment - first for moment in begun] == [0, 10 * S, 20 * S, 30 * S, 40 * S]


def test_a_first_result_is_told_with_its_properties(clock: SteppedClock) -> None:
    store = Store()
    bench = Bench([watch(lambda: seen(clock.now))], clock, store=store)

    changes = bench.round(10)
    assert kinds(changes) == [
        ("property", "architecture_type"),
        ("property", "trust_evidence"),
        ("tier", "tier"),
    ]
    assert (changes[-1].before, changes[-1].after, changes[-1].at_ns) == ("none", "affirming", 10 * S)
    assert store.rows["a", "architecture_type"] == ("Told", "told", False)
    assert store.rows["a", "trust_tier"] == ({"tier": "affirming", "reason": "accepted"}, "told", False)
    assert bench.round(20) == []


def test_a_violation_is_told_with_its_reason(clock: SteppedClock) -> None:
    tiers = iter([Tier.AFFIRMING, Tier.CONTRAINDICATED])
    store = Store()
    bench = Bench([watch(lambda: seen(clock.now, next(tiers)))], clock, store=store)
    bench.round(10)

    changes = bench.round(20)
    assert kinds(changes) == [("property", "trust_evidence"), ("tier", "tier")]
    assert (changes[0].before, changes[0].after) == ({"tier": "affirming"}, {"tier": "contraindicated"})
    assert (changes[1].reason, changes[1].after) == (Reason.PCR_VALUE, "contraindicated")
    assert store.rows["a", "trust_tier"][0] == {"tier": "contraindicated", "reason": "pcr-value"}


def test_the_architecture_is_stated_once_a_boot_and_only_of_who_was_attested(clock: SteppedClock) -> None:
    said = iter([seen(0, Tier.NONE, boot=None), seen(20 * S), seen(30 * S), seen(40 * S, boot="2")])
    stated: list[int] = []
    told = watch(lambda: next(said))
    told.monitor.boot_properties = lambda: stated.append(clock.now) or {"architecture_type": "Told"}  # type: ignore[method-assign, func-returns-value]
    bench = Bench([told], clock)
    for now_s in (10, 20, 30, 40):
        bench.round(now_s)

    assert stated == [20 * S, 40 * S]


def test_a_guest_has_no_properties_of_a_server(clock: SteppedClock) -> None:
    store = Store()
    bench = Bench([watch(lambda: seen(clock.now), server=False)], clock, store=store)

    assert kinds(bench.round(10)) == [("tier", "tier")]
    assert store.rows == {}


def test_a_second_monitor_of_a_server_has_names_of_its_own_and_is_marked(clock: SteppedClock) -> None:
    store = Store()
    both = [
        watch(lambda: seen(clock.now)),
        watch(lambda: seen(clock.now, simulated=True), kind=Played, first=False),
    ]
    bench = Bench(both, clock, store=store)
    changes = bench.round(10)

    assert store.rows["a", "played.architecture_type"] == ("Played", "played", True)
    assert store.rows["a", "played.trust_tier"] == (
        {"tier": "affirming", "reason": "accepted"},
        "played",
        True,
    )
    assert store.rows["a", "architecture_type"] == ("Told", "told", False)
    assert {change.simulated for change in changes if change.monitor == "played"} == {True}
    assert {change.simulated for change in changes if change.monitor == "told"} == {False}


def test_a_result_that_is_not_renewed_expires_at_its_instant(clock: SteppedClock) -> None:
    bench = Bench([watch(lambda: seen(clock.now))], clock, store=(store := Store()))
    bench.round(10)

    assert bench.at(35 - 1e-9) == []
    assert bench.standing.verdict.tier is Tier.AFFIRMING
    (change,) = bench.at(35)
    assert (change.kind, change.reason, change.after) == ("silent", Reason.RESULT_EXPIRED, "none")
    assert store.rows["a", "trust_tier"][0] == {"tier": "none", "reason": "result-expired"}
    assert bench.at(36) == []
    assert kinds(bench.round(40)) == [("missed", "moments"), ("recovered", "tier")]


def test_whoever_reads_sees_the_expiry_though_every_thread_is_dead(clock: SteppedClock) -> None:
    bench = Bench([watch(lambda: seen(clock.now))], clock)
    bench.round(10)
    clock.now = 35 * S

    assert (bench.standing.verdict.tier, bench.standing.verdict.reason) == (Tier.NONE, Reason.RESULT_EXPIRED)


def test_who_was_never_heard_of_is_silent_too(clock: SteppedClock) -> None:
    bench = Bench([watch(lambda: seen(clock.now))], clock)

    assert bench.at(PHASE_S + 25 - 0.001) == []
    (change,) = bench.at(PHASE_S + 25)
    assert (change.kind, change.reason) == ("silent", Reason.MONITOR_SILENT)


def test_the_watchdog_asks_to_be_called_at_the_very_moment(clock: SteppedClock) -> None:
    bench = Bench([watch(lambda: seen(clock.now))], clock, check_s=100.0)
    bench.round(10)

    assert bench.monitor.check() == 25.0
    clock.now = 30 * S
    assert bench.begin() == ["a/told"]
    assert bench.monitor.check() == 5.0  # the look hangs at 35, the result expires at 35


def test_a_look_that_hangs_is_told_and_its_result_never_counts(clock: SteppedClock) -> None:
    bench = Bench([watch(lambda: seen(clock.now))], clock)
    bench.round(10)
    clock.now = 20 * S
    assert bench.begin() == ["a/told"]

    assert bench.at(24.9) == []
    (change,) = bench.at(25)
    assert (change.kind, change.reason, change.after) == ("silent", Reason.TIMED_OUT, "none")
    assert bench.at(26) == []
    clock.now = 30 * S
    assert bench.begin() == []  # no attester is looked at twice at once
    clock.now = 41 * S
    bench.end()
    assert bench.new() == []
    assert bench.standing.verdict.tier is Tier.NONE
    assert kinds(bench.round(42)) == [("missed", "moments"), ("recovered", "tier")]
    assert bench.standing.missed == 1


def test_hung_looks_are_made_up_for_up_to_a_limit_and_others_go_on(clock: SteppedClock) -> None:
    watches = [watch(lambda: seen(clock.now), f"h{n}", interval_s=1000, lifetime_s=9000) for n in range(6)]
    bench = Bench(watches, clock, workers=2, spare=1)
    clock.now = 1000 * S
    assert len(bench.begin()) == 2
    assert bench.begin() == []
    assert [change.reason for change in bench.at(1005)] == [Reason.TIMED_OUT] * 2
    assert len(bench.begin()) == 1  # two workers and one spare, two of them hung
    bench.end()
    # The three looks that began have ended, the two hung ones too late.
    assert len(bench.begin()) == 2


def test_one_subject_is_not_looked_at_by_two_monitors_at_once(clock: SteppedClock) -> None:
    both = [watch(lambda: seen(clock.now)), watch(lambda: seen(clock.now), kind=Played, first=False)]
    bench = Bench(both, clock)
    clock.now = 10 * S

    assert len(bench.begin()) == 1
    assert bench.begin() == []
    bench.end()
    assert len(bench.begin()) == 1


def test_a_monitor_that_raises_is_told_and_the_others_go_on(clock: SteppedClock) -> None:
    def broken() -> Observation:
        raise ZeroDivisionError("oops")

    bench = Bench([watch(broken), watch(lambda: seen(clock.now), "b")], clock)
    changes = {change.subject: change for change in bench.round(10) if change.what == "tier"}

    assert (changes["a"].kind, changes["a"].reason) == ("failed", Reason.MONITOR_FAILED)
    assert changes["a"].detail.startswith("ZeroDivisionError: oops (test_monitor.py:")
    assert changes["b"].after == "affirming"


@pytest.mark.parametrize(
    ("error", "reason", "tier"),
    [
        (UnreachableError("the registry does not answer"), Reason.MONITOR_FAILED, Tier.NONE),
        (RefusedError(Reason.TIMED_OUT), Reason.TIMED_OUT, Tier.NONE),
        (RefusedError(Reason.MALFORMED_EVIDENCE), Reason.MALFORMED_EVIDENCE, Tier.CONTRAINDICATED),
        (SystemExit(1), Reason.MONITOR_FAILED, Tier.NONE),
    ],
)
def test_a_verifier_that_is_down_leaves_nobody_trusted(
    clock: SteppedClock, error: BaseException, reason: Reason, tier: Tier
) -> None:
    down = False

    def look() -> Observation:
        if down:
            raise error
        return seen(clock.now)

    bench = Bench([watch(look)], clock)
    bench.round(10)
    down = True
    (change,) = bench.round(20)
    assert (change.kind, change.before, change.after) == ("failed", "affirming", tier.value)
    assert (bench.standing.verdict.tier, bench.standing.verdict.reason) == (tier, reason)


def test_what_cannot_be_stored_was_not_seen(clock: SteppedClock) -> None:
    store = Store(fault=UnreachableError("no registry"))
    bench = Bench([watch(lambda: seen(clock.now))], clock, store=store)

    changes = bench.round(10)
    assert (changes[0].kind, changes[0].reason, changes[0].after) == ("failed", Reason.MONITOR_FAILED, "none")
    assert bench.standing.verdict.tier is Tier.NONE
    bench.new()  # the verdict itself could not be kept either, which the other listener hears of
    assert ("listener 1", "failed") in bench.of_itself


def test_no_thread_left_is_a_failed_look_and_not_the_end(clock: SteppedClock) -> None:
    changes: list[Change] = []

    def refuse(name: str, call: Callable[[], None]) -> None:
        raise RuntimeError("can't start new thread")

    monitor = TrustMonitor(
        [watch(lambda: seen(clock.now))], clock=clock, listeners=[changes.append], spawn=refuse
    )
    clock.now = 10 * S
    monitor.dispatch()
    monitor.deliver()

    assert [(one.kind, one.detail) for one in changes] == [("failed", "can't start new thread")]


def test_a_schedule_that_stops_is_told_by_the_watchdog_once_and_when_it_goes_on(clock: SteppedClock) -> None:
    bench = Bench([watch(lambda: seen(clock.now), interval_s=1000, lifetime_s=3000)], clock)
    bench.begin()

    bench.at(5.9)
    assert bench.of_itself == []
    bench.at(6)
    bench.at(8)
    assert bench.of_itself == [("schedule", "silent")]
    bench.begin()
    bench.at(9)
    assert bench.of_itself == [("schedule", "silent"), ("schedule", "recovered")]


def test_a_watchdog_that_stops_is_told_by_the_schedule(clock: SteppedClock) -> None:
    bench = Bench([watch(lambda: seen(clock.now), interval_s=1000, lifetime_s=3000)], clock)
    clock.now = 6 * S
    bench.begin()
    bench.new()

    assert bench.of_itself == [("watchdog", "silent")]


def test_a_listener_that_raises_is_told_to_the_others_and_goes_on_being_told(clock: SteppedClock) -> None:
    told: list[Change] = []
    broken: list[Change] = []

    def fail(change: Change) -> None:
        broken.append(change)
        raise KeyError(change.kind)

    monitor = TrustMonitor(
        [watch(lambda: seen(clock.now), server=False)],
        clock=clock,
        listeners=[fail, told.append],
        spawn=lambda _name, call: call(),
    )
    clock.now = 10 * S
    monitor.dispatch()
    monitor.deliver()

    assert [(one.monitor, one.kind) for one in told] == [("told", "tier"), ("listener 0", "failed")]
    assert [one.kind for one in broken] == ["tier"]


def test_all_results_that_expire_together_are_all_told(clock: SteppedClock) -> None:
    watches = [watch(lambda: seen(clock.now), f"h{n:03}") for n in range(300)]
    bench = Bench(watches, clock, workers=1000)
    bench.round(10)
    changes = bench.at(35)

    assert [change.kind for change in changes] == ["silent"] * 300
    assert {standing.verdict.tier for standing in bench.monitor.standings()} == {Tier.NONE}


def test_a_storm_of_a_thousand_is_bounded_and_ordered_by_what_was_due(clock: SteppedClock) -> None:
    looked: list[str] = []
    names = [f"h{n:04}" for n in range(1000)]

    def look(name: str) -> Callable[[], Observation]:
        return lambda: looked.append(name) or seen(clock.now)  # type: ignore[func-returns-value]

    bench = Bench([watch(look(name), name, server=False) for name in names], clock, workers=8)
    clock.now = 10 * S
    while begun := bench.begin():
        assert len(begun) <= 8
        bench.end()

    assert looked == sorted(names, key=lambda name: phase_ns(f"{name}/told", 10 * S))


def test_two_watches_of_one_kind_on_one_attester_are_refused(clock: SteppedClock) -> None:
    with pytest.raises(ValueError, match="two watches"):
        Bench([watch(lambda: None), watch(lambda: None)], clock)


@pytest.mark.parametrize(("interval_s", "lifetime_s"), [(0, 10), (-1, 10), (10, 9)])
def test_a_result_must_live_for_an_interval(interval_s: float, lifetime_s: float) -> None:
    with pytest.raises(ValueError, match="interval"):
        watch(lambda: None, interval_s=interval_s, lifetime_s=lifetime_s)


@pytest.mark.parametrize("wrong", [{"workers": 0}, {"spare": -1}, {"hang_s": 0}, {"check_s": 0}])
def test_settings_that_would_never_look_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="worker"):
        Settings(**wrong)  # type: ignore[arg-type]
