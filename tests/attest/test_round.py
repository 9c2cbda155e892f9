from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from harness.attest.evidence import Evidence, KeyType, RefusedError
from harness.attest.examine.arrival import sighting
from harness.attest.examine.round import Examiner
from harness.attest.measures.transcript import host_line, linked_line
from harness.attest.played.software_tpm import SoftwareTpm, changed
from harness.attest.reasons import Reason, Tier
from harness.clock import MonotonicClock
from harness.registry.registry import Registry, open_registry
from tests.attest.attesters import GOOD, POLICY, UUID, SoftwareAttester, enrol
from tests.registry.blank import blank


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[Registry]:
    with open_registry(blank(tmp_path)) as opened:
        yield opened


@pytest.fixture(params=["ecc-p256", "rsa-2048"])
def key(request: pytest.FixtureRequest) -> KeyType:
    kind: KeyType = request.param
    return kind


class Bench:
    """A host and a guest, both enrolled, and somebody who examines them."""

    def __init__(self, registry: Registry, key: KeyType) -> None:
        clock = MonotonicClock()
        self.key: KeyType = key
        self.registry = registry
        self.host, self.guest = (SoftwareAttester(SoftwareTpm(key), clock) for _ in "ab")
        enrol(registry, "a", self.host.tpm)
        enrol(registry, "guest:1", self.guest.tpm, "guest")
        self.examiner = Examiner(registry, lambda _name: POLICY, lambda _name: GOOD, clock)


@pytest.fixture
def bench(registry: Registry, key: KeyType) -> Bench:
    return Bench(registry, key)


def test_a_good_machine_is_affirmed_with_its_stamps_in_order(bench: Bench) -> None:
    done = bench.examiner.examine("a", bench.host, key=bench.key)
    assert (done.result.tier, done.result.reason) == (Tier.AFFIRMING, Reason.ACCEPTED)
    stamps = done.stamps
    assert stamps.er is not None
    assert stamps.ns < stamps.er <= stamps.rg <= stamps.rr <= stamps.ra
    assert [step.number for step in done.steps] == list(range(1, 13))
    stored = bench.registry.latest("a")
    assert stored is not None
    assert stored.tier is Tier.AFFIRMING


def test_when_evidence_was_generated_is_bounded_by_the_exchange(bench: Bench) -> None:
    done = bench.examiner.examine("a", bench.host, key=bench.key)
    assert done.generated is not None
    at_ns, uncertainty_ns = done.generated
    # 10 us of round trip, 5 us of them on the attester: 1 us after the request's arrival EG can be placed
    assert at_ns == done.stamps.ns + (4_000 + 9_000) // 2
    assert uncertainty_ns == 2_500


def test_every_round_has_a_nonce_of_its_own(bench: Bench) -> None:
    for _ in range(5):
        bench.examiner.examine("a", bench.host, key=bench.key)
    nonces = [ask.nonce for ask in bench.host.asked]
    assert len(set(nonces)) == 5
    assert all(len(nonce) == 32 for nonce in nonces)


def test_who_is_not_enrolled_is_not_asked(bench: Bench) -> None:
    done = bench.examiner.examine("b", bench.host, key=bench.key)
    assert (done.result.tier, done.result.reason) == (Tier.NONE, Reason.NOT_ENROLLED)
    assert bench.host.asked == []


@pytest.mark.parametrize(
    "reason", [Reason.TIMED_OUT, Reason.TPM_BUSY, Reason.TPM_GONE, Reason.TPM_MEMORY, Reason.ATTESTER_FAILED]
)
def test_silence_is_a_round_and_never_trust(bench: Bench, reason: Reason) -> None:
    bench.host.reason = reason
    done = bench.examiner.examine("a", bench.host, key=bench.key)
    assert (done.result.tier, done.result.reason) == (Tier.NONE, reason)
    assert done.stamps.er is None
    assert done.generated is None
    stored = bench.registry.latest("a")
    assert stored is not None
    assert stored.reason == reason
    record = bench.registry.attester("a")
    assert record is not None
    assert not record.held, "that it was silent says nothing against it"


