"""Who is enrolled: identities, their TPMs and keys, and the nonces they were sent.

Values that know no database.

Names of keys are bytes as the TPM makes them (TCG TPM 2.0 Part 1, 16), so that one name has one spelling.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from harness.attest.evidence import KeyType
from harness.instant import Instant

Kind: TypeAlias = Literal["host", "guest"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TpmFacts:
    """What enrolment learnt of a TPM.

    Attributes:
        software: Whether it is a program; its quotes then prove no hardware.
        manufacturer: As the TPM or its certificate says, e.g. ``IBM``.
        firmware: Its firmware version as text.
    """

    software: bool
    manufacturer: str
    firmware: str


@dataclass(frozen=True, slots=True, kw_only=True)
class EnrolledKey:
    """An attestation key whose place under the EK was proved by a credential.

    Attributes:
        attester: Whose key it is.
        kind: Its algorithm and size.
        public: TPMT_PUBLIC as the TPM marshalled it, without a size before it.
        name: nameAlg and digest of `public`.
        qualified_name: nameAlg and digest over the names of all its parents, so that it says the hierarchy.
        revoked: Whether it was revoked with its attester.
    """

    attester: str
    kind: KeyType
    public: bytes
    name: bytes
    qualified_name: bytes
    revoked: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Enrolment:
    """One identity as enrolment found it: an attester, its TPM and its keys.

    Attributes:
        attester: The id it is called by.
        kind: A host with a TPM, or a guest with a virtual one.
        ek_name: The endorsement key's name; it stands for the TPM.
        ek_certificate: DER, or None where the TPM has none and policy let that pass.
        tpm: See :class:`TpmFacts`.
        keys: At least one, at most one of each kind.
    """

    attester: str
    kind: Kind
    ek_name: bytes
    ek_certificate: bytes | None
    tpm: TpmFacts
    keys: tuple[EnrolledKey, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class EnrolledIdentity:
    """One enrolled identity.

    Attributes:
        id: The id it is called by.
        kind: See :class:`Enrolment`.
        ek_name: See :class:`Enrolment`.
        ek_certificate: See :class:`Enrolment`.
        tpm: See :class:`TpmFacts`.
        keys: Its keys now, in the order of their kinds; none once it was released.
        held: A contraindicated result came in, and it has not been enrolled again since.
        revoked: It may never attest again.
        released: It is history; its id and its TPM may be another identity's.
        enrolled: When it was enrolled for the first time.
    """

    id: str
    kind: Kind
    ek_name: bytes
    ek_certificate: bytes | None
    tpm: TpmFacts
    keys: tuple[EnrolledKey, ...]
    held: bool
    revoked: bool
    released: bool
    enrolled: Instant


@dataclass(frozen=True, slots=True, kw_only=True)
class Issued:
    """A nonce that was sent.

    Attributes:
        attester: Whom it was meant for.
        issued: When it was stored, before it was sent.
        expires: When an answer to it comes too late.
        used: It has been used up.
    """

    attester: str
    issued: Instant
    expires: Instant
    used: bool
