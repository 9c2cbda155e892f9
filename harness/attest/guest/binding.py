"""A guest's quote and its host's quote as one statement: this guest, on this host, in this epoch.

A vTPM says nothing of where it runs. So the host quotes over a nonce that is made of the guest's own quote,
and a verifier of both knows that they belong together. Nothing here verifies a quote: both must have
passed :func:`harness.attest.verify.verifier.verify`, and a result that has not is never made better by its
binding.

The link is as good as the host's attester: a host that is itself compromised may bind a guest it does not
run. That is why a linked result is never better than the host's own.
"""

from __future__ import annotations

import hashlib
import hmac
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.attest.evidence import Evidence, RefusedError
from harness.attest.reasons import Reason, Tier, gravest, tier_of
from harness.attest.tpm.structures import Attest, parse_attest
from harness.attest.verdict import Verdict

if TYPE_CHECKING:
    from harness.attest.identity.enrolled import EnrolledKey
    from harness.attest.result import AttestationResult
    from harness.attest.verify.verifier import Verification

LABEL = b"bind-v1"
"""What the hash starts with, so that it can never be the hash of anything else."""

MIN_NONCE_BYTES = 16
MAX_FIELD_BYTES = 0xFFFF
EPOCH_BYTES = 8


def host_nonce(
    nonce: bytes, guest_attest: bytes, vak_name: bytes, vm_uuid: str, host_id: str, epoch: int
) -> bytes:
    """What the host must quote over, 32 bytes: SHA-256 of the fields below, one after the other.

    ========================  ==========================================================================
    ``bind-v1``               7 bytes, as they are
    `nonce`                   its length in 2 bytes, then the bytes the guest quoted over
    `guest_attest`            its SHA-256, 32 bytes; the TPMS_ATTEST without a size before it
    `vak_name`                its length in 2 bytes, then the Name of the guest's attestation key
    `vm_uuid`                 16 bytes in network order (RFC 9562, section 4), however it was spelt
    `host_id`                 its length in 2 bytes, then its UTF-8 bytes, not normalised
    `epoch`                   8 bytes
    ========================  ==========================================================================

    Numbers are unsigned and big-endian. Every field has a fixed size or its length before it, so that no two
    different sets of fields give the same bytes.

    Raises:
        RefusedError: ``nonce-short``: `nonce` has fewer than 16 bytes; ``binding``: another field is empty,
            too long or not what it should be.
    """
    if len(nonce) < MIN_NONCE_BYTES:
        raise RefusedError(Reason.NONCE_SHORT, f"{len(nonce)} bytes, at least {MIN_NONCE_BYTES} are needed")
    return hashlib.sha256(
        LABEL
        + _sized(nonce, "nonce")
        + hashlib.sha256(_present(guest_attest, "guest's attest")).digest()
        + _sized(vak_name, "name of the guest's key")
        + _uuid(vm_uuid)
        + _sized(_text(host_id), "host id")
        + _epoch(epoch)
    ).digest()


def _present(field: bytes, what: str) -> bytes:
    if not field:
        raise RefusedError(Reason.BINDING, f"the {what} is empty")
    return field


def _sized(field: bytes, what: str) -> bytes:
    if len(_present(field, what)) > MAX_FIELD_BYTES:
        raise RefusedError(Reason.BINDING, f"the {what} has {len(field)} bytes")
    return len(field).to_bytes(2, "big") + field


def _text(value: str) -> bytes:
    try:
        return value.encode()
    except UnicodeEncodeError as error:
        raise RefusedError(Reason.BINDING, "the host id is no text that UTF-8 can hold") from error


def _uuid(value: str) -> bytes:
    try:
        return uuid.UUID(value).bytes
    except ValueError as error:
        raise RefusedError(Reason.BINDING, f"{value!r} is no UUID") from error


def _epoch(epoch: int) -> bytes:
    try:
        return epoch.to_bytes(EPOCH_BYTES, "big")
    except OverflowError as error:
        raise RefusedError(
            Reason.BINDING, f"the epoch {epoch} is not a number of {EPOCH_BYTES} bytes"
        ) from error


