"""What a probe reports of a host: one blob, for this factory alone, signed by the probe's vTPM, used once.

The factory poses a challenge with a public key made for it. The probe has its vTPM and the host's TPM quote
as :mod:`harness.attest.guest.binding` links them, encrypts the evidence to that key (HPKE, RFC 9180), and has
its vTPM quote once more, over the hash of the ciphertext. Whoever carries the report sees ciphertext, and a
report that was changed, is another challenge's or comes twice is refused before it is decrypted. Then both
quotes must pass the verifier and belong together, by :func:`linkage`.

Relay is a limit: a host whose root is hostile can pass the challenge to a good host and its report back. The
report then names that good host, and secrets are sealed to it.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Annotated, Literal, TypeVar

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite
from pydantic import Field, ValidationError

from harness.attest.attester import bounds
from harness.attest.evidence import Base64, Count, Evidence, RefusedError
from harness.attest.guest.binding import Linkage
from harness.attest.identity.enrolled import EnrolledKey
from harness.attest.reasons import Reason
from harness.attest.tpm.keys import AttestationKey
from harness.attest.tpm.structures import GENERATED, QUOTE, parse_attest, parse_signature
from harness.clock import NS_PER_S
from harness.pvi.package import Uuid
from harness.sentence import sentence
from harness.strict import Strict

MAX_BYTES = 32 * 2**20
"""The longest report that is read: two event logs and an IMA list of a busy host are some MB."""
MAX_CERTIFICATES = 16
LASTING_S = 120.0
"""How long a challenge is good: the probe boots before it answers."""

_LABEL = b"sodbench:probe-report:1\0"
_SUITE = Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM)
_NONCE_BYTES = 32
_Model = TypeVar("_Model", bound=Strict)


class Challenge(Strict):
    """What the factory asks of a probe.

    Attributes:
        version: Of this form.
        nonce: What the vTPM quotes over, random.
        recipient: The public key, X25519, to which the report is encrypted.
        probe: UUID of the probe.
        host: The host's name in the registry.
        epoch: Counts the probe's stays on hosts, as :class:`Linkage` has it.
    """

    version: Literal[1] = 1
    nonce: Annotated[Base64, Field(min_length=_NONCE_BYTES, max_length=_NONCE_BYTES)]
    recipient: Annotated[Base64, Field(min_length=32, max_length=32)]
    probe: Uuid
    host: Annotated[str, Field(min_length=1, max_length=255)]
    epoch: Count

    def bound(self) -> bytes:
        """All of it in bytes, as it is bound to a report."""
        return _LABEL + _canonical(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class Posed:
    """A challenge and what the factory alone knows of it; it is kept in memory and never stored.

    Attributes:
        challenge: What the probe gets.
        key: The private key of its recipient.
        posed_ns: When it was posed, factory's CLOCK_MONOTONIC.
        lasting_s: How long it is good.
    """

    challenge: Challenge
    key: X25519PrivateKey = field(repr=False)
    posed_ns: int
    lasting_s: float = LASTING_S


class Findings(Strict):
    """What a probe found.

    Attributes:
        probe: The evidence of the probe's vTPM, over the challenge's nonce.
        host: The evidence of the host's TPM, over :func:`harness.attest.guest.binding.host_nonce`.
        certificates: Certificates that say who the host is, in DER; nothing vouches for them yet.
    """

    probe: Evidence
    host: Evidence
    certificates: Annotated[tuple[Base64, ...], Field(strict=False, max_length=MAX_CERTIFICATES)] = ()


class Report(Strict):
    """What a probe returns, as a file of JSON.

    Attributes:
        version: Of this form.
        sealed: The findings, encrypted to the challenge's recipient.
        attest: TPMS_ATTEST of the vTPM's quote over :func:`outer_nonce`.
        signature: TPMT_SIGNATURE over it by the vTPM's attestation key.
    """

    version: Literal[1] = 1
    sealed: Base64
    attest: Annotated[Base64, Field(max_length=4096)]
    signature: Annotated[Base64, Field(max_length=4096)]

    def to_bytes(self) -> bytes:
        """The report as it travels."""
        return _canonical(self) + b"\n"


def pose(probe: str, host: str, epoch: int, *, now_ns: int, lasting_s: float = LASTING_S) -> Posed:
    """A new challenge for a probe on a host.

    Args:
        probe: UUID of the probe.
        host: The host's name in the registry.
        epoch: See :class:`Challenge`.
        now_ns: Factory's CLOCK_MONOTONIC.
        lasting_s: How long it is good.

    Raises:
        ValidationError: `probe` is no UUID, or another field cannot be.
    """
    key = X25519PrivateKey.generate()
    challenge = Challenge(
        nonce=secrets.token_bytes(_NONCE_BYTES),
        recipient=key.public_key().public_bytes_raw(),
        probe=probe,
        host=host,
        epoch=epoch,
    )
    return Posed(challenge=challenge, key=key, posed_ns=now_ns, lasting_s=lasting_s)


def seal(findings: Findings, challenge: Challenge) -> bytes:
    """The findings, encrypted to the challenge's recipient; they open together with this challenge only."""
    recipient = X25519PublicKey.from_public_bytes(challenge.recipient)
    return _SUITE.encrypt(_canonical(findings), recipient, info=challenge.bound())


