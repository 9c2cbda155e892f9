"""A sealed secret: one TPM gives it back in the state, boot and time it was sealed for, and no other does."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import pytest

from harness.attest.attester.channel import PYTHON
from harness.attest.evidence import RefusedError
from harness.attest.played import marshal
from harness.attest.played.local_tpm import LocalTpm, running
from harness.attest.played.software_tpm import SoftwareTpm
from harness.attest.reasons import Reason
from harness.attest.tpm import sealing
from harness.attest.tpm.algorithms import Alg
from harness.attest.tpm.sealing import Sealed, Terms, seal
from harness.attest.tpm.structures import ClockInfo, Selection
from tests.attest.opening import Opened, clock_of, endorsement_key, opened, pcrs_of

SECRET = bytes(range(32))
PCRS = (0, 4, 7)
LASTING_MS = 120_000
CLOCK = ClockInfo(clock_ms=5_000, reset_count=3, restart_count=1, safe=True)
TERMS = Terms.after(CLOCK, bank="sha256", pcrs={7: bytes(32)}, lasting_ms=LASTING_MS)


def _for(tpm: LocalTpm, algorithm: str = "ecc", *, bank: str = "sha256") -> tuple[Sealed, Terms]:
    """The secret for this TPM as it is now."""
    ek_public = endorsement_key(tpm, algorithm)
    pcrs = pcrs_of(tpm, PCRS, bank)
    terms = Terms.after(
        clock_of(tpm),
        bank="sha384" if bank == "sha384" else "sha256",
        pcrs=pcrs,
        lasting_ms=LASTING_MS,
    )
    return seal(ek_public, SECRET, terms), terms


def _refusals(tpm: LocalTpm, sealed: Sealed, terms: Terms, assertion: str) -> tuple[str, str]:
    """Which command the TPM refuses: of an honest session, and of one that leaves `assertion` out."""
    honest, sly = opened(tpm, sealed, terms), opened(tpm, sealed, terms, without=[assertion])
    assert (honest.secret, sly.secret) == (None, None)
    return honest.refused, sly.refused


@pytest.mark.parametrize("bank", ["sha256", "sha384"])
@pytest.mark.parametrize("algorithm", ["ecc", "rsa"])
def test_the_tpm_gives_it_back(algorithm: str, bank: str, swtpm: LocalTpm) -> None:
    swtpm.run("tpm2_pcrextend", f"7:{bank}=" + "5a" * (48 if bank == "sha384" else 32))
    assert opened(swtpm, *_for(swtpm, algorithm, bank=bank)) == Opened(SECRET)


def test_another_tpm_does_not(swtpm: LocalTpm, tmp_path: Path) -> None:
    for algorithm in ("ecc", "rsa"):
        sealed, terms = _for(swtpm, algorithm)
        other = tmp_path / f"other-{algorithm}"
        other.mkdir()
        with running(other) as tpm:
            endorsement_key(tpm, algorithm)
            assert opened(tpm, sealed, terms) == Opened(None, "tpm2_import")


def test_not_after_a_pcr_was_extended(swtpm: LocalTpm) -> None:
    sealed, terms = _for(swtpm)
    swtpm.run("tpm2_pcrextend", "9:sha256=" + "5a" * 32)
    assert opened(swtpm, sealed, terms) == Opened(SECRET), "a PCR that was not selected"
    swtpm.run("tpm2_pcrextend", "4:sha256=" + "5a" * 32)
    assert _refusals(swtpm, sealed, terms, "pcrs") == ("unseal", "unseal")


def test_not_when_its_time_is_over(swtpm: LocalTpm) -> None:
    sealed, terms = _for(swtpm)
    swtpm.run("tpm2_setclock", str(terms.until_ms + 1_000))
    assert _refusals(swtpm, sealed, terms, "clock") == ("clock", "unseal")
    later = replace(terms, until_ms=terms.until_ms + 600_000)
    assert opened(swtpm, sealed, later) == Opened(None, "unseal"), "a later moment is another policy"


@pytest.mark.parametrize(("suspended", "assertion"), [(False, "resets"), (True, "restarts")])
def test_not_in_another_boot_with_equal_pcrs(suspended: bool, assertion: str, tmp_path: Path) -> None:
    state = tmp_path / "state"
    with running(tmp_path, state=state) as tpm:
        sealed, terms = _for(tpm)
        assert opened(tpm, sealed, terms) == Opened(SECRET)
        tpm.run("tpm2_shutdown", *([] if suspended else ["--clear"]))
    with running(tmp_path, state=state) as tpm:
        endorsement_key(tpm, "ecc")
        assert pcrs_of(tpm, PCRS) == dict(terms.pcrs)
        assert clock_of(tpm).clock_ms < terms.until_ms
        assert _refusals(tpm, sealed, terms, assertion) == (assertion, "unseal")


@pytest.mark.parametrize("part", ["public", "duplicate", "seed"])
def test_not_with_a_byte_changed(part: str, swtpm: LocalTpm) -> None:
    sealed, terms = _for(swtpm)
    content = getattr(sealed, part)
    for at in {2, len(content) // 2, len(content) - 1}:
        changed = bytearray(content)
        changed[at] ^= 1
        assert opened(swtpm, replace(sealed, **{part: bytes(changed)}), terms).secret is None, at


def test_not_by_a_password_and_it_cannot_leave_the_tpm(swtpm: LocalTpm) -> None:
    assert opened(swtpm, *_for(swtpm)).secret == SECRET
    assert swtpm.run("tpm2_unseal", "-c", "sealed.ctx", check=False).returncode
    swtpm.flush()
    swtpm.run("tpm2_startauthsession", "--policy-session", "-S", "session.ctx")
    swtpm.run("tpm2_policycommandcode", "-S", "session.ctx", "TPM2_CC_Duplicate")
    moved = swtpm.run(
        *("tpm2_duplicate", "-C", "null", "-c", "sealed.ctx", "-G", "null", "-p", "session:session.ctx"),
        *("-r", "moved.private", "-s", "moved.seed"),
        check=False,
    )
    swtpm.run("tpm2_flushcontext", "session.ctx")
    assert moved.returncode


@pytest.mark.parametrize("without", ["pcrs", "resets", "restarts", "clock"])
def test_the_digest_has_each_assertion(without: str, swtpm: LocalTpm) -> None:
    sealed, terms = _for(swtpm)
    assert opened(swtpm, sealed, terms, without=[without]) == Opened(None, "unseal")


def test_each_term_makes_another_policy() -> None:
    changed = (
        {"bank": "sha384", "pcrs": {7: bytes(48)}},
        {"pcrs": {7: bytes(31) + b"x"}},
        {"pcrs": {6: bytes(32)}},
        {"pcrs": {6: bytes(32), 7: bytes(32)}},
        {"reset_count": 4},
        {"restart_count": 2},
        {"until_ms": TERMS.until_ms + 1},
    )
    policies = {replace(TERMS, **one).policy() for one in changed}
    assert len(policies | {TERMS.policy()}) == 1 + len(changed)


TRIAL = """
import sys
from tpm2_pytss import ESAPI, ESYS_TR, TPM2_ALG, TPM2_SE, TPMT_SYM_DEF
with ESAPI(sys.argv[1]) as tpm:
    session = tpm.start_auth_session(
        ESYS_TR.NONE, ESYS_TR.NONE, TPM2_SE.TRIAL, TPMT_SYM_DEF(algorithm=TPM2_ALG.NULL), TPM2_ALG.SHA256
    )
    tpm.policy_pcr(session, b"", sys.argv[2])
    print(bytes(tpm.policy_get_digest(session)).hex())
    tpm.flush_context(session)
