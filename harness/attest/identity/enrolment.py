"""Enrolment: whose TPM it is, which keys it has, and one identity for it in the registry.

The endorsement key's certificate says that there is such a TPM. A credential that only this TPM can open, and
only while it holds the attestation key, says that it is the one that answers (TCG TPM 2.0 Library, Part 1,
24). A first quote says that the key is in the endorsement hierarchy, where a TPM tells its counters and its
firmware unaltered. Nothing is stored before all of it holds, and then at once. Making keys takes long and is
never timed with quotes.
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from harness.attest.attester.contract import Ask, Attester, AttesterError, Identity
from harness.attest.evidence import EkType, Evidence, KeyType, RefusedError
from harness.attest.identity.authorities import NOBODY, Authorities
from harness.attest.identity.endorsement import Endorsement, check, pinned, split
from harness.attest.identity.enrolled import EnrolledIdentity, EnrolledKey, Enrolment, Kind, TpmFacts
from harness.attest.identity.ports import Identities
from harness.attest.reasons import Reason
from harness.attest.tpm import structures
from harness.attest.tpm.credential import SECRET_BYTES, make_credential
from harness.attest.tpm.keys import AttestationKey
from harness.clock import NS_PER_S, Clock

KEYS: tuple[KeyType, ...] = ("ecc-p256", "rsa-2048")
_NONCE_BYTES = 32
_PCR = 0
"""The first quote must be over something; what, does not matter."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """An identity that is asked for.

    Attributes:
        name: The id it is to have.
        kind: A host, or a guest.
        authorities: Who may vouch for its TPM.
        trusted_ek: SHA-256 of its endorsement key's TPMT_PUBLIC in hexadecimal, obtained by a way the user
            trusts: it takes the place of a certificate. None where a certificate must vouch for it.
        keys: The attestation keys to make.
        ek: Which endorsement key stands for the TPM. One kind for all, chosen here and not by the machine, or
            one TPM with two certificates could be two attesters.
        renew: The identity is there already and gets new keys; a hold ends.
    """

    name: str
    kind: Kind
    authorities: Authorities = NOBODY
    trusted_ek: str | None = None
    keys: Sequence[KeyType] = KEYS
    ek: EkType = "rsa-2048"
    renew: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Enrolled:
    """An identity that the registry has taken.

    Attributes:
        record: As the registry has it.
        endorsement: Who vouches for the TPM; None where the user pinned its key.
        phases: What took how long: name and ns of the controller's clock, in order.
    """

    record: EnrolledIdentity
    endorsement: Endorsement | None
    phases: tuple[tuple[str, int], ...]


@dataclass(slots=True)
class _Watch:
    """The time between one phase's end and the next's."""

    clock: Clock
    phases: list[tuple[str, int]] = field(default_factory=list)
    last_ns: int = 0

    def __post_init__(self) -> None:
        self.last_ns = self.clock.now_ns()

    def done(self, name: str) -> None:
        now_ns = self.clock.now_ns()
        self.phases.append((name, now_ns - self.last_ns))
        self.last_ns = now_ns


def enrol(attester: Attester, registry: Identities, request: Request, clock: Clock) -> Enrolled:
    """Enrol the machine behind `attester` as `request` says.

    Keys are made only for a TPM that may have the id, for they replace what the machine had before.

    Raises:
        RefusedError: With the code of the first check that failed; nothing is stored.
        AttesterError: The attester does not answer; nothing is stored.
        RegistryError: The registry does not answer.
    """
    watch = _Watch(clock)
    identity = attester.identify()
    watch.done("identify")
    ek, endorsement = _endorsed(identity, request, _now(registry))
    watch.done("endorsement")
    ek_public = identity.ek_public[ek]
    # Keys take the place of older ones: no other enrolment may come between the look and what is stored.
    with registry.enrolling():
        _check_free(registry, request, structures.name_of(ek_public))
        keys = []
        for kind in request.keys:
            keys.append(_made(attester, request.name, kind, ek, ek_public, watch))
            _prove_place(attester, keys[-1])
            watch.done(f"first quote {kind}")
        enrolment = Enrolment(
            attester=request.name,
            kind=request.kind,
            ek_name=structures.name_of(ek_public),
            ek_certificate=None if endorsement is None else endorsement.certificate,
            tpm=facts(identity, endorsement, request.authorities),
            keys=tuple(keys),
        )
        record = registry.re_enrol(enrolment) if request.renew else registry.enrol(enrolment)
    watch.done("store")
    return Enrolled(record=record, endorsement=endorsement, phases=tuple(watch.phases))


def _now(registry: Identities) -> datetime:
    return datetime.fromtimestamp(registry.now().realtime_ns / NS_PER_S, tz=UTC)


def _endorsed(identity: Identity, request: Request, now: datetime) -> tuple[EkType, Endorsement | None]:
    """The endorsement key that stands for the TPM, and who vouches for it."""
    if request.trusted_ek is not None:
        for kind, public in identity.ek_public.items():
            if pinned(public, request.trusted_ek):
                return kind, None
        raise RefusedError(
            Reason.EK_KEY, "its endorsement key is not the one that was named", where=request.name
        )
    if request.ek not in identity.ek_public:
        why = f"it has no endorsement key of type {request.ek}, but {', '.join(identity.ek_public)}"
        raise RefusedError(Reason.EK_KEY, why, where=request.name, remedy="name one of them: --ek")
    certificates = [*identity.ek_certificates.values(), *split(b"".join(identity.ek_chain))]
    try:
        endorsement = check(
            certificates,
            identity.ek_public[request.ek],
            roots=request.authorities.roots,
            intermediates=request.authorities.intermediates,
            now=now,
            revocations=request.authorities.revocations,
        )
    except RefusedError as refused:
        other = identity.preferred_ek
        if refused.reason is Reason.EK_KEY and other != request.ek:
            refused.remedy = f"the TPM has a certificate for its key of type {other}: --ek {other}"
        raise
    return request.ek, endorsement


def _check_free(registry: Identities, request: Request, ek_name: bytes) -> None:
    """Refuse early what the registry would refuse: new keys take the place of those that are enrolled."""
    known = {one.id: one for one in registry.attesters()}
    mine = known.get(request.name)
    if mine is None and request.renew:
        raise RefusedError(Reason.NOT_ENROLLED, f"no attester is called {request.name}", where=request.name)
    if mine is not None and mine.revoked:
        raise RefusedError(Reason.REVOKED, "it was revoked, and that is for good", where=request.name)
    if mine is not None and not request.renew:
        raise RefusedError(
            Reason.IDENTITY_TAKEN,
            f"{request.name} is enrolled already" + ("" if mine.ek_name == ek_name else ", with another TPM"),
            where=request.name,
            remedy="new keys for the same TPM: --renew" if mine.ek_name == ek_name else "",
        )
    if mine is not None and mine.ek_name != ek_name:
        why = f"{request.name} is enrolled with another TPM"
        raise RefusedError(Reason.IDENTITY_TAKEN, why, where=request.name)
    for other in known.values():
        if other.id != request.name and other.ek_name == ek_name:
            raise RefusedError(
                Reason.IDENTITY_TAKEN, f"this TPM is enrolled as {other.id}", where=request.name
            )


def _made(
    attester: Attester, name: str, kind: KeyType, ek: EkType, ek_public: bytes, watch: _Watch
) -> EnrolledKey:
    """A new attestation key that is proved to be in the TPM that has the endorsement key.

    Raises:
        RefusedError: ``key-attributes``, ``qualified-signer`` or ``credential``.
    """
    created = attester.create_key(kind, ek=ek)
    watch.done(f"create {kind}")
    key = AttestationKey.from_public(created.public)
    if key.kind != kind or not key.attributes_ok:
        raise RefusedError(
            Reason.KEY_ATTRIBUTES, f"a key of type {key.kind} with attributes {key.attributes:#010x}"
        )
    parent = structures.qualified_name(structures.ENDORSEMENT, structures.name_of(ek_public))
    qualified = structures.qualified_name(parent, key.name)
    if (created.name, created.qualified_name) != (key.name, qualified):
        raise RefusedError(Reason.QUALIFIED_SIGNER, "the key is not right under the endorsement key")
    _check_held(attester, key, ek, ek_public)
    watch.done(f"activate {kind}")
    return EnrolledKey(
        attester=name, kind=kind, public=created.public, name=key.name, qualified_name=qualified
    )


def _check_held(attester: Attester, key: AttestationKey, ek: EkType, ek_public: bytes) -> None:
    """Only the TPM with the endorsement key can open the credential, and only while it holds this key."""
    secret = secrets.token_bytes(SECRET_BYTES)
    credential, encrypted = make_credential(ek_public, key.name, secret)
    try:
        answer = attester.activate(key.kind, credential, encrypted, ek=ek)
    except AttesterError as error:
        if error.reason is Reason.CREDENTIAL:
            raise RefusedError(Reason.CREDENTIAL, error.why, where=error.where) from error
        raise
    if not hmac.compare_digest(answer, secret):
        raise RefusedError(Reason.CREDENTIAL, "the TPM that has the endorsement key has not this key")


def _prove_place(attester: Attester, key: EnrolledKey) -> None:
    """Have the TPM say where the key is, by the qualified name in a quote: so far only the program said it.

    Raises:
        RefusedError: ``signature-invalid``, ``not-tpm-generated``, ``not-a-quote``, ``nonce-mismatch`` or
            ``qualified-signer``, and what the structures refuse.
    """
    nonce = secrets.token_bytes(_NONCE_BYTES)
    answer = attester.quote(Ask(key=key.kind, nonce=nonce, pcrs=(_PCR,)))
    check_place(answer.evidence, key, nonce)


def check_place(evidence: Evidence, key: EnrolledKey, nonce: bytes) -> None:
    """Check the first quote of a new key; pure, and says nothing of any PCR."""
    signature = structures.parse_signature(evidence.signature)
    attest = structures.parse_attest(evidence.attest)
    if not AttestationKey.from_public(key.public).verify(signature, evidence.attest):
        raise RefusedError(Reason.SIGNATURE_INVALID, "the new key did not sign its first quote")
    if attest.magic != structures.GENERATED:
        raise RefusedError(Reason.NOT_TPM_GENERATED)
    if attest.type != structures.QUOTE:
        raise RefusedError(Reason.NOT_A_QUOTE)
    if not hmac.compare_digest(attest.extra_data, nonce):
        raise RefusedError(Reason.NONCE_MISMATCH)
    if not hmac.compare_digest(attest.qualified_signer, key.qualified_name):
        raise RefusedError(Reason.QUALIFIED_SIGNER, "the key is not right under the endorsement key")


def facts(identity: Identity, endorsement: Endorsement | None, authorities: Authorities) -> TpmFacts:
    """What is known of the TPM. One that only its own machine vouches for, or no one, counts as software.

    An owner of the machine also has its authority and can certify any maker and model with it.
    """
    own_word = endorsement is None or authorities.from_machine
    return TpmFacts(
        software=own_word or identity.software or (endorsement is not None and endorsement.software),
        manufacturer=identity.tpm_manufacturer if endorsement is None else endorsement.maker,
        firmware=f"{identity.tpm_firmware:016x}",
    )
