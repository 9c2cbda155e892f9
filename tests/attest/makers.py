"""Makers of TPMs, each of which writes all of its certificates with the same slips."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding

from harness.attest.identity import authorities
from harness.attest.identity.endorsement import Endorsement, check
from harness.attest.played.software_tpm import SoftwareTpm
from tests.attest import slips
from tests.attest.ek_certificates import NOW, Authority
from tests.attest.slips import Slip

POLICIES = x509.CertificatePolicies([x509.PolicyInformation(x509.ObjectIdentifier("1.3.6.1.4.1.55"), None)])


@dataclass(frozen=True)
class Maker:
    """A maker whose root certifies an authority that certifies endorsement keys; all with the same slips."""

    slips: Sequence[Slip]
    tpm: SoftwareTpm

    def dressed(self, authority: Authority, *further: Slip) -> bytes:
        signer = authority.parent or authority
        der = authority.certificate.public_bytes(Encoding.DER)
        return slips.slipped(der, signer.key, (*self.slips, *further))

    def certify(self, by: Authority, *further: Slip, **options: object) -> bytes:
        der = by.certify(self.tpm.ek.public_key(), **options)  # type: ignore[arg-type]
        return slips.slipped(der, by.key, (*self.slips, *further))

    def check(self, own: bytes, *others: bytes, roots: Sequence[bytes], now: datetime = NOW) -> Endorsement:
        another = Authority(name="another").certificate.public_bytes(Encoding.DER)
        found = authorities.parse(slips.pem(*roots, another), where="the roots")
        return check(
            [own, *others],
            self.tpm.ek_public,
            roots=found.roots,
            intermediates=found.intermediates,
            now=now,
        )

    def chained(self, *line: Authority, now: datetime = NOW, **options: object) -> Endorsement:
        """The chain of a certificate by the last of `line`, whose first is the root."""
        own = self.certify(line[-1], **options)
        between = [self.dressed(one) for one in line[1:]]
        return self.check(own, *between, roots=[self.dressed(line[0])], now=now)


def rsa_key(bits: int) -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=bits)
