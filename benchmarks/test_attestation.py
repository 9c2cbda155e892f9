"""How long the pure parts of attestation take: every step of the verifier by itself, and what is around it.

Evidence is made beforehand by a TPM in software keys; what is timed is the real code on it. Run with
``python -m pytest benchmarks/test_attestation.py --benchmark-only``. Figures of one machine compare with
figures of the same machine alone; what is to be faster than something else is measured next to it, in one run
(attestation.py).
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from pytest_benchmark.fixture import BenchmarkFixture

from harness.attest import evidence
from harness.attest.evidence import Evidence, KeyType
from harness.attest.logs import eventlog, ima
from harness.attest.logs.ima import ImaState
from harness.attest.played import logs
from harness.attest.played.logs import Line
from harness.attest.played.platform import (
    KINDS,
    NONCE,
    Platform,
    challenge,
    judged,
    later,
    platform,
    policy,
    question,
    remembered,
    require,
)
from harness.attest.played.software_tpm import CLOCK, SoftwareTpm
from harness.attest.reference.policy import AppraisalPolicy
from harness.attest.tokens import ear
from harness.attest.tokens.ear import VerifierId
from harness.attest.tpm.credential import make_credential
from harness.attest.tpm.keys import AttestationKey
from harness.attest.tpm.structures import parse_attest, parse_signature
from harness.attest.verify import quote_steps
from harness.attest.verify.question import Question
from harness.attest.verify.quote_steps import Asked
from harness.attest.verify.verifier import STEPS, verify

EVENTS = 120
"""About what a PC's start leaves in its event log."""
KNOWN, NEW, WHOLE = 2_000, 100, 20_000
"""IMA entries that are known from before, that are new since, and of a long list."""

EITHER = pytest.mark.parametrize("kind", KINDS)


@pytest.fixture(scope="module")
def machines() -> dict[KeyType, Platform]:
    """A platform for each type of key."""
    return {kind: platform(SoftwareTpm(kind), events=EVENTS, entries=KNOWN) for kind in KINDS}


def worked(machine: Platform, upto: str, judging: AppraisalPolicy | None = None) -> Callable[[], Any]:
    """Makes what the steps before `upto` have established."""
    sent, asked = machine.evidence(), question(machine, policy=judging or policy())

    def made() -> Any:
        work: Any = Asked(evidence=sent, question=asked)
        for step in STEPS:
            if step.name == upto:
                break
            work, _ = step.run(work)
        return work

    return made


@pytest.mark.benchmark(group="attestation: steps of the verifier")
@EITHER
@pytest.mark.parametrize("name", [step.name for step in STEPS])
def test_step(
    benchmark: BenchmarkFixture, machines: dict[KeyType, Platform], name: str, kind: KeyType
) -> None:
    """The IMA list has 2,000 entries here, all of them new: the first attestation after a boot."""
    step = next(one for one in STEPS if one.name == name)
    made = worked(machines[kind], name)
    rounds = 30 if name in {"ima", "appraisal", "event-log"} else 300
    benchmark.pedantic(step.run, setup=lambda: ((made(),), {}), rounds=rounds)


@pytest.mark.benchmark(group="attestation: parts")
@EITHER
def test_parse_quote_and_signature(
    benchmark: BenchmarkFixture, machines: dict[KeyType, Platform], kind: KeyType
) -> None:
    sent = machines[kind].evidence()

    def parse() -> bool:
        return parse_attest(sent.attest).extra_data == NONCE and parse_signature(sent.signature).scheme > 0

    assert benchmark(parse)


@pytest.mark.benchmark(group="attestation: parts")
@EITHER
def test_load_key(benchmark: BenchmarkFixture, machines: dict[KeyType, Platform], kind: KeyType) -> None:
    public = machines[kind].tpm.ak_public
    assert benchmark(AttestationKey.from_public, public).kind == kind


@pytest.mark.benchmark(group="attestation: parts")
@EITHER
def test_verify_signature(
    benchmark: BenchmarkFixture, machines: dict[KeyType, Platform], kind: KeyType
) -> None:
    sent = machines[kind].evidence()
    key, signature = (
        AttestationKey.from_public(machines[kind].tpm.ak_public),
        parse_signature(sent.signature),
    )
    assert benchmark(key.verify, signature, sent.attest)


@pytest.mark.benchmark(group="attestation: parts")
def test_selection_and_digest(benchmark: BenchmarkFixture, machines: dict[KeyType, Platform]) -> None:
    work = worked(machines["ecc-p256"], "selection")()

    done = benchmark(lambda: quote_steps.values(quote_steps.selection(work)))
    assert len(done.pcrs) == 11


