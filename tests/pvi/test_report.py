"""A probe's report: for one factory, one challenge, once; and bound to both quotes."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from harness.attest.evidence import Evidence, RefusedError
from harness.attest.guest.binding import Proved, host_nonce, verify_linked
from harness.attest.identity.enrolled import EnrolledKey
from harness.attest.played.software_tpm import PCRS, SoftwareTpm
from harness.attest.reasons import Reason
from harness.clock import NS_PER_S
from harness.pvi import report as reports
from harness.pvi.report import MAX_BYTES, Challenge, Findings, Posed, Report
from tests.attest.test_binding import proved

PROBE = "3f1c9a52-7a1e-4a5e-9b42-0d6b1f6f6c01"
POSED_NS = 5 * NS_PER_S
NOW_NS = POSED_NS + NS_PER_S


def key_of(tpm: SoftwareTpm, name: str) -> EnrolledKey:
    """The enrolled key of a TPM."""
    return EnrolledKey(
        attester=name,
        kind=tpm.kind,
        public=tpm.ak_public,
        name=tpm.name,
        qualified_name=tpm.qualified_name,
    )


@dataclass
class Probing:
    """A probe on a host, and the factory that asked it."""

    vtpm: SoftwareTpm = field(default_factory=lambda: SoftwareTpm("ecc-p256"))
    tpm: SoftwareTpm = field(default_factory=lambda: SoftwareTpm("ecc-p256"))
    posed: Posed = field(default_factory=lambda: reports.pose(PROBE, "host-a", 3, now_ns=POSED_NS))
    used: set[bytes] = field(default_factory=set)

    @property
    def vak(self) -> EnrolledKey:
        return key_of(self.vtpm, "probe")

    def consume(self, nonce: bytes) -> bool:
        fresh = nonce not in self.used
        self.used.add(nonce)
        return fresh

    def findings(self, challenge: Challenge | None = None) -> Findings:
        asked = challenge or self.posed.challenge
        own = self.vtpm.evidence(asked.nonce)
        over = host_nonce(asked.nonce, own.attest, self.vtpm.name, asked.probe, asked.host, asked.epoch)
        return Findings(probe=own, host=self.tpm.evidence(over), certificates=(b"certificate",))

    def report(self, challenge: Challenge | None = None, **quoted: object) -> Report:
        asked = challenge or self.posed.challenge
        sealed = reports.seal(self.findings(asked), asked)
        attest, signature = self.vtpm.quote(reports.outer_nonce(asked, sealed), PCRS, **quoted)  # type: ignore[arg-type]
        return Report(sealed=sealed, attest=attest, signature=signature)

    def opened(
        self, report: Report | bytes, *, now_ns: int = NOW_NS, vak: EnrolledKey | None = None
    ) -> Findings:
        raw = report if isinstance(report, bytes) else report.to_bytes()
        return reports.open_report(raw, self.posed, vak or self.vak, now_ns=now_ns, consume=self.consume)

    def refused(self, report: Report | bytes, **how: object) -> Reason:
        with pytest.raises(RefusedError) as refused:
            self.opened(report, **how)  # type: ignore[arg-type]
        assert refused.value.where == "host-a"
        return refused.value.reason


@pytest.fixture
def probing() -> Probing:
    return Probing()


def test_the_factory_reads_what_the_probe_found(probing: Probing) -> None:
    report = probing.report()
    assert probing.opened(report).certificates == (b"certificate",)
    assert b"certificate" not in report.sealed
    assert b"attest" not in report.sealed


def test_a_report_counts_once(probing: Probing) -> None:
    report = probing.report()
    probing.opened(report)
    assert probing.refused(report) is Reason.NONCE_REUSED
    assert probing.refused(probing.report()) is Reason.NONCE_REUSED


def test_a_report_that_was_refused_does_not_use_the_challenge_up(probing: Probing) -> None:
    forged = SoftwareTpm("ecc-p256")
    assert probing.refused(probing.report(signed_by=forged)) is Reason.SIGNATURE_INVALID
    assert probing.opened(probing.report())


def test_a_challenge_expires(probing: Probing) -> None:
    report = probing.report()
    end_ns = POSED_NS + round(reports.LASTING_S * NS_PER_S)
    assert probing.refused(report, now_ns=end_ns + 1) is Reason.NONCE_EXPIRED
    assert probing.refused(report, now_ns=POSED_NS - 1) is Reason.NONCE_EXPIRED
    assert probing.opened(report, now_ns=end_ns)


def test_another_factory_cannot_read_it(probing: Probing) -> None:
    report = probing.report()
    probing.posed = replace(probing.posed, key=X25519PrivateKey.generate())
    assert probing.refused(report) is Reason.MALFORMED_EVIDENCE


@pytest.mark.parametrize(
    "change", [{"nonce": bytes(32)}, {"host": "host-b"}, {"epoch": 4}, {"probe": PROBE.replace("3", "4")}]
)
def test_an_answer_to_another_challenge_is_refused(probing: Probing, change: dict[str, object]) -> None:
    other = probing.posed.challenge.model_copy(update=change)
    assert probing.refused(probing.report(other)) is Reason.NONCE_MISMATCH


def test_findings_of_another_challenge_cannot_be_signed_again(probing: Probing) -> None:
    """The vTPM's own signature over a ciphertext that was made for another challenge does not open it."""
    other = probing.posed.challenge.model_copy(update={"epoch": 4})
    sealed = reports.seal(probing.findings(other), other)
    attest, signature = probing.vtpm.quote(reports.outer_nonce(probing.posed.challenge, sealed), PCRS)
    spliced = Report(sealed=sealed, attest=attest, signature=signature)
    assert probing.refused(spliced) is Reason.MALFORMED_EVIDENCE


