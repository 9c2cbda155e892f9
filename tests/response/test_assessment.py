"""Whether a VM is well where it is, by the present alone."""

from __future__ import annotations

import pytest

from harness.attest.reasons import Reason
from harness.policy.fleet import Fleet
from harness.policy.server import Server
from harness.response.decide.assessment import Vm, assess
from harness.response.decide.cause import Cause
from tests.response.fleets import HYPERVISOR_C, TABLE, accused, good, server, silent, vm, warned


def cause(one: Vm, *servers: Server, now_ns: int = 0, complied: int = 0, warnings: bool = False) -> object:
    fleet = Fleet(TABLE, servers, warning_counts=warnings)
    found = assess(one, fleet, now_ns, complied=complied)
    if found is not None:
        assert found.vm is one
        assert found.why
        assert not found.satisfied
    return None if found is None else found.cause


def test_a_vm_whose_server_satisfies_it_is_well() -> None:
    assert cause(vm(), server("a")) is None


@pytest.mark.parametrize(
    ("here", "expected"),
    [
        (server("a", trust=accused(Reason.MEMORY_VIOLATION)), Cause.VIOLATION),
        (server("a", trust=accused()), Cause.ATTESTATION),
        (server("a", trust=silent()), Cause.SILENCE),
        (server("a", trust=good(expires_ns=100)), Cause.SILENCE),
        (server("a", trust=warned()), Cause.ATTESTATION),
        (server("a", withdrawn=[HYPERVISOR_C]), Cause.PROPERTIES),
        (server("a", "HyperSafe"), Cause.PROPERTIES),
        (server("a", "nobody's"), Cause.PROPERTIES),
        (server("a", None), Cause.PROPERTIES),
        (server("b"), Cause.SILENCE),
    ],
)
def test_each_trouble_has_its_cause(here: Server, expected: Cause) -> None:
    assert cause(vm(), here, now_ns=100) is expected


def test_a_warning_is_well_where_it_counts() -> None:
    assert cause(vm(), server("a", trust=warned()), warnings=True) is None


def test_a_request_that_was_not_satisfied_yet_is_the_cause() -> None:
    asks_more = vm(options=("1", "3"), number=5)
    assert cause(asks_more, server("a")) is Cause.REQUEST


def test_a_request_that_was_once_satisfied_there_is_not_new() -> None:
    asks_more = vm(options=("1", "3"), number=5)
    assert cause(asks_more, server("a"), complied=5) is Cause.PROPERTIES
    assert cause(asks_more, server("a"), complied=4) is Cause.REQUEST


def test_of_a_placement_that_is_not_known_every_request_is_newer() -> None:
    plain = Vm(name="vm", host="a", request=vm(options=("1", "3")).request, request_number=1, placed_ns=0)
    assert plain.turn == 0
    found = assess(plain, Fleet(TABLE, [server("a")]), 0)
    assert found is not None
    assert found.cause is Cause.REQUEST


def test_trust_goes_before_the_request() -> None:
    asks_more = vm(options=("1", "3"), number=5)
    assert cause(asks_more, server("a", trust=accused())) is Cause.ATTESTATION