def test_a_contraindicated_machine_stays_so_when_its_evidence_is_good_again(bench: Bench) -> None:
    bench.host.twist = lambda evidence: changed(evidence, pcrs={**evidence.pcrs, 3: bytes(32)})
    first = bench.examiner.examine("a", bench.host, key=bench.key)
    assert first.result.reason is Reason.PCR_DIGEST
    bench.host.twist = lambda evidence: evidence
    second = bench.examiner.examine("a", bench.host, key=bench.key)
    assert (second.result.tier, second.result.reason) == (Tier.CONTRAINDICATED, Reason.HELD_CONTRAINDICATED)


def test_of_two_verifiers_that_saw_the_same_state_one_accepts(bench: Bench) -> None:
    second: list[Reason] = []

    def meanwhile(evidence: Evidence) -> Evidence:
        if not second:
            second.append(Reason.ACCEPTED)
            inner = bench.examiner.examine("a", bench.host, key=bench.key)
            second[0] = inner.result.reason
        return evidence

    bench.host.twist = meanwhile
    outer = bench.examiner.examine("a", bench.host, key=bench.key)
    assert second == [Reason.ACCEPTED]
    # The outer quote is older than the one accepted meanwhile, which is no fault of the machine.
    assert (outer.result.tier, outer.result.reason) == (Tier.NONE, Reason.STATE_CONFLICT)
    third = bench.examiner.examine("a", bench.host, key=bench.key)
    assert third.result.reason is Reason.ACCEPTED


def test_an_answer_that_was_overtaken_says_nothing(bench: Bench) -> None:
    asked = bench.examiner.ask("a", bench.host, key=bench.key)
    bench.examiner.examine("a", bench.host, key=bench.key)
    with pytest.raises(RefusedError) as late:
        bench.examiner.judge("a", asked.challenge, asked.answer.evidence)
    assert late.value.reason is Reason.STATE_CONFLICT
    latest = bench.registry.latest("a")
    assert latest is not None
    assert latest.tier is Tier.AFFIRMING, "what is newer still counts"


def test_an_answer_is_judged_once_and_not_again(bench: Bench) -> None:
    asked = bench.examiner.ask("a", bench.host, key=bench.key)
    first = bench.examiner.judge("a", asked.challenge, asked.answer.evidence)
    assert first.result.reason is Reason.ACCEPTED
    with pytest.raises(RefusedError) as again:
        bench.examiner.judge("a", asked.challenge, asked.answer.evidence)
    assert again.value.reason is Reason.NONCE_REUSED
    assert "nothing is held against a" in str(again.value)
    assert bench.examiner.examine("a", bench.host, key=bench.key).result.tier is Tier.AFFIRMING


@pytest.mark.parametrize("field", ["attest", "signature", "pcrs"])
def test_evidence_that_was_altered_on_its_way_is_held_against_no_machine(bench: Bench, field: str) -> None:
    asked = bench.examiner.ask("a", bench.host, key=bench.key)
    sent = asked.answer.evidence
    other: dict[str, object] = {
        "attest": bytes(len(sent.attest)),
        "signature": sent.signature[:-1] + bytes([sent.signature[-1] ^ 1]),
        "pcrs": {**sent.pcrs, 3: bytes(32)},
    }
    with pytest.raises(RefusedError):
        bench.examiner.judge("a", asked.challenge, changed(sent, **{field: other[field]}))
    record = bench.registry.attester("a")
    assert record is not None
    assert not record.held
    assert bench.registry.latest("a") is None, "a refusal of altered evidence is no result"
    assert bench.examiner.examine("a", bench.host, key=bench.key).result.tier is Tier.AFFIRMING


