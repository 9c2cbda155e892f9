"""One host an epoch, and epochs that only grow."""

from __future__ import annotations

import pytest
from sqlalchemy import text

from harness.attest.evidence import RefusedError
from harness.attest.reasons import Reason
from harness.registry.database import Database
from harness.registry.errors import ConstraintError
from harness.registry.registry import Registry
from tests.registry.subjects import SteppedPresent, enrolment, moment


@pytest.fixture
def registry(registry: Registry) -> Registry:
    """Two hosts and a guest."""
    for host in ("host-a", "host-b"):
        registry.enrol(enrolment(host))
    registry.enrol(enrolment("guest-1", tpm="vtpm", kind="guest"))
    return registry


def refused(registry: Registry, guest: str, host: str, epoch: int) -> Reason:
    with pytest.raises(RefusedError) as caught:
        registry.place(guest, host, epoch)
    return caught.value.reason


def test_a_guest_is_where_it_was_placed_last(registry: Registry, present: SteppedPresent) -> None:
    assert registry.placement("guest-1") is None
    first = registry.place("guest-1", "host-a", 0)
    present.at = moment(9)
    second = registry.place("guest-1", "host-b", 7)
    assert (second.guest, second.host, second.epoch, second.at) == ("guest-1", "host-b", 7, moment(9))
    assert registry.placement("guest-1") == second
    assert registry.placements("guest-1") == (first, second)


@pytest.mark.parametrize("host", ["host-a", "host-b"])
@pytest.mark.parametrize("epoch", [-1, 0, 4, 5, 2**63, 2**80])
def test_an_epoch_is_used_once_and_never_goes_back(registry: Registry, host: str, epoch: int) -> None:
    placed = registry.place("guest-1", "host-a", 5)
    assert refused(registry, "guest-1", host, epoch) is Reason.EPOCH_REUSED
    assert registry.placements("guest-1") == (placed,)


def test_epochs_are_each_guests_own(registry: Registry) -> None:
    registry.enrol(enrolment("guest-2", tpm="another vtpm", kind="guest"))
    registry.place("guest-1", "host-a", 5)
    registry.place("guest-2", "host-b", 1)
    assert [one.epoch for one in registry.placements("guest-2")] == [1]


def test_a_virtual_tpm_takes_its_epochs_along_to_another_id(registry: Registry) -> None:
    registry.place("guest-1", "host-a", 5)
    registry.release("guest-1", "renamed")
    registry.enrol(enrolment("guest-2", tpm="vtpm", kind="guest"))
    assert refused(registry, "guest-2", "host-b", 5) is Reason.EPOCH_REUSED
    registry.place("guest-2", "host-b", 6)
    assert [(one.guest, one.epoch) for one in registry.placements("guest-2")] == [
        ("guest-1", 5),
        ("guest-2", 6),
    ]
    assert registry.placement("guest-2") == registry.placements("guest-2")[-1]
    assert registry.placement("guest-1") is None


def test_another_virtual_tpm_under_the_same_id_begins_anew(registry: Registry) -> None:
    registry.place("guest-1", "host-a", 5)
    registry.release("guest-1", "made anew")
    registry.enrol(enrolment("guest-1", tpm="another vtpm", kind="guest"))
    assert registry.placement("guest-1") is None
    registry.place("guest-1", "host-b", 1)


def test_the_database_itself_gives_a_virtual_tpm_one_place_in_an_epoch(registry: Registry, url: str) -> None:
    registry.place("guest-1", "host-a", 5)
    database = Database(url, wait_s=5)
    copied = text(
        "INSERT INTO placements (guest_number, host_number, ek_name, epoch, at_realtime_ns, at_monotonic_ns,"
        " at_boot_id) SELECT guest_number, (SELECT number FROM attesters WHERE id = 'default/host-b'),"
        " ek_name, epoch, at_realtime_ns, at_monotonic_ns, at_boot_id FROM placements"
    )
    try:
        with pytest.raises(ConstraintError), database.writing() as session:
            session.execute(copied)
    finally:
        database.close()


@pytest.mark.parametrize(
    ("guest", "host"),
    [("guest-2", "host-a"), ("guest-1", "host-c"), ("guest-1", "guest-1"), ("host-b", "host-a")],
)
def test_only_an_enrolled_guest_is_placed_on_an_enrolled_host(
    registry: Registry, guest: str, host: str
) -> None:
    assert refused(registry, guest, host, 1) is Reason.NOT_ENROLLED
    assert registry.placements(guest) == ()


def test_a_released_guest_is_nowhere(registry: Registry) -> None:
    registry.place("guest-1", "host-a", 1)
    registry.release("guest-1", "undefined")
    assert refused(registry, "guest-1", "host-a", 2) is Reason.NOT_ENROLLED
