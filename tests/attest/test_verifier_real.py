"""The verifier on quotes of a real TPM: the first, the next, an old one again, and after a power cut."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from harness.attest.evidence import Evidence, KeyType
from harness.attest.identity.enrolled import EnrolledKey
from harness.attest.played.local_tpm import LocalTpm, running
from harness.attest.played.platform import KINDS, NONCE, NOW_NS, challenge, policy, require, ticking
from harness.attest.played.software_tpm import MOMENTS
from harness.attest.reasons import Reason, Tier
from harness.attest.reference.policy import ReferenceValues
from harness.attest.reference.values import record
from harness.attest.verify.memory import Memory
from harness.attest.verify.question import Question
from harness.attest.verify.verifier import Verification, verify

pytestmark = pytest.mark.programs

HANDLE = "0x81010002"
PCRS = (0, 4, 7, 10)
POLICY = policy(pcrs=PCRS, require=require("check", "ignore", "ignore"), software_tpm="accept")
ARGUMENTS: Mapping[KeyType, tuple[str, str]] = {"ecc-p256": ("ecc", "ecdsa"), "rsa-2048": ("rsa", "rsassa")}


def enrolled(tpm: LocalTpm, kind: KeyType) -> EnrolledKey:
    """A key under the endorsement key, kept in the TPM across its resets."""
    algorithm, scheme = ARGUMENTS[kind]
    tpm.run("tpm2_createek", "-c", "ek.ctx", "-G", algorithm, "-u", "ek.pub")
    tpm.flush()
    tpm.run(
        *("tpm2_createak", "-C", "ek.ctx", "-c", "ak.ctx", "-G", algorithm, "-g", "sha256", "-s", scheme),
        *("-u", "ak.pub", "-n", "ak.name", "-q", "ak.qname"),
    )
    tpm.run("tpm2_evictcontrol", "-C", "o", "-c", "ak.ctx", HANDLE)
    tpm.flush()
    public, name, qualified = ((tpm.folder / part).read_bytes() for part in ("ak.pub", "ak.name", "ak.qname"))
    return EnrolledKey(attester="host-a", kind=kind, public=public[2:], name=name, qualified_name=qualified)


def quoted(tpm: LocalTpm, kind: KeyType, nonce: bytes) -> Evidence:
    """What the TPM says now."""
    selected = "sha256:" + ",".join(str(index) for index in PCRS)
    tpm.run(
        *("tpm2_quote", "-c", HANDLE, "-l", selected, "-q", nonce.hex(), "-m", "attest", "-s", "sig"),
        *("-o", "pcrs", "-F", "values", "-g", "sha256", "--scheme", ARGUMENTS[kind][1]),
    )
    attest, signature, values = ((tpm.folder / part).read_bytes() for part in ("attest", "sig", "pcrs"))
    return Evidence(
        key=kind,
        attest=attest,
        signature=signature,
        bank="sha256",
        pcrs={index: values[32 * place : 32 * (place + 1)] for place, index in enumerate(PCRS)},
        moments=MOMENTS,
    )


def judged(
    key: EnrolledKey,
    sent: Evidence,
    reference: ReferenceValues,
    memory: Memory | None = None,
    *,
    nonce: bytes = NONCE,
    clock_unsafe: str = "refuse",
) -> Verification:
    asked = Question(
        key=key,
        challenge=challenge(nonce=nonce, pcrs=PCRS, ima_from=None),
        memory=memory,
        reference=reference,
        policy=POLICY.model_copy(update={"clock_unsafe": clock_unsafe}),
        now_ns=NOW_NS,
        software_tpm=True,
        held=False,
    )
    return verify(sent, asked, tick=ticking())


@pytest.mark.parametrize("kind", KINDS)
def test_a_real_tpm_is_believed_and_only_forwards(swtpm: LocalTpm, kind: KeyType) -> None:
    key = enrolled(swtpm, kind)
    first = quoted(swtpm, kind, NONCE)
    reference = record(first, POLICY)
    accepted = judged(key, first, reference)
    assert (accepted.result.tier, accepted.result.reason) == (Tier.AFFIRMING, Reason.ACCEPTED)
    assert accepted.result.claims["boot"] == "first"

    nonce = NONCE[::-1]
    again = judged(key, quoted(swtpm, kind, nonce), reference, accepted.memory, nonce=nonce)
    assert again.result.reason is Reason.ACCEPTED, again.result.detail
    assert again.result.claims["boot"] == "same"

    replayed = judged(key, first, reference, again.memory, nonce=nonce)
    assert replayed.result.reason is Reason.NONCE_MISMATCH
    rolled_back = judged(key, first, reference, again.memory)
    assert rolled_back.result.reason is Reason.CLOCK_BACKWARDS

    swtpm.run("tpm2_pcrextend", "7:sha256=" + "5a" * 32)
    changed = judged(key, quoted(swtpm, kind, nonce), reference, again.memory, nonce=nonce)
    assert (changed.result.reason, changed.result.tier) == (Reason.PCR_VALUE, Tier.CONTRAINDICATED)


def test_a_tpm_whose_power_went_says_that_its_clock_may_be_wrong(tmp_path: Path) -> None:
    """It is stopped without TPM2_Shutdown here, and says so until it has saved its clock again."""
    with running(tmp_path, state=tmp_path / "state") as tpm:
        key = enrolled(tpm, "ecc-p256")
        first = quoted(tpm, "ecc-p256", NONCE)
        reference = record(first, POLICY)
        memory = judged(key, first, reference).memory
    nonce = NONCE[::-1]
    with running(tmp_path, state=tmp_path / "state") as tpm:
        booted = quoted(tpm, "ecc-p256", nonce)
    refused = judged(key, booted, reference, memory, nonce=nonce)
    assert refused.result.reason is Reason.CLOCK_NOT_SAFE
    warned = judged(key, booted, reference, memory, nonce=nonce, clock_unsafe="warn")
    assert (warned.result.tier, warned.result.reason) == (Tier.WARNING, Reason.CLOCK_NOT_SAFE)
    assert warned.result.claims["boot"] == "reboot"