def test_guest_and_host_are_linked(bench: Bench) -> None:
    done = bench.examiner.examine_linked(
        ("guest:1", bench.guest), ("a", bench.host), key=bench.key, vm_uuid=UUID, epoch=1
    )
    assert (done.verdict.tier, done.verdict.reason) == (Tier.AFFIRMING, Reason.ACCEPTED)
    seen = sighting(done, "a", 1)
    assert seen is not None
    assert seen.vak_name == bench.guest.tpm.name
    line = linked_line("arrival", done, "a", 1, migration=2)
    assert (line.subject, line.kind, line.host, line.epoch) == ("guest", "linked", "a", 1)
    assert line.second is not None
    assert line.second.machine == "a"
    assert len(line.steps) == 24


def test_a_host_that_quotes_over_something_else_does_not_vouch(bench: Bench) -> None:
    clock = MonotonicClock()

    class Deaf(SoftwareAttester):
        def quote(self, ask):  # type: ignore[no-untyped-def]
            return SoftwareAttester.quote(self, replace(ask, nonce=bytes(32)))

    deaf = Deaf(bench.host.tpm, clock)
    done = bench.examiner.examine_linked(
        ("guest:1", bench.guest), ("a", deaf), key=bench.key, vm_uuid=UUID, epoch=1
    )
    assert done.verdict.tier is Tier.CONTRAINDICATED
    assert done.verdict.reason is Reason.NONCE_MISMATCH
    assert sighting(done, "a", 1) is None


def test_a_silent_guest_leaves_its_host_in_peace(bench: Bench) -> None:
    bench.guest.reason = Reason.TIMED_OUT
    done = bench.examiner.examine_linked(
        ("guest:1", bench.guest), ("a", bench.host), key=bench.key, vm_uuid=UUID, epoch=1
    )
    assert (done.verdict.tier, done.verdict.reason) == (Tier.NONE, Reason.TIMED_OUT)
    assert bench.host.asked == []
    line = linked_line("interval", done, "a", 1)
    assert line.stamps.ER is None
    assert line.second is None
    assert line.attester is None


def test_a_silent_host_is_the_reason_of_the_whole(bench: Bench) -> None:
    bench.host.reason = Reason.TPM_BUSY
    done = bench.examiner.examine_linked(
        ("guest:1", bench.guest), ("a", bench.host), key=bench.key, vm_uuid=UUID, epoch=1
    )
    assert (done.verdict.tier, done.verdict.reason) == (Tier.NONE, Reason.TPM_BUSY)


def test_the_line_of_a_round_has_its_stamps_and_no_expiry_unless_it_was_believed(bench: Bench) -> None:
    good = host_line("a", "host", "gate", bench.examiner.examine("a", bench.host, key=bench.key), op_ns=5)
    assert good.stamps.OP == 5
    assert good.stamps.RX is not None
    assert good.attester is not None
    assert good.attester.EG - good.attester.quoting == 3_000
    bench.host.reason = Reason.TIMED_OUT
    bad = host_line("a", "host", "interval", bench.examiner.examine("a", bench.host, key=bench.key))
    assert bad.stamps.RX is None
    assert bad.attester is None
    assert (bad.tier, bad.reason) == ("none", "timed-out")


def test_what_the_registry_did_not_take_is_not_linked(bench: Bench) -> None:
    """The host is examined by somebody else while its quote over the guest's is on its way."""
    inner: list[Reason] = []

    def meanwhile(evidence: Evidence) -> Evidence:
        if not inner:
            inner.append(Reason.ACCEPTED)
            inner[0] = bench.examiner.examine("a", bench.host, key=bench.key).result.reason
        return evidence

    bench.host.twist = meanwhile
    done = bench.examiner.examine_linked(
        ("guest:1", bench.guest), ("a", bench.host), key=bench.key, vm_uuid=UUID, epoch=1
    )
    assert inner == [Reason.ACCEPTED]
    assert (done.verdict.tier, done.verdict.reason) == (Tier.NONE, Reason.STATE_CONFLICT)
    assert sighting(done, "a", 1) is None
