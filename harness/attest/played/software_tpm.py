"""A TPM's quoting in software keys: byte-exact evidence without a TPM, and evidence that no TPM would make.

It holds an endorsement key, an attestation key under it, a clock, counters and a firmware version. What is to
be attested is handed in with each call, and every field can be overridden, so that a test can forge whatever
an attacker with or without the key could send.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TypeAlias, TypedDict, Unpack

from cryptography.hazmat.decrepit.ciphers.modes import CFB
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES

from harness.attest.evidence import Bank, Evidence, ImaExcerpt, KeyType, Moments
from harness.attest.played import marshal
from harness.attest.tpm import structures
from harness.attest.tpm.algorithms import BANK_ALG, NIST_P256, Alg
from harness.attest.tpm.structures import Attest, ClockInfo, Public, Selection, Signature, Symmetric
from harness.attest.tpm.wrapping import kdfa, kdfe

AK_ATTRIBUTES = 0x00050072
"""fixedTPM, fixedParent, sensitiveDataOrigin, userWithAuth, restricted, sign."""

EK_ATTRIBUTES = 0x000300B2
"""fixedTPM, fixedParent, sensitiveDataOrigin, adminWithPolicy, restricted, decrypt."""

EK_POLICY = bytes.fromhex("837197674484b3f81a90cc8d46a5d724fd52d76e06520b64f2a1da1b331469aa")
"""PolicySecret(TPM_RH_ENDORSEMENT), the default templates' policy (TCG EK Credential Profile, B.3)."""

CLOCK = ClockInfo(clock_ms=1_000_000, reset_count=7, restart_count=2, safe=True)
FIRMWARE = 0x2019_1023_0016_3636
NONCE = bytes(range(32))
PCRS: Mapping[int, bytes] = {pcr: hashlib.sha256(b"pcr %d" % pcr).digest() for pcr in (0, 4, 7, 10)}
MOMENTS = Moments(received_ns=1_000_000, quoting_ns=1_200_000, quoted_ns=4_200_000, answered_ns=4_500_000)

CERTIFY = 0x8017
CREATION = 0x801A
NV = 0x8014
TIME = 0x8019
SESSION_AUDIT = 0x8016
COMMAND_AUDIT = 0x8015

PrivateKey: TypeAlias = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey


def private_key(kind: KeyType) -> PrivateKey:
    """A new key of the type."""
    if kind == "rsa-2048":
        return rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return ec.generate_private_key(ec.SECP256R1())