@pytest.mark.benchmark(group="attestation: logs")
def test_replay_an_event_log(benchmark: BenchmarkFixture, machines: dict[KeyType, Platform]) -> None:
    """120 events, read and replayed."""
    machine = machines["ecc-p256"]
    data = logs.event_log(machine.events)
    replayed = benchmark(lambda: eventlog.replay(eventlog.parse(data), "sha256"))
    assert replayed[4] == machine.pcrs[4]


@pytest.mark.benchmark(group="attestation: logs")
@pytest.mark.parametrize("count", [NEW, WHOLE])
def test_read_and_replay_an_ima_list(benchmark: BenchmarkFixture, count: int) -> None:
    lines = logs.running_system(count)
    excerpt, expected, start = logs.excerpt(lines), logs.pcr10(lines), ImaState.start("sha256")
    benchmark.extra_info["entries"] = count
    state = benchmark(lambda: ima.replay(start, ima.parse(excerpt), bank="sha256", expected=expected))
    assert state.entries == count


@pytest.mark.benchmark(group="attestation: one answer")
def test_read_an_answer(benchmark: BenchmarkFixture, machines: dict[KeyType, Platform]) -> None:
    """From the attester's line of JSON to evidence, with an event log and an IMA list of 2,000 entries."""
    line = json.dumps(machines["ecc-p256"].evidence().to_json())
    assert benchmark(lambda: evidence.from_json(json.loads(line))).bank == "sha256"


def accepted(sent: Evidence, asked: Question) -> bool:
    return verify(sent, asked, tick=time.perf_counter_ns).accepted


@pytest.mark.benchmark(group="attestation: one answer")
@EITHER
def test_verify_a_quote(
    benchmark: BenchmarkFixture, machines: dict[KeyType, Platform], kind: KeyType
) -> None:
    """All that concerns the quote and its PCR values, without logs."""
    machine = machines[kind]
    asked = question(machine, policy=policy(require=require("check", "ignore", "ignore")))
    assert benchmark(accepted, machine.evidence(), asked)


@pytest.mark.benchmark(group="attestation: one answer")
@EITHER
def test_verify_again(benchmark: BenchmarkFixture, machines: dict[KeyType, Platform], kind: KeyType) -> None:
    """Everything, with an event log of 120 events and 100 new IMA entries after 2,000 known ones."""
    before = machines[kind]
    new = [Line(path=b"/usr/bin/%d" % number, content=b"%d" % number) for number in range(NEW)]
    after = before.measured(*new)
    asked = question(
        after,
        memory=remembered(before, reference=after.reference),
        challenge=challenge(ima_from=KNOWN),
    )
    assert benchmark(accepted, after.evidence(first=KNOWN, clock=later(CLOCK)), asked)


@pytest.mark.benchmark(group="attestation: one answer")
@EITHER
def test_verify_first(benchmark: BenchmarkFixture, machines: dict[KeyType, Platform], kind: KeyType) -> None:
    """Everything, with an event log of 120 events and an IMA list of 2,000 entries."""
    machine = machines[kind]
    assert benchmark(accepted, machine.evidence(), question(machine))


@pytest.mark.benchmark(group="attestation: results")
def test_encode_ear(benchmark: BenchmarkFixture, machines: dict[KeyType, Platform]) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    result = judged(machines["ecc-p256"]).result
    verifier = VerifierId(developer="sodbench", build="benchmark")
    token = benchmark(lambda: ear.encode(result, key=key, verifier_id=verifier, issued_at_s=1))
    assert token.count(".") == 2


@pytest.mark.benchmark(group="attestation: results")
def test_decode_ear(benchmark: BenchmarkFixture, machines: dict[KeyType, Platform]) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    verifier = VerifierId(developer="sodbench", build="benchmark")
    result = replace(judged(machines["ecc-p256"]).result, detail="")
    token = ear.encode(result, key=key, verifier_id=verifier, issued_at_s=1)
    public = key.public_key()
    assert benchmark(lambda: ear.decode(token, public, now_s=2))["ear_status"] == "affirming"


@pytest.mark.benchmark(group="attestation: enrolment")
@EITHER
def test_make_credential(
    benchmark: BenchmarkFixture, machines: dict[KeyType, Platform], kind: KeyType
) -> None:
    tpm = machines[kind].tpm
    endorsement, name, secret = tpm.ek_public, tpm.name, bytes(32)
    credential, seed = benchmark(lambda: make_credential(endorsement, name, secret))
    assert tpm.activate(credential, seed) == secret
