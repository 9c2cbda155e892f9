"""The proof on arrival by real rounds over a real registry: asked for early or late, believed or not.

The TPMs are in software keys, so that the moments are the test's; the lab's tests have real ones.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from harness.attest.attester.contract import Answer, Ask
from harness.attest.evidence import KeyType
from harness.attest.examine.round import Examiner
from harness.attest.guest.continuity import ContinuityPolicy, Quoted
from harness.attest.monitor.shared import SharedAttesters
from harness.attest.played.software_tpm import SoftwareTpm
from harness.attest.reasons import Reason, Tier
from harness.clock import MonotonicClock
from harness.registry.errors import RegistryError
from harness.registry.registry import Registry, open_registry
from harness.response.act.arriving import Arriving
from harness.response.act.prover import Prover
from tests.attest.attesters import GOOD, POLICY, UUID, SoftwareAttester, enrol
from tests.registry.blank import blank

CLOCK = MonotonicClock()
KEY: KeyType = "ecc-p256"
QUOTE_NS = 3_000
"""What a played TPM says that a quote took it."""


@dataclass
class Guest(SoftwareAttester):
    """An attester whose answers may be from before they seem to be."""

    early_ns: int = 0

    def quote(self, ask: Ask) -> Answer:
        answer = SoftwareAttester.quote(self, ask)
        return replace(answer, sent_ns=answer.sent_ns - self.early_ns)


@dataclass
class Stage:
    """A guest on a, that goes to b."""

    registry: Registry
    guest: Guest
    prover: Prover
    chosen: Quoted
    began_ns: int

    def arrival(self, arriving: Arriving) -> tuple[Reason, int]:
        """The verdict, where the call returns right now; and what is told of the quotes."""
        over = self.began_ns, CLOCK.now_ns()
        found = self.prover.arrival(arriving, self.chosen, "a", over, 2)
        return found.verdict.reason, found.quotes_ns


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    with open_registry(blank(tmp_path)) as registry:
        attesters = {name: SoftwareAttester(SoftwareTpm(KEY), CLOCK) for name in "ab"}
        guest = Guest(SoftwareTpm(KEY), CLOCK)
        for name, attester in attesters.items():
            enrol(registry, name, attester.tpm)
        enrol(registry, "guest", guest.tpm, "guest")
        examiner = Examiner(registry, lambda _: POLICY, lambda _: GOOD, CLOCK)
        shared = SharedAttesters(examiner, {**attesters, "guest": guest}, CLOCK)
        bounds = ContinuityPolicy(max_window_s=10)
        prover = Prover(shared, "guest", key=KEY, vm_uuid=UUID, bounds=bounds, clock=CLOCK)
        assert prover.look("a", 1).verdict.reason is Reason.ACCEPTED
        chosen = prover.requote("b").quoted
        yield Stage(registry, guest, prover, chosen, CLOCK.now_ns())


def test_asked_as_soon_as_it_runs_it_is_proved_and_no_quote_came_after_the_return(stage: Stage) -> None:
    with stage.prover.arriving("b", 2) as arriving:
        arriving.begin()
        assert arriving.found().verdict.reason is Reason.ACCEPTED
        assert stage.arrival(arriving) == (Reason.ACCEPTED, 0)
    assert len(stage.guest.asked) == 2  # on a, and once on b


def test_never_seen_to_run_it_is_asked_after_the_return(stage: Stage) -> None:
    with stage.prover.arriving("b", 2) as arriving:
        assert stage.arrival(arriving) == (Reason.ACCEPTED, 2 * QUOTE_NS)


def test_what_may_be_from_before_it_was_seen_to_run_there_proves_nothing(stage: Stage) -> None:
    stage.guest.early_ns = 10**9
    with stage.prover.arriving("b", 2) as arriving:
        arriving.begin()
        assert stage.arrival(arriving)[0] is Reason.QUOTED_BEFORE_MOVE


def test_another_guest_is_not_the_one_that_left(stage: Stage) -> None:
    stage.guest.tpm = SoftwareTpm(KEY)
    with stage.prover.arriving("b", 2) as arriving:
        arriving.begin()
        assert stage.arrival(arriving)[0] is Reason.SIGNATURE_INVALID


def test_a_move_that_failed_leaves_the_guest_where_it_was_seen(stage: Stage) -> None:
    """What was found at the destination is dropped: the next move is judged from the source."""
    with stage.prover.arriving("b", 2) as arriving:
        arriving.begin()
    assert arriving.found().verdict.tier is Tier.AFFIRMING
    stage.chosen = stage.prover.requote("b").quoted
    stage.began_ns = CLOCK.now_ns()
    with stage.prover.arriving("b", 2) as again:
        assert stage.arrival(again)[0] is Reason.ACCEPTED


def test_a_registry_that_is_gone_is_told_where_the_result_is_asked_for(stage: Stage) -> None:
    def gone(_name: str) -> None:
        raise RegistryError("the registry does not answer", where="test")

    stage.registry.attester = gone  # type: ignore[method-assign, assignment]
    with stage.prover.arriving("b", 2) as arriving:
        arriving.begin()
        with pytest.raises(RegistryError):
            stage.arrival(arriving)


def test_nobody_looks_after_it_was_over(stage: Stage) -> None:
    with stage.prover.arriving("b", 2) as arriving:
        pass
    arriving.begin()
    assert (arriving.begun_ns, len(stage.guest.asked)) == (None, 1)
    with pytest.raises(RuntimeError):
        arriving.found()