@dataclass(frozen=True, slots=True, kw_only=True)
class Linkage:
    """What the verifier itself knows of the link; nothing of it comes from the evidence.

    Attributes:
        nonce: What the guest was challenged with.
        vak_name: Name of the guest's enrolled attestation key.
        guest: The guest's name in the registry, as its result must have it.
        vm_uuid: Its UUID.
        host_id: The host's name in the registry, as its result must have it.
        epoch: Counts the guest's stays on hosts; one more with every start and every move.
    """

    nonce: bytes
    vak_name: bytes
    guest: str
    vm_uuid: str
    host_id: str
    epoch: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Proved:
    """Evidence, what the verifier made of this evidence, and the enrolled key it was asked to believe."""

    evidence: Evidence
    verification: Verification
    key: EnrolledKey | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Linked:
    """Where a guest runs, as far as both quotes prove it.

    Attributes:
        linkage: What was to be proved.
        tier: The worse of both results' tiers; contraindicated where the binding is wrong.
        reason: ``accepted``; else the reason of the quote that was not, or why the two do not belong
            together.
        why: The same in words.
        guest: The guest's own result.
        host: The host's own result.
        expires_ns: When the first of the two expires; None where either was not accepted.
    """

    linkage: Linkage
    tier: Tier
    reason: Reason
    why: str
    guest: AttestationResult
    host: AttestationResult
    expires_ns: int | None

    @property
    def verdict(self) -> Verdict:
        """What both say together."""
        return Verdict(tier=self.tier, reason=self.reason, detail=self.why, expires_ns=self.expires_ns)

    @property
    def accepted(self) -> bool:
        """Whether both quotes were accepted and belong together. The tier may be less than affirming."""
        return self.reason is Reason.ACCEPTED


def verify_linked(guest: Proved, host: Proved, linkage: Linkage) -> Linked:
    """Whether the host's quote vouches for the guest's, as `linkage` says it should.

    The host is expected to have been challenged with :func:`host_nonce` of the guest's attest; that the
    verifier found this nonce in the host's quote is checked again here, against the linkage and not against
    what was sent.
    """
    try:
        _belong_together(guest, host, linkage)
    except RefusedError as refused:
        return _linked(guest, host, linkage, refused.reason, refused.why)
    return _linked(guest, host, linkage, Reason.ACCEPTED, "")


def _accepted(one: Proved, who: str) -> Attest:
    """The quote's parsed body, of evidence that the verification really was about.

    Raises:
        RefusedError: The reason of the verification; ``binding``: it was about other evidence.
    """
    result, memory = one.verification.result, one.verification.memory
    if memory is None:
        reason = Reason.NOTHING_APPRAISED if result.reason is Reason.ACCEPTED else result.reason
        raise RefusedError(reason, f"the {who}'s quote was not accepted: {result.detail or result.reason}")
    attest = parse_attest(one.evidence.attest)
    if (attest.clock, attest.firmware_version) != (memory.clock, memory.firmware_version):
        raise RefusedError(Reason.BINDING, f"the {who}'s result is of other evidence")
    return attest


def _named(one: Proved, name: str, who: str) -> bytes:
    """The name of the key by which `one` proved to be `name`."""
    if one.key is None or not name or {one.key.attester, one.verification.result.attester} != {name}:
        found = one.verification.result.attester or "no enrolled machine"
        raise RefusedError(Reason.BINDING, f"the {who} is {name!r}, its quote is of {found!r}")
    return one.key.name


def _belong_together(guest: Proved, host: Proved, linkage: Linkage) -> None:
    guest_attest, host_attest = _accepted(guest, "guest"), _accepted(host, "host")
    key, host_key = _named(guest, linkage.guest, "guest"), _named(host, linkage.host_id, "host")
    if key != linkage.vak_name or key == host_key:
        raise RefusedError(Reason.BINDING, "the guest's quote is by another key than its own")
    if not hmac.compare_digest(guest_attest.extra_data, linkage.nonce):
        raise RefusedError(Reason.BINDING, "the guest's quote is over another nonce")
    expected = host_nonce(
        linkage.nonce,
        guest.evidence.attest,
        linkage.vak_name,
        linkage.vm_uuid,
        linkage.host_id,
        linkage.epoch,
    )
    if not hmac.compare_digest(host_attest.extra_data, expected):
        raise RefusedError(Reason.BINDING, "the host's quote is not over this guest's quote, host and epoch")


def _linked(guest: Proved, host: Proved, linkage: Linkage, reason: Reason, why: str) -> Linked:
    results = guest.verification.result, host.verification.result
    return Linked(
        linkage=linkage,
        tier=gravest((tier_of(reason), *(one.tier for one in results))),
        reason=reason,
        why=why,
        guest=results[0],
        host=results[1],
        expires_ns=min(one.expires_ns for one in results) if reason is Reason.ACCEPTED else None,
    )