"""
"""PolicyPCR in a trial session: tpm2-tools take eight PCRs at most."""


def test_the_digest_of_many_pcrs_is_the_tpms(swtpm: LocalTpm) -> None:
    many = range(12)
    swtpm.run("tpm2_pcrextend", "9:sha256=" + "5a" * 32)
    pcrs = pcrs_of(swtpm, many[:8]) | pcrs_of(swtpm, many[8:])
    said = swtpm.run(PYTHON, "-c", TRIAL, swtpm.tcti, "sha256:" + ",".join(map(str, many))).stdout
    assert replace(TERMS, pcrs=pcrs).pcr_policy().hex() == said.strip()


def test_terms_begin_at_the_quote() -> None:
    assert (TERMS.until_ms, TERMS.reset_count, TERMS.restart_count) == (125_000, 3, 1)
    selected = Selection(hash_alg=Alg.SHA256, pcrs=(7,))
    assert TERMS.selection() == marshal.selections([selected])


@pytest.mark.parametrize(
    ("pcrs", "reason"),
    [
        ({}, Reason.SELECTION_EMPTY),
        ({24: bytes(32)}, Reason.PCR_MISSING),
        ({-1: bytes(32)}, Reason.PCR_MISSING),
        ({7: bytes(48)}, Reason.PCR_MISSING),
        ({7: b""}, Reason.PCR_MISSING),
    ],
)
def test_terms_without_a_state_are_refused(pcrs: dict[int, bytes], reason: Reason) -> None:
    with pytest.raises(RefusedError) as refused:
        Terms.after(CLOCK, bank="sha256", pcrs=pcrs, lasting_ms=1)
    assert refused.value.reason is reason


def test_only_an_endorsement_key_and_a_whole_key_are_taken() -> None:
    tpm = SoftwareTpm("ecc-p256")
    for ek_public, secret, reason in (
        (tpm.ak_public, SECRET, Reason.EK_KEY),
        (tpm.ek_public, SECRET[1:], Reason.CREDENTIAL),
        (tpm.ek_public, b"", Reason.CREDENTIAL),
    ):
        with pytest.raises(RefusedError) as refused:
            seal(ek_public, secret, TERMS)
        assert refused.value.reason is reason


def test_neither_the_secret_nor_its_hash_is_in_what_is_sent() -> None:
    tpm = SoftwareTpm("ecc-p256")
    first, second = (seal(tpm.ek_public, SECRET, TERMS) for _ in range(2))
    for sealed in (first, second):
        sent = sealed.public + sealed.duplicate + sealed.seed
        assert SECRET not in sent
        assert hashlib.sha256(SECRET).digest() not in sent
    assert first.public != second.public, "a guess of the secret cannot be confirmed"
    assert sealing.ATTRIBUTES & (1 << 6) == 0, "userWithAuth: no password opens it"
