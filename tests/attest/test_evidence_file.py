"""Evidence in a file comes back as it was written; whether it may still be judged is the registry's word."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from harness.attest.attester.contract import Answer
from harness.attest.evidence import KeyType, RefusedError
from harness.attest.examine import evidence_file
from harness.attest.examine.evidence_file import EvidenceFile, answerable
from harness.attest.examine.outcome import Asked
from harness.attest.identity.enrolled import Issued
from harness.attest.played.logs import excerpt, running_system
from harness.attest.played.software_tpm import NONCE, SoftwareTpm
from harness.attest.reasons import Reason
from harness.attest.verify.question import Challenge
from harness.clock import NS_PER_S
from harness.errors import RecordError
from harness.instant import Instant

ISSUED = Instant(realtime_ns=10**18, monotonic_ns=5 * NS_PER_S, boot_id="this")
EXPIRES = ISSUED.later(30 * NS_PER_S)


def issued(attester: str = "a", *, used: bool = False) -> Issued:
    return Issued(attester=attester, issued=ISSUED, expires=EXPIRES, used=used)


@pytest.fixture
def asked(tpms: dict[KeyType, SoftwareTpm]) -> Asked:
    evidence = tpms["ecc-p256"].evidence(NONCE, event_log=b"log", ima=excerpt(running_system(3)))
    challenge = Challenge(
        key="ecc-p256",
        nonce=NONCE,
        bank="sha256",
        pcrs=(0, 4, 7, 10),
        issued_ns=ISSUED.monotonic_ns,
        expires_ns=ISSUED.monotonic_ns + 30 * NS_PER_S,
        ima_from=0,
        event_log=True,
    )
    return Asked(name="a", challenge=challenge, answer=Answer(evidence=evidence, sent_ns=1, received_ns=2))


@pytest.fixture
def kept(asked: Asked, tmp_path: Path) -> EvidenceFile:
    evidence_file.write(tmp_path / "evidence.json", asked)
    return evidence_file.read(tmp_path / "evidence.json")


def test_what_is_written_is_read_back(kept: EvidenceFile, asked: Asked) -> None:
    challenge = asked.challenge
    assert kept.evidence == asked.answer.evidence
    assert (kept.attester, kept.nonce, kept.bank) == ("a", challenge.nonce, "sha256")
    assert (kept.pcrs, kept.ima_from) == (challenge.pcrs, 0)


@pytest.mark.parametrize(
    "change",
    [
        {"nonce": "not base64!"},
        {"bank": "sha1"},
        {"pcrs": []},
        {"pcrs": [1, 1]},
        {"pcrs": [24]},
        {"ima_from": -1},
        {"expires_ns": 0},
        {"evidence": {}},
    ],
)
def test_a_file_that_says_something_else_is_refused(
    kept: EvidenceFile, tmp_path: Path, change: dict[str, object]
) -> None:
    path = tmp_path / "changed.json"
    path.write_text(json.dumps({**kept.model_dump(mode="json"), **change}))
    with pytest.raises(RecordError, match="not a file of evidence") as caught:
        evidence_file.read(path)
    assert next(iter(change)) in caught.value.why


@pytest.mark.parametrize("version", [2, "1", True, None])
def test_a_file_of_another_version_is_refused_with_what_to_do(
    kept: EvidenceFile, tmp_path: Path, version: object
) -> None:
    path = tmp_path / "changed.json"
    path.write_text(json.dumps({**kept.model_dump(mode="json"), "version": version}))
    with pytest.raises(RecordError, match="a file of evidence of version") as caught:
        evidence_file.read(path)
    assert "use the version of sodbench that wrote it" in caught.value.remedy


def test_a_missing_file_is_told_by_its_name(tmp_path: Path) -> None:
    with pytest.raises(RecordError) as caught:
        evidence_file.read(tmp_path / "none.json")
    assert caught.value.where == str(tmp_path / "none.json")


def test_an_answer_in_time_may_be_judged_by_the_question_that_was_asked(
    kept: EvidenceFile, asked: Asked
) -> None:
    assert answerable(kept, issued(), ISSUED.later(29 * NS_PER_S)) == asked.challenge


@pytest.mark.parametrize(
    ("issue", "now", "reason"),
    [
        (None, ISSUED, Reason.NONCE_MISMATCH),
        (issued("b"), ISSUED, Reason.NONCE_MISMATCH),
        (issued(used=True), ISSUED, Reason.NONCE_REUSED),
        (issued(), EXPIRES, Reason.NONCE_EXPIRED),
        (
            issued(),
            Instant(realtime_ns=10**18, monotonic_ns=6 * NS_PER_S, boot_id="next"),
            Reason.NONCE_EXPIRED,
        ),
        (
            issued(),
            Instant(realtime_ns=10**18, monotonic_ns=4 * NS_PER_S, boot_id="this"),
            Reason.NONCE_EXPIRED,
        ),
    ],
    ids=["never issued", "for another", "used", "too late", "after a boot", "from the future"],
)
def test_an_answer_that_counts_no_more_is_not_judged(
    kept: EvidenceFile, issue: Issued | None, now: Instant, reason: Reason
) -> None:
    with pytest.raises(RefusedError) as caught:
        answerable(kept, issue, now)
    assert (caught.value.reason, caught.value.where) == (reason, "a")