def public_area(
    key: PrivateKey,
    *,
    attributes: int = AK_ATTRIBUTES,
    auth_policy: bytes = b"",
    symmetric: Symmetric | None = None,
    scheme: int | None = None,
    hash_alg: int | None = Alg.SHA256,
    name_alg: int = Alg.SHA256,
) -> Public:
    """The public area of a key; `scheme` None for the usual one of its type, `Alg.NULL` for none."""
    is_rsa = isinstance(key, rsa.RSAPrivateKey)
    chosen: int | None = scheme or (Alg.RSASSA if is_rsa else Alg.ECDSA)
    if chosen == Alg.NULL:
        chosen = hash_alg = None
    area = Public(
        type=Alg.RSA if is_rsa else Alg.ECC,
        name_alg=name_alg,
        attributes=attributes,
        auth_policy=auth_policy,
        symmetric=symmetric,
        scheme=chosen,
        hash_alg=hash_alg,
    )
    if isinstance(key, rsa.RSAPrivateKey):
        modulus = marshal.number(key.public_key().public_numbers().n, key.key_size // 8)
        return replace(area, key_bits=key.key_size, exponent=0, modulus=modulus)
    point = key.public_key().public_numbers()
    return replace(area, curve=NIST_P256, x=marshal.number(point.x, 32), y=marshal.number(point.y, 32))


def ek_area(key: PrivateKey) -> bytes:
    """TPMT_PUBLIC of an endorsement key, by the default template of its type."""
    cipher = Symmetric(alg=Alg.AES, key_bits=128, mode=Alg.CFB)
    area = public_area(
        key, attributes=EK_ATTRIBUTES, auth_policy=EK_POLICY, symmetric=cipher, scheme=Alg.NULL
    )
    return marshal.public(area)


class QuoteFields(TypedDict, total=False):
    """What a quote says otherwise than an honest TPM would; :meth:`SoftwareTpm.attested` has defaults."""

    bank: Bank
    clock: ClockInfo | None
    firmware_version: int | None
    magic: int
    type: int
    qualified_signer: bytes | None
    selections: Sequence[Selection] | None
    pcr_digest: bytes | None
    body: bytes | None


class SoftwareTpm:
    """A TPM with one attestation key of type `kind`.

    Attributes:
        ek: Private endorsement key, of the same type.
        ak: Private attestation key; its scheme is RSASSA or ECDSA, with SHA-256, unless told otherwise.
        clock: What quotes say unless told otherwise.
        firmware_version: Likewise.
    """

    def __init__(
        self,
        kind: KeyType,
        *,
        attributes: int = AK_ATTRIBUTES,
        scheme: int | None = None,
        ek: PrivateKey | None = None,
    ) -> None:
        self.kind: KeyType = kind
        self.attributes = attributes
        self.scheme = scheme
        self.ek = ek or private_key(kind)
        self.ak = private_key(kind)
        self.clock = CLOCK
        self.firmware_version = FIRMWARE

    def another_key(self, *, attributes: int = AK_ATTRIBUTES, scheme: int | None = None) -> SoftwareTpm:
        """The same TPM with another attestation key."""
        return SoftwareTpm(self.kind, attributes=attributes, scheme=scheme, ek=self.ek)

    @property
    def ek_public(self) -> bytes:
        """TPMT_PUBLIC of the endorsement key, by the default template of its type."""
        return ek_area(self.ek)

    @property
    def ak_public(self) -> bytes:
        """TPMT_PUBLIC of the attestation key."""
        return marshal.public(public_area(self.ak, attributes=self.attributes, scheme=self.scheme))

    @property
    def name(self) -> bytes:
        """The attestation key's name."""
        return structures.name_of(self.ak_public)

    @property
    def qualified_name(self) -> bytes:
        """The attestation key's qualified name, as the endorsement key's child."""
        parent = structures.qualified_name(structures.ENDORSEMENT, structures.name_of(self.ek_public))
        return structures.qualified_name(parent, self.name)

    def attested(
        self,
        nonce: bytes,
        pcrs: Mapping[int, bytes],
        *,
        bank: Bank = "sha256",
        clock: ClockInfo | None = None,
        firmware_version: int | None = None,
        magic: int = structures.GENERATED,
        type: int = structures.QUOTE,
        qualified_signer: bytes | None = None,
        selections: Sequence[Selection] | None = None,
        pcr_digest: bytes | None = None,
        body: bytes | None = None,
    ) -> bytes:
        """TPMS_ATTEST of a quote over `pcrs`; with `body` whatever follows the common part."""
        usual = (Selection(hash_alg=BANK_ALG[bank], pcrs=tuple(sorted(pcrs))),)
        chosen = usual if selections is None else tuple(selections)
        digest = digest_of(pcrs) if pcr_digest is None else pcr_digest
        return marshal.attest(
            Attest(
                magic=magic,
                type=type,
                qualified_signer=self.qualified_name if qualified_signer is None else qualified_signer,
                extra_data=nonce,
                clock=clock or self.clock,
                firmware_version=self.firmware_version if firmware_version is None else firmware_version,
                selections=chosen if body is None else None,
                pcr_digest=digest if body is None else None,
                body=body or b"",
            )
        )

    def quote(
        self,
        nonce: bytes,
        pcrs: Mapping[int, bytes],
        *,
        signed_by: SoftwareTpm | None = None,
        **fields: Unpack[QuoteFields],
    ) -> tuple[bytes, bytes]:
        """:meth:`attested` and its TPMT_SIGNATURE; `signed_by` another TPM's key."""
        attest = self.attested(nonce, pcrs, **fields)
        return attest, (signed_by or self).sign(attest)

    def sign(self, data: bytes, *, scheme: int | None = None, hash_alg: int = Alg.SHA256) -> bytes:
        """TPMT_SIGNATURE over `data` with the attestation key, by its own scheme unless told otherwise."""
        chosen = scheme or self.scheme or (Alg.RSASSA if self.kind == "rsa-2048" else Alg.ECDSA)
        digest = _HASHES[hash_alg]()
        if isinstance(self.ak, ec.EllipticCurvePrivateKey):
            r, s = decode_dss_signature(self.ak.sign(data, ec.ECDSA(digest)))
            return marshal.signature(Signature(scheme=chosen, hash_alg=hash_alg, r=r, s=s))
        pad: padding.PKCS1v15 | padding.PSS = padding.PKCS1v15()
        if chosen == Alg.RSAPSS:
            pad = padding.PSS(mgf=padding.MGF1(digest), salt_length=padding.PSS.DIGEST_LENGTH)
        return marshal.signature(
            Signature(scheme=chosen, hash_alg=hash_alg, rsa=self.ak.sign(data, pad, digest))
        )

    def evidence(
        self,
        nonce: bytes = NONCE,
        pcrs: Mapping[int, bytes] = PCRS,
        *,
        bank: Bank = "sha256",
        clock: ClockInfo | None = None,
        firmware_version: int | None = None,
        event_log: bytes | None = None,
        ima: ImaExcerpt | None = None,
        moments: Moments = MOMENTS,
        versions: Mapping[str, str] | None = None,
        retries: int = 0,
    ) -> Evidence:
        """Honest evidence; for a dishonest one change it with :func:`changed`, or quote with overrides."""
        attest, signature = self.quote(nonce, pcrs, bank=bank, clock=clock, firmware_version=firmware_version)
        return Evidence(
            key=self.kind,
            attest=attest,
            signature=signature,
            bank=bank,
            pcrs=dict(pcrs),
            event_log=event_log,
            ima=ima,
            versions=dict(versions or {}),
            moments=moments,
            retries=retries,
        )

    def activate(self, credential: bytes, encrypted: bytes) -> bytes | None:
        """TPM2_ActivateCredential for the attestation key; None where the TPM would refuse."""
        seed = self._seed(_content(encrypted))
        if seed is None:
            return None
        inner = _content(credential)
        integrity, identity = _content(inner[: 2 + 32]), inner[2 + 32 :]
        expected = hmac.digest(kdfa(seed, "INTEGRITY", b"", 256), identity + self.name, hashlib.sha256)
        if integrity != expected:
            return None
        cipher = Cipher(AES(kdfa(seed, "STORAGE", self.name, 128)), CFB(bytes(16))).decryptor()
        return _content(cipher.update(identity) + cipher.finalize())

    def _seed(self, encrypted: bytes) -> bytes | None:
        if isinstance(self.ek, rsa.RSAPrivateKey):
            digest = hashes.SHA256()
            oaep = padding.OAEP(mgf=padding.MGF1(digest), algorithm=digest, label=b"IDENTITY\0")
            try:
                return self.ek.decrypt(encrypted, oaep)
            except ValueError:
                return None
        size = int.from_bytes(encrypted[:2], "big")
        x, y = encrypted[2 : 2 + size], _content(encrypted[2 + size :])
        try:
            point = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), b"\x04" + x + y)
        except ValueError:
            return None
        own = marshal.number(self.ek.public_key().public_numbers().x, 32)
        return kdfe(self.ek.exchange(ec.ECDH(), point), "IDENTITY", x, own, 256)


def _content(sized: bytes) -> bytes:
    """The content of a TPM2B that fills `sized`; empty where its size says otherwise."""
    return sized[2:] if len(sized) - 2 == int.from_bytes(sized[:2], "big") else b""


def digest_of(pcrs: Mapping[int, bytes]) -> bytes:
    """What a quote by SHA-256 says of PCR values: their hash in order of rising index."""
    return hashlib.sha256(b"".join(pcrs[pcr] for pcr in sorted(pcrs))).digest()


def changed(evidence: Evidence, **fields: object) -> Evidence:
    """The evidence with other fields, which are validated as the old ones were."""
    return Evidence.model_validate({**dict(evidence), **fields})


_HASHES: Mapping[int, type[hashes.SHA1 | hashes.SHA256 | hashes.SHA384]] = {
    Alg.SHA1: hashes.SHA1,
    Alg.SHA256: hashes.SHA256,
    Alg.SHA384: hashes.SHA384,
}
