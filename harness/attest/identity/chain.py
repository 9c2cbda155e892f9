"""The chain from an endorsement key's certificate up to an authority that the user configured.

Chains are built and checked by ``cryptography.x509.verification`` (RFC 5280, section 6, with the choice of
algorithms of the web: no SHA-1, no RSA under 2048 bits), under a policy for endorsement certificates instead
of the web's: their subject is a TPM in a directoryName, their purpose tcg-kp-EKCertificate. Certificate
policies may be critical and are all accepted: that is RFC 5280's processing with anyPolicy as the user's
initial set and nothing that requires an explicit policy (6.1.1); constraints of policies stay refused.

Where a certificate of the chain is not quite DER (:mod:`harness.attest.identity.certificate`),
``cryptography`` cannot verify it: the signature is over bytes that it does not read. Then OpenSSL verifies
that chain over the original bytes, and what it would let pass and the strict way does not is checked here. A
chain of strict certificates alone never goes that way.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from datetime import datetime

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, ExtensionOID, SignatureAlgorithmOID
from cryptography.x509.verification import (
    Criticality,
    ExtensionPolicy,
    Policy,
    PolicyBuilder,
    Store,
    VerificationError,
)
from OpenSSL import crypto

from harness.attest.evidence import RefusedError
from harness.attest.identity.certificate import Certificate, openssl
from harness.attest.identity.der import signed_part
from harness.attest.reasons import Reason

MAX_CHAIN_DEPTH = 4
"""Authorities between a certificate and its root; makers of TPMs have one or two."""
MAX_CHAINS = 64
"""Beginnings of chains that are followed by name; a maker renews an authority a few times."""
MIN_RSA_BITS = 2048
MAX_SERIAL_BITS = 160

EK_CERTIFICATE = x509.ObjectIdentifier("2.23.133.8.1")
"""tcg-kp-EKCertificate: for what a certificate of an endorsement key, or an issuer of such, is used."""
PURPOSES = frozenset({EK_CERTIFICATE, ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE})
"""One of them, where a certificate names its purposes at all; many makers name none."""

_REMEDY = "name the roots of the TPM's maker: --roots"

_SIGNATURES = frozenset(
    {
        SignatureAlgorithmOID.RSA_WITH_SHA256,
        SignatureAlgorithmOID.RSA_WITH_SHA384,
        SignatureAlgorithmOID.RSA_WITH_SHA512,
        SignatureAlgorithmOID.ECDSA_WITH_SHA256,
        SignatureAlgorithmOID.ECDSA_WITH_SHA384,
        SignatureAlgorithmOID.ECDSA_WITH_SHA512,
    }
)
_CURVES = (ec.SECP256R1, ec.SECP384R1, ec.SECP521R1)

_UNDERSTOOD = frozenset(
    {
        ExtensionOID.AUTHORITY_KEY_IDENTIFIER,
        ExtensionOID.BASIC_CONSTRAINTS,
        ExtensionOID.CERTIFICATE_POLICIES,
        ExtensionOID.EXTENDED_KEY_USAGE,
        ExtensionOID.KEY_USAGE,
        ExtensionOID.SUBJECT_ALTERNATIVE_NAME,
        ExtensionOID.SUBJECT_KEY_IDENTIFIER,
    }
)
"""Extensions that may be critical where OpenSSL verifies: it knows more, the strict way does not."""


def followed(
    own: Certificate, others: Sequence[Certificate], roots: Sequence[Certificate], now: datetime
) -> tuple[Certificate, ...]:
    """The chain from `own` to one of `roots`, both included, every certificate valid at `now`.

    Args:
        own: The certificate of an endorsement key.
        others: Authorities that count only under a root.
        roots: The authorities that the user trusts.
        now: UTC.

    Raises:
        RefusedError: ``ek-chain``: no chain leads to a root.
    """
    if not roots:
        raise RefusedError(Reason.EK_CHAIN, "no root is configured", remedy="name the maker's roots: --roots")
    if own in roots:
        raise RefusedError(Reason.EK_CHAIN, "the certificate is itself configured as a root")
    try:
        if own.strict:
            return _strictly(own, others, roots, now)
        why = "no configured root vouches for it"
    except (VerificationError, ValueError) as error:
        why = str(error)
    for chain in _chains(own, others, roots):
        try:
            _verify_leniently(chain, now)
        except ValueError as error:
            why = str(error)
        else:
            return chain
    raise RefusedError(Reason.EK_CHAIN, f"issued by {own.issuer}: {why}", remedy=_REMEDY)


def self_signed(certificate: Certificate) -> bool:
    """Whether its own key signed it, over the bytes as they came."""
    fields = certificate.fields
    try:
        if certificate.strict:
            fields.verify_directly_issued_by(fields)
        elif fields.issuer != fields.subject:
            return False
        else:
            _verify_signature(certificate)
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
        return False
    return True


def _verify_signature(certificate: Certificate) -> None:
    """Verify a certificate's signature with its own key.

    Raises:
        ValueError, InvalidSignature, UnsupportedAlgorithm: It is not its signature.
    """
    key, fields = certificate.key, certificate.fields
    signed, scheme = signed_part(certificate.der), fields.signature_algorithm_parameters
    if isinstance(key, ec.EllipticCurvePublicKey) and isinstance(scheme, ec.ECDSA):
        key.verify(fields.signature, signed, scheme)
    elif isinstance(key, rsa.RSAPublicKey) and isinstance(scheme, padding.PKCS1v15 | padding.PSS):
        if fields.signature_hash_algorithm is None:
            raise ValueError("a signature without a hash")
        key.verify(fields.signature, signed, scheme, fields.signature_hash_algorithm)
    else:
        raise ValueError("a signature by another type of key")


# -- strictly


def _strictly(
    own: Certificate, others: Sequence[Certificate], roots: Sequence[Certificate], now: datetime
) -> tuple[Certificate, ...]:
    """As :func:`followed`, of strict certificates alone.

    Raises:
        VerificationError, ValueError: There is no such chain.
    """
    anchors = [one.fields for one in roots if one.strict]
    if not anchors:
        raise ValueError("no configured root vouches for it")
    any_policy = (x509.CertificatePolicies, Criticality.AGNOSTIC, None)
    authority = (
        ExtensionPolicy.permit_all()
        .require_present(x509.BasicConstraints, Criticality.AGNOSTIC, None)
        .may_be_present(x509.KeyUsage, Criticality.AGNOSTIC, _may_sign)
        .may_be_present(x509.ExtendedKeyUsage, Criticality.AGNOSTIC, _may_endorse)
        .may_be_present(*any_policy)
    )
    builder = (
        PolicyBuilder()
        .store(Store(anchors))
        .time(now)
        .max_chain_depth(MAX_CHAIN_DEPTH)
        .extension_policies(
            ca_policy=authority, ee_policy=ExtensionPolicy.permit_all().may_be_present(*any_policy)
        )
    )
    verifier = builder.build_client_verifier()
    found = verifier.verify(own.fields, [one.fields for one in others if one.strict])
    return tuple(Certificate.of(one) for one in found.chain)


def _may_sign(_policy: Policy, _certificate: x509.Certificate, usage: x509.KeyUsage | None) -> None:
    if usage is not None and not usage.key_cert_sign:
        raise ValueError("an issuer may not sign certificates")


def _may_endorse(
    _policy: Policy, _certificate: x509.Certificate, purposes: x509.ExtendedKeyUsage | None
) -> None:
    if purposes is not None and not PURPOSES & set(purposes):
        raise ValueError("an issuer whose purpose is not endorsement keys")


# -- by OpenSSL


def _chains(
    own: Certificate, others: Sequence[Certificate], roots: Sequence[Certificate]
) -> Iterator[tuple[Certificate, ...]]:
    """Chains by name from `own` to a root, the shortest first, but none of strict certificates alone."""
    named: dict[x509.Name, list[Certificate]] = {}
    for one in dict.fromkeys((*roots, *others)):
        named.setdefault(one.fields.subject, []).append(one)
    trusted = set(roots)
    begun: deque[tuple[Certificate, ...]] = deque([(own,)])
    for _ in range(MAX_CHAINS):
        if not begun:
            return
        chain = begun.popleft()
        for issuer in named.get(chain[-1].fields.issuer, ()):
            longer = (*chain, issuer)
            if issuer in trusted:
                if not all(one.strict for one in longer):
                    yield longer
            elif issuer not in chain and len(chain) <= MAX_CHAIN_DEPTH:
                begun.append(longer)


def _verify_leniently(chain: tuple[Certificate, ...], now: datetime) -> None:
    """Verify the signatures over the original bytes, and everything that the strict way asks for.

    Raises:
        ValueError: The chain does not hold.
    """
    for one in chain:
        _check_form(one)
        _check_critical(one)
        _check_key(one)
    for signed in chain[:-1]:
        if signed.fields.signature_algorithm_oid not in _SIGNATURES:
            raise ValueError(f"{_whose(signed)}: a signature by an algorithm that is not believed")
    for authority in chain[1:]:
        _check_authority(authority)
    _verify_by_openssl(chain, now)


def _verify_by_openssl(chain: tuple[Certificate, ...], now: datetime) -> None:
    """Signatures, days, path lengths and the order of a chain that ends with a trusted root.

    Raises:
        ValueError: OpenSSL refuses it.
    """
    try:
        # A strict certificate among them may be one that OpenSSL does not read, such as a BMPString of
        # characters that need two of its units.
        own, *between, root = map(openssl, chain)
    except crypto.Error as error:
        raise ValueError("OpenSSL does not read a certificate of the chain") from error
    store = crypto.X509Store()
    store.add_cert(root)
    store.set_time(now)
    store.set_flags(crypto.X509StoreFlags.CHECK_SS_SIGNATURE)
    try:
        crypto.X509StoreContext(store, own, between).verify_certificate()
    except crypto.X509StoreContextError as error:
        raise ValueError(str(error)) from error


def _check_form(one: Certificate) -> None:
    """As RFC 5280 has it in 4.1.2.1, 4.1.2.2 and 4.1.2.4."""
    if one.fields.version is not x509.Version.v3:
        raise ValueError(f"{_whose(one)}: no certificate of version 3")
    if one.fields.serial_number.bit_length() > MAX_SERIAL_BITS:
        raise ValueError(f"{_whose(one)}: a serial number that is too long")
    if not one.fields.issuer.rdns:
        raise ValueError(f"{_whose(one)}: no issuer is named")


def _check_critical(one: Certificate) -> None:
    for extension in one.fields.extensions:
        if extension.critical and extension.oid not in _UNDERSTOOD:
            number = extension.oid.dotted_string
            raise ValueError(f"{_whose(one)}: a critical extension that is not accounted for: {number}")


def _check_key(one: Certificate) -> None:
    key = one.key
    good = key.key_size >= MIN_RSA_BITS if isinstance(key, rsa.RSAPublicKey) else False
    if isinstance(key, ec.EllipticCurvePublicKey):
        good = isinstance(key.curve, _CURVES)
    if not good:
        raise ValueError(f"{_whose(one)}: a key of a type or size that is not believed")


def _check_authority(one: Certificate) -> None:
    constraints = one.extension(x509.BasicConstraints)
    if constraints is None or not constraints.ca:
        raise ValueError(f"{_whose(one)}: an issuer that is no authority")
    usage = one.extension(x509.KeyUsage)
    if usage is not None and not usage.key_cert_sign:
        raise ValueError(f"{_whose(one)}: an issuer may not sign certificates")
    purposes = one.extension(x509.ExtendedKeyUsage)
    if purposes is not None and not PURPOSES & set(purposes):
        raise ValueError(f"{_whose(one)}: an issuer whose purpose is not endorsement keys")
    if one.extension(x509.NameConstraints) is not None:
        raise ValueError(f"{_whose(one)}: constraints of names are not processed in such a chain")


def _whose(one: Certificate) -> str:
    return one.subject or "the endorsement key's certificate"