@pytest.mark.parametrize("at", [0, 40, -1])
def test_a_changed_byte_is_refused(probing: Probing, at: int) -> None:
    report = probing.report()
    sealed = bytearray(report.sealed)
    sealed[at] ^= 1
    assert probing.refused(report.model_copy(update={"sealed": bytes(sealed)})) is Reason.NONCE_MISMATCH
    attest = bytearray(report.attest)
    attest[-1] ^= 1
    changed = report.model_copy(update={"attest": bytes(attest)})
    assert probing.refused(changed) is Reason.SIGNATURE_INVALID


def test_what_a_vtpm_signs_must_be_its_own_quote(probing: Probing) -> None:
    assert probing.refused(probing.report(magic=0x12345678)) is Reason.NOT_TPM_GENERATED
    certified = probing.report(type=0x8017, body=b"\0\0\0\0")
    assert probing.refused(certified) is Reason.NOT_A_QUOTE


def test_a_revoked_key_is_refused(probing: Probing) -> None:
    revoked = replace(probing.vak, revoked=True)
    assert probing.refused(probing.report(), vak=revoked) is Reason.KEY_REVOKED


@pytest.mark.parametrize("raw", [b"", b"{}", b"[]", b'{"version": 2}'])
def test_what_is_no_report_is_refused(probing: Probing, raw: bytes) -> None:
    assert probing.refused(raw) is Reason.MALFORMED_EVIDENCE


def test_a_long_report_is_not_read(probing: Probing) -> None:
    assert probing.refused(b" " * (MAX_BYTES + 1)) is Reason.SIZE_LIMIT
    assert probing.refused(b" " * MAX_BYTES) is Reason.MALFORMED_EVIDENCE


def test_sealed_nonsense_of_the_vtpms_own_is_refused(probing: Probing) -> None:
    said = json.loads(probing.findings().model_dump_json())
    del said["host"]
    asked = probing.posed.challenge
    sealed = reports.seal(_Raw(said), asked)  # type: ignore[arg-type]
    attest, signature = probing.vtpm.quote(reports.outer_nonce(asked, sealed), PCRS)
    nonsense = Report(sealed=sealed, attest=attest, signature=signature)
    assert probing.refused(nonsense) is Reason.MALFORMED_EVIDENCE


class _Raw:
    """Findings that a hostile probe spells as it likes."""

    def __init__(self, said: object) -> None:
        self._said = said

    def model_dump(self, **_how: object) -> object:
        return self._said


def _linked(probing: Probing, findings: Findings, host: Evidence) -> Reason:
    """Whether both quotes belong together, once the verifier has accepted each."""
    asked = probing.posed.challenge
    guest = proved(probing.vtpm, "probe", asked.nonce)
    vouching = proved(probing.tpm, "host-a", b"")
    both = (
        Proved(evidence=findings.probe, verification=guest.verification, key=probing.vak),
        Proved(evidence=host, verification=vouching.verification, key=key_of(probing.tpm, "host-a")),
    )
    return verify_linked(*both, reports.linkage(asked, probing.vak)).reason


def test_both_quotes_of_the_findings_must_belong_together(probing: Probing) -> None:
    findings = probing.opened(probing.report())
    assert _linked(probing, findings, findings.host) is Reason.ACCEPTED
    elsewhere = probing.findings(probing.posed.challenge.model_copy(update={"host": "host-b"}))
    assert _linked(probing, findings, elsewhere.host) is Reason.BINDING
    before = probing.findings(probing.posed.challenge.model_copy(update={"nonce": bytes(32)}))
    assert _linked(probing, before, findings.host) is Reason.BINDING
