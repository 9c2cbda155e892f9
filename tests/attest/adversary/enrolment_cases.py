"""Enrolments by the wrong authority, for the wrong key, or with a credential that was made for another."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from cryptography import x509

from harness.attest.evidence import RefusedError
from harness.attest.identity.endorsement import check
from harness.attest.played.software_tpm import SoftwareTpm
from harness.attest.reasons import Reason
from harness.attest.tpm.credential import make_credential
from tests.attest.adversary.case import Case, grouped
from tests.attest.adversary.stage import Stage
from tests.attest.ek_certificates import EK_PURPOSE, END, NOW, Authority

if TYPE_CHECKING:
    from harness.attest.identity.certificate import Certificate

SECRET = bytes(range(32))


@dataclass(frozen=True, slots=True, kw_only=True)
class Endorsed:
    """Certificates that come with an endorsement key, and the roots that are believed."""

    certificates: Sequence[bytes]
    ek_public: bytes
    roots: Sequence[Certificate]
    now: datetime = field(default=NOW)

    def judge(self) -> str:
        try:
            check(self.certificates, self.ek_public, roots=self.roots, now=self.now)
        except RefusedError as refused:
            return refused.reason.value
        return Reason.ACCEPTED.value


def _endorsed(
    stage: Stage,
    *,
    believed: Authority | None = None,
    of: SoftwareTpm | None = None,
    now: datetime = NOW,
    purpose: x509.ObjectIdentifier = EK_PURPOSE,
) -> Endorsed:
    """The platform's key with a certificate by a maker that is believed, unless told otherwise."""
    maker = Authority()
    certified = (of or stage.tpm).ek.public_key()
    certificate = maker.certify(certified, purpose=purpose)
    roots = [(believed or maker).trusted]
    return Endorsed(certificates=[certificate], ek_public=stage.tpm.ek_public, roots=roots, now=now)


def _self_made(stage: Stage) -> Endorsed:
    """An attacker's authority comes with its own certificate beside the key's."""
    attacker = Authority(name="maker")
    certificates = [attacker.certify(stage.tpm.ek.public_key())]
    return Endorsed(
        certificates=certificates, ek_public=stage.tpm.ek_public, roots=[Authority(name="maker").trusted]
    )


def _signing_key(stage: Stage) -> Endorsed:
    """A certificate for the attestation key, shown as an endorsement key."""
    maker = Authority()
    certificate = maker.certify(stage.tpm.ak.public_key())
    return Endorsed(certificates=[certificate], ek_public=stage.tpm.ak_public, roots=[maker.trusted])


@dataclass(frozen=True, slots=True, kw_only=True)
class Activated:
    """A credential for one key's name and one TPM, given to another TPM or to the same one."""

    ek_public: bytes
    ak_name: bytes
    opened_by: SoftwareTpm

    def judge(self) -> str:
        """``credential`` where the secret does not come back."""
        try:
            credential, secret = make_credential(self.ek_public, self.ak_name, SECRET)
        except RefusedError as refused:
            return refused.reason.value
        opened = self.opened_by.activate(credential, secret)
        return Reason.ACCEPTED.value if opened == SECRET else Reason.CREDENTIAL.value


def _activated(
    ek: Callable[[Stage], bytes], name: Callable[[Stage], bytes], tpm: Callable[[Stage], SoftwareTpm]
) -> Callable[[Stage], Activated]:
    return lambda stage: Activated(ek_public=ek(stage), ak_name=name(stage), opened_by=tpm(stage))


CASES: tuple[Case, ...] = grouped(
    "keys",
    ("maker", Reason.ACCEPTED, "A TPM whose maker is believed", _endorsed),
    (
        "maker-unknown",
        Reason.EK_CHAIN,
        "A TPM whose maker nobody named",
        lambda stage: _endorsed(stage, believed=Authority(name="another maker")),
    ),
    ("maker-imitated", Reason.EK_CHAIN, "An authority that has the maker's name and not its key", _self_made),
    (
        "maker-expired",
        Reason.EK_CHAIN,
        "A certificate that has expired",
        lambda stage: _endorsed(stage, now=END + timedelta(days=1)),
    ),
    (
        "certificate-of-another-tpm",
        Reason.EK_KEY,
        "Another TPM's certificate",
        lambda stage: _endorsed(stage, of=stage.other),
    ),
    (
        "certificate-for-servers",
        Reason.EK_CERTIFICATE,
        "The maker's certificate for a web server",
        lambda stage: _endorsed(stage, purpose=x509.oid.ExtendedKeyUsageOID.SERVER_AUTH),
    ),
    (
        "certificate-missing",
        Reason.EK_CERTIFICATE,
        "No certificate",
        lambda stage: Endorsed(certificates=[], ek_public=stage.tpm.ek_public, roots=[]),
    ),
    ("signing-key-for-ek", Reason.EK_KEY, "A signing key for the endorsement key", _signing_key),
    (
        "activated",
        Reason.ACCEPTED,
        "A credential in the TPM and for the key it was made for",
        _activated(lambda s: s.tpm.ek_public, lambda s: s.tpm.name, lambda s: s.tpm),
    ),
    (
        "activated-other-tpm",
        Reason.CREDENTIAL,
        "A credential in another TPM than it was made for",
        _activated(lambda s: s.tpm.ek_public, lambda s: s.other.name, lambda s: s.other),
    ),
    (
        "activated-other-key",
        Reason.CREDENTIAL,
        "A credential for another key of the same TPM",
        _activated(lambda s: s.tpm.ek_public, lambda s: s.tpm.name, lambda s: s.second_key),
    ),
    (
        "activated-signing-key",
        Reason.EK_KEY,
        "A credential that is wanted for a key that signs",
        _activated(lambda s: s.tpm.ak_public, lambda s: s.tpm.name, lambda s: s.tpm),
    ),
)
