from __future__ import annotations

import threading
from types import SimpleNamespace
from typing import Any

import libvirt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.clock import MonotonicClock
from harness.migration.driver import cancel, flags, migrate, parameters, prepare
from harness.migration.options import MigrationOptions
from harness.rig.contract import HypervisorError
from harness.rig.guest.guest import Guest
from tests.synthetic.clocks import SteppedClock

GUEST = Guest(name="guest", domain="sodbench-guest", mac="52:54:00:5d:be:4c", address="198.18.0.100")
ALWAYS = libvirt.VIR_MIGRATE_LIVE | libvirt.VIR_MIGRATE_UNSAFE | libvirt.VIR_MIGRATE_TLS


def options(**chosen: Any) -> MigrationOptions:
    return MigrationOptions(**chosen)


@pytest.mark.parametrize(
    ("chosen", "extra"),
    [
        ({}, 0),
        ({"mode": "post-copy"}, libvirt.VIR_MIGRATE_POSTCOPY),
        ({"auto_converge": True}, libvirt.VIR_MIGRATE_AUTO_CONVERGE),
        ({"xbzrle": True}, libvirt.VIR_MIGRATE_COMPRESSED),
        ({"parallel_connections": 4}, libvirt.VIR_MIGRATE_PARALLEL),
        (
            {"auto_converge": True, "xbzrle": True},
            libvirt.VIR_MIGRATE_AUTO_CONVERGE | libvirt.VIR_MIGRATE_COMPRESSED,
        ),
        ({"bandwidth_mib_s": 32, "downtime_limit_ms": 30}, 0),
    ],
)
def test_each_option_sets_its_flag_and_no_other(chosen: dict[str, Any], extra: int) -> None:
    assert flags(options(**chosen)) == ALWAYS | extra


def test_a_migration_is_plain_only_where_that_is_asked_for() -> None:
    assert flags(options(tls=True)) == ALWAYS
    assert flags(options(tls=False)) == ALWAYS & ~libvirt.VIR_MIGRATE_TLS


@pytest.mark.parametrize(
    ("chosen", "extra"),
    [
        ({}, {}),
        ({"bandwidth_mib_s": 32}, {"bandwidth": 32}),
        ({"auto_converge": True}, {}),
        (
            {
                "auto_converge": True,
                "auto_converge_initial_percent": 30,
                "auto_converge_increment_percent": 5,
            },
            {"auto_converge.initial": 30, "auto_converge.increment": 5},
        ),
        ({"parallel_connections": 4}, {"parallel.connections": 4}),
        ({"xbzrle": True}, {"compression": "xbzrle"}),
        (
            {"xbzrle": True, "xbzrle_cache_mib": 64},
            {"compression": "xbzrle", "compression.xbzrle.cache": 64 * 1024 * 1024},
        ),
        ({"downtime_limit_ms": 30}, {}),
    ],
)
def test_each_option_becomes_its_parameter_in_libvirts_unit(
    chosen: dict[str, Any], extra: dict[str, str | int]
) -> None:
    assert parameters(options(**chosen), address="10.0.0.2") == {"migrate_uri": "tcp://10.0.0.2", **extra}


@given(
    chosen=st.fixed_dictionaries(
        {},
        optional={
            "bandwidth_mib_s": st.integers(1, 10**6),
            "parallel_connections": st.integers(1, 255),
            "xbzrle": st.booleans(),
            "auto_converge": st.booleans(),
        },
    )
)
def test_what_is_left_out_is_left_to_the_hypervisor(chosen: dict[str, Any]) -> None:
    made = parameters(options(**chosen), address="h")
    assert None not in made.values()
    assert ("bandwidth" in made) == ("bandwidth_mib_s" in chosen)
    assert ("parallel.connections" in made) == ("parallel_connections" in chosen)
    assert ("compression" in made) == chosen.get("xbzrle", False)


class FakeJob:
    """A domain's migration that notes what it is told and fails where the test says so."""

    def __init__(self, failure: str | None = None) -> None:
        self.calls: list[tuple[object, ...]] = []
        self.failure = failure

    def migrate(self, destination: object, values: dict[str, object], bits: int) -> None:
        self.calls.append(("migrate", destination, values, bits))
        self._maybe_fail()

    def limit_downtime(self, milliseconds: int) -> None:
        self.calls.append(("max downtime", milliseconds))

    def cancel(self) -> None:
        self.calls.append(("abort",))
        self._maybe_fail()

    def _maybe_fail(self) -> None:
        if self.failure is not None:
            raise HypervisorError(self.failure)


class Preparing(FakeJob):
    """A migration whose switch is refused at first, as QEMU has not begun; it ends with the switch."""

    def __init__(self, refusals: int) -> None:
        super().__init__()
        self._refusals = refusals
        self._switched = threading.Event()

    def migrate(self, destination: object, values: dict[str, object], bits: int) -> None:
        super().migrate(destination, values, bits)
        if not self._switched.wait(10):
            raise HypervisorError("it was never switched")

    def switch_to_post_copy(self) -> None:
        self.calls.append(("switch",))
        if self._refusals > 0:
            self._refusals -= 1
            raise HypervisorError("post-copy can only be started while outgoing migration is in progress")
        self._switched.set()


def host(job: FakeJob) -> Any:
    """A hypervisor whose one domain has the migration `job`."""

    def domain(name: str) -> SimpleNamespace:
        assert name == "sodbench-guest"
        return SimpleNamespace(job=job)

    return SimpleNamespace(domain=domain)


def test_a_migration_is_asked_for_once_and_its_end_is_stamped() -> None:
    job, clock, there = FakeJob(), SteppedClock(now=7_000), host(FakeJob())
    outcome = migrate(host(job), there, GUEST, options(), address="10.0.0.2", clock=clock)
    assert (outcome.ok, outcome.error, outcome.returned_ns) == (True, None, 7_000)
    assert job.calls == [("migrate", there, {"migrate_uri": "tcp://10.0.0.2"}, ALWAYS)]


def test_a_migration_that_fails_is_an_outcome_and_is_not_tried_again() -> None:
    job = FakeJob("the other side hung up")
    outcome = migrate(host(job), host(FakeJob()), GUEST, options(), address="h", clock=SteppedClock(now=5))
    assert (outcome.ok, outcome.returned_ns) == (False, 5)
    assert "the other side hung up" in str(outcome.error)
    assert len(job.calls) == 1


def test_the_switch_to_post_copy_is_asked_for_until_the_migration_has_begun() -> None:
    job, switching = Preparing(refusals=2), options(mode="post-copy", post_copy_after_s=0.01)
    outcome = migrate(host(job), host(FakeJob()), GUEST, switching, address="h", clock=MonotonicClock())
    assert outcome.ok, outcome.error
    assert [call[0] for call in job.calls] == ["migrate", "switch", "switch", "switch"]


@pytest.mark.parametrize(("limit_ms", "calls"), [(30, [("max downtime", 30)]), (None, [])])
def test_the_downtime_limit_is_set_before_the_call_and_only_when_given(
    limit_ms: int | None, calls: list[tuple[object, ...]]
) -> None:
    job = FakeJob()
    prepare(host(job), GUEST, options(downtime_limit_ms=limit_ms))
    assert job.calls == calls


@pytest.mark.parametrize(("failure", "there_was_one"), [(None, True), ("no job", False)])
def test_cancelling_says_whether_there_was_anything_to_cancel(
    failure: str | None, there_was_one: bool
) -> None:
    assert cancel(host(FakeJob(failure)), GUEST) is there_was_one