def outer_nonce(challenge: Challenge, sealed: bytes) -> bytes:
    """What the vTPM quotes over to sign a report: the hash of challenge and ciphertext, 32 bytes."""
    bound = challenge.bound()
    return hashlib.sha256(len(bound).to_bytes(4, "big") + bound + hashlib.sha256(sealed).digest()).digest()


def open_report(
    raw: bytes, posed: Posed, vak: EnrolledKey, *, now_ns: int, consume: Callable[[bytes], bool]
) -> Findings:
    """The findings in `raw`, if it is this vTPM's one answer to the challenge. Its quotes are not judged yet.

    Args:
        raw: What came.
        posed: The challenge that it answers.
        vak: The attestation key of the probe's vTPM, as it is enrolled.
        now_ns: Factory's CLOCK_MONOTONIC.
        consume: Uses a nonce up: True once and never again, also after a restart
            (:meth:`harness.attest.identity.ports.Findings.consume`).

    Raises:
        RefusedError: ``size-limit``, ``malformed-evidence``, ``nonce-expired``, ``key-revoked``,
            ``signature-invalid``, ``not-tpm-generated``, ``not-a-quote``, ``nonce-mismatch`` (of another
            challenge, or changed), ``nonce-reused``, or what reading a quote refuses.
    """
    report = _read(raw, posed)
    if not 0 <= now_ns - posed.posed_ns <= posed.lasting_s * NS_PER_S:
        raise _refused(posed, Reason.NONCE_EXPIRED, f"a challenge is good for {posed.lasting_s:g} s")
    _check_signed(report, posed, vak)
    if not consume(posed.challenge.nonce):
        raise _refused(posed, Reason.NONCE_REUSED, "the challenge was answered before")
    try:
        plain = _SUITE.decrypt(report.sealed, posed.key, info=posed.challenge.bound())
    except InvalidTag as error:
        raise _refused(posed, Reason.MALFORMED_EVIDENCE, "it is not encrypted to this challenge") from error
    return _validated(Findings, plain, posed)


def linkage(challenge: Challenge, vak: EnrolledKey) -> Linkage:
    """What both quotes of the findings must prove, for :func:`harness.attest.guest.binding.verify_linked`."""
    return Linkage(
        nonce=challenge.nonce,
        vak_name=vak.name,
        guest=vak.attester,
        vm_uuid=challenge.probe,
        host_id=challenge.host,
        epoch=challenge.epoch,
    )


def _read(raw: bytes, posed: Posed) -> Report:
    if len(raw) > MAX_BYTES:
        raise _refused(posed, Reason.SIZE_LIMIT, f"{len(raw)} bytes, {MAX_BYTES} at most are read")
    return _validated(Report, raw, posed)


def _validated(model: type[_Model], raw: bytes, posed: Posed) -> _Model:
    """What the probe sent in JSON, as the model; ``malformed-evidence`` where it is something else."""
    try:
        bounds.check(raw.decode("ascii"))
        return model.model_validate_json(raw)
    except ValidationError as error:
        raise _refused(posed, Reason.MALFORMED_EVIDENCE, sentence(error)) from error
    except ValueError as error:
        raise _refused(posed, Reason.MALFORMED_EVIDENCE, str(error)) from error


def _check_signed(report: Report, posed: Posed, vak: EnrolledKey) -> None:
    """Refuse a report that the vTPM did not quote over for this challenge."""
    if vak.revoked:
        raise _refused(posed, Reason.KEY_REVOKED, "the key of the probe's vTPM was revoked")
    attest, signature = parse_attest(report.attest), parse_signature(report.signature)
    if not AttestationKey.from_public(vak.public).verify(signature, report.attest):
        raise _refused(posed, Reason.SIGNATURE_INVALID, "it is not signed by the probe's vTPM")
    if attest.magic != GENERATED:
        raise _refused(posed, Reason.NOT_TPM_GENERATED, "what was signed was not made by a TPM")
    if attest.type != QUOTE:
        raise _refused(posed, Reason.NOT_A_QUOTE, "what was signed is no quote")
    if not hmac.compare_digest(attest.extra_data, outer_nonce(posed.challenge, report.sealed)):
        raise _refused(posed, Reason.NONCE_MISMATCH, "it answers another challenge, or was changed")


def _canonical(value: Strict) -> bytes:
    return json.dumps(value.model_dump(mode="json"), sort_keys=True, separators=(",", ":")).encode()


def _refused(posed: Posed, reason: Reason, why: str) -> RefusedError:
    remedy = "probe the host again with a new challenge"
    return RefusedError(reason, why, where=posed.challenge.host, remedy=remedy)
