"""An attestation key: what it may be, and whether a signature is its own.

The key is read from the public area that was enrolled, so that scheme and hash are the key's own and never
those that a signature claims. It must never try another padding, another hash or another reading of a
signature than the one the key has.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import cast, get_args

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from harness.attest.evidence import EkType, KeyType, RefusedError
from harness.attest.reasons import Reason
from harness.attest.tpm.algorithms import CURVES, NAME_ALGS, NIST_P256, NIST_P384, Alg
from harness.attest.tpm.structures import Public, Signature, name_of, parse_public

FIXED_TPM = 1 << 1
FIXED_PARENT = 1 << 4
SENSITIVE_DATA_ORIGIN = 1 << 5
RESTRICTED = 1 << 16
DECRYPT = 1 << 17
SIGN = 1 << 18

REQUIRED = FIXED_TPM | FIXED_PARENT | SENSITIVE_DATA_ORIGIN | RESTRICTED | SIGN
"""What makes a key one that only this TPM has and that signs only what the TPM made (TPMA_OBJECT, 8.3)."""

RSA_BITS = 2048
RSA_EXPONENT = 65537
P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
"""n of NIST P-256 (FIPS 186-4, D.1.2.3)."""

SCHEMES: Mapping[KeyType, frozenset[int]] = MappingProxyType(
    {"rsa-2048": frozenset({Alg.RSASSA, Alg.RSAPSS}), "ecc-p256": frozenset({Alg.ECDSA})}
)
"""The schemes an attestation key of a type may have as its own."""

CURVE_OF: Mapping[int, ec.EllipticCurve] = MappingProxyType(
    {NIST_P256: ec.SECP256R1(), NIST_P384: ec.SECP384R1()}
)
"""The curves of keys that are used here."""

_RSA_BITS_OF: Mapping[str, int] = MappingProxyType({"rsa-2048": 2048, "rsa-3072": 3072})


@dataclass(frozen=True, slots=True, kw_only=True)
class AttestationKey:
    """The public part of an attestation key, loaded once.

    Attributes:
        kind: RSA-2048 or NIST P-256.
        public: TPMT_PUBLIC as it was enrolled.
        name: Its Name.
        attributes: TPMA_OBJECT.
        scheme: The scheme it must sign with: `Alg.RSASSA`, `Alg.RSAPSS` or `Alg.ECDSA`.
        hash: The hash it must sign with: `Alg.SHA256`.
        loaded: The key as `cryptography` has it.
    """

    kind: KeyType
    public: bytes
    name: bytes
    attributes: int
    scheme: int
    hash: int
    loaded: rsa.RSAPublicKey | ec.EllipticCurvePublicKey

    @classmethod
    def from_public(cls, public: bytes) -> AttestationKey:
        """The key of a TPMT_PUBLIC; its attributes are for `attributes_ok` to judge.

        Raises:
            RefusedError: ``key-attributes``: neither RSA-2048 nor P-256, no signing scheme of its own,
                another hash than SHA-256, or a point off the curve; and what :func:`parse_public` refuses.
        """
        area = parse_public(public)
        if area.name_alg not in NAME_ALGS:
            raise _not_a_key(f"named by algorithm {area.name_alg:#06x}")
        kind, loaded = load(area)
        if area.scheme is None or area.scheme not in SCHEMES[kind]:
            raise _not_a_key("no signing scheme of its own that is known here")
        if area.hash_alg != Alg.SHA256:
            raise _not_a_key("it signs with another hash than SHA-256")
        return cls(
            kind=kind,
            public=public,
            name=name_of(public),
            attributes=area.attributes,
            scheme=area.scheme,
            hash=Alg.SHA256,
            loaded=loaded,
        )

    @property
    def attributes_ok(self) -> bool:
        """Whether only this TPM can have the key and it signs only what the TPM made.

        Restricted, sign, fixedTPM, fixedParent and sensitiveDataOrigin are set, and decrypt is clear.
        """
        return self.attributes & REQUIRED == REQUIRED and not self.attributes & DECRYPT

    def verify(self, signature: Signature, attest: bytes) -> bool:
        """Whether `signature` is this key's over `attest`, by the key's own scheme and hash alone."""
        if signature.scheme != self.scheme or signature.hash_alg != self.hash:
            return False
        try:
            if isinstance(self.loaded, rsa.RSAPublicKey):
                return self._verified_rsa(self.loaded, signature.rsa, attest)
            return self._verified_ecdsa(self.loaded, signature.r, signature.s, attest)
        except InvalidSignature:
            return False

    def _verified_rsa(self, key: rsa.RSAPublicKey, value: bytes | None, attest: bytes) -> bool:
        if value is None or len(value) != RSA_BITS // 8:
            return False
        if self.scheme == Alg.RSASSA:
            key.verify(value, attest, padding.PKCS1v15(), hashes.SHA256())
        else:
            # A TPM salts with all that fits or with a digest's length (Part 1, B.7): the encoding says it.
            salted = padding.PSS(mgf=padding.MGF1(hashes.SHA256()), salt_length=padding.PSS.AUTO)
            key.verify(value, attest, salted, hashes.SHA256())
        return True

    def _verified_ecdsa(
        self, key: ec.EllipticCurvePublicKey, r: int | None, s: int | None, attest: bytes
    ) -> bool:
        if r is None or s is None or not (0 < r < P256_ORDER and 0 < s < P256_ORDER):
            return False
        key.verify(encode_dss_signature(r, s), attest, ec.ECDSA(hashes.SHA256()))
        return True


def type_of(area: Public) -> str:
    """The type of a key, such as ``rsa-3072`` or ``ecc-p521``, whether such a key is used here or not."""
    if area.type == Alg.RSA:
        return f"rsa-{area.key_bits}"
    curve = area.curve or 0
    return f"ecc-{CURVES[curve]}" if curve in CURVES else f"ecc, curve {curve:#06x}"


def load(area: Public) -> tuple[KeyType, rsa.RSAPublicKey | ec.EllipticCurvePublicKey]:
    """The key of a public area that attests: RSA-2048 or P-256.

    Raises:
        RefusedError: ``key-attributes``: another type, size, exponent or curve, or a point off the curve.
    """
    found = type_of(area)
    for kind in SCHEMES:
        if kind == found:
            return kind, _loaded(area)
    raise _unusable(f"an attestation key of type {found}; {', '.join(SCHEMES)} are used")


def load_endorsement(area: Public) -> tuple[EkType, rsa.RSAPublicKey | ec.EllipticCurvePublicKey]:
    """The key of a public area that stands for a TPM.

    Raises:
        RefusedError: ``ek-key``: another type, size, exponent or curve, or a point off the curve.
    """
    found = type_of(area)
    for kind in get_args(EkType):
        if kind == found:
            try:
                return cast(EkType, kind), _loaded(area)
            except RefusedError as refused:
                raise RefusedError(Reason.EK_KEY, refused.why) from refused
    raise RefusedError(
        Reason.EK_KEY, f"an endorsement key of type {found}; {', '.join(get_args(EkType))} are used"
    )


def _loaded(area: Public) -> rsa.RSAPublicKey | ec.EllipticCurvePublicKey:
    return _loaded_rsa(area) if area.type == Alg.RSA else _loaded_ecc(area)


def _loaded_rsa(area: Public) -> rsa.RSAPublicKey:
    modulus, bits = area.modulus or b"", _RSA_BITS_OF[type_of(area)]
    number = int.from_bytes(modulus, "big")
    if len(modulus) != bits // 8 or number.bit_length() != bits:
        raise _unusable(f"an RSA key of {number.bit_length()} bits that says {bits}")
    if number % 2 == 0:
        raise _unusable("an RSA modulus that is even")
    if area.exponent not in {0, RSA_EXPONENT}:
        raise _unusable(f"an RSA key with exponent {area.exponent}")
    try:
        return rsa.RSAPublicNumbers(e=RSA_EXPONENT, n=number).public_key()
    except ValueError as error:
        raise _unusable(str(error)) from error


def _loaded_ecc(area: Public) -> ec.EllipticCurvePublicKey:
    curve = CURVE_OF[area.curve or 0]
    x, y = area.x or b"", area.y or b""
    if max(len(x), len(y)) > curve.key_size // 8:
        raise _unusable("a coordinate that is longer than the curve's field")
    numbers = ec.EllipticCurvePublicNumbers(
        x=int.from_bytes(x, "big"), y=int.from_bytes(y, "big"), curve=curve
    )
    try:
        return numbers.public_key()
    except ValueError as error:
        raise _unusable(f"its point is not on the curve: {error}") from error


def _unusable(why: str) -> RefusedError:
    return RefusedError(Reason.KEY_ATTRIBUTES, why)


def _not_a_key(why: str) -> RefusedError:
    return RefusedError(Reason.KEY_ATTRIBUTES, f"not an attestation key: {why}")
