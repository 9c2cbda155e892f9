"""Enrolments by the wrong authority, for the wrong key, or with a credential that was made for another."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, cast

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from harness.attest.attester.contract import Identity
from harness.attest.evidence import RefusedError
from harness.attest.identity.authorities import of_machine, parse
from harness.attest.identity.endorsement import check
from harness.attest.identity.enrolment import facts
from harness.attest.played.software_tpm import SoftwareTpm
from harness.attest.reasons import Reason
from harness.attest.tpm.credential import make_credential
from tests.attest.adversary.case import Case, grouped
from tests.attest.adversary.stage import Stage
from tests.attest.ek_certificates import EK_PURPOSE, END, NOW, Authority, tpm_names

if TYPE_CHECKING:
    from harness.attest.identity.certificate import Certificate
    from harness.rig.contract import Machine

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Vouched:
    """A TPM that a machine's own authority certifies as a maker's chip, and that denies to be software."""

    stage: Stage
    maker: Authority
    own: bool

    def judge(self) -> str:
        """What a policy that refuses software TPMs says of the machine."""
        believed = parse(self._pem(), where="roots")
        if self.own:
            believed = of_machine(cast("Machine", _OwnAuthority(self._pem())), "/var/lib/sodbench/tpm-ca")
        ek = self.stage.tpm.ek.public_key()
        certificates = [self.maker.certify(ek, names=tpm_names(_INFINEON))]
        endorsed = check(certificates, self.stage.tpm.ek_public, roots=believed.roots, now=NOW)
        known = facts(denying(self.stage.tpm.ek_public), endorsed, believed)
        return self.stage.honest().asked(software_tpm=known.software).under(software_tpm="refuse").judge()

    def _pem(self) -> bytes:
        return self.maker.certificate.public_bytes(Encoding.PEM)


@dataclass(frozen=True, slots=True)
class _OwnAuthority:
    """A machine that has an authority's certificate in its folder."""

    pem: bytes
    role: str = "a"

    def run(self, _command: str) -> str:
        return self.pem.decode()


_INFINEON = {"2.23.133.2.1": "id:49465800", "2.23.133.2.2": "SLB9672", "2.23.133.2.3": "id:000F0018"}


def denying(ek_public: bytes) -> Identity:
    """What a program says that poses as a chip."""
    return Identity(
        tpm_manufacturer="IFX",
        tpm_vendor="SLB9672",
        tpm_spec="2.0 1.59",
        tpm_firmware=1,
        tpm_properties={},
        software=False,
        banks=("sha256",),
        ek_certificates={},
        ek_chain=(),
        ek_public={"rsa-2048": ek_public},
        preferred_ek="rsa-2048",
        hostname="a",
        kernel="6.1",
        versions={},
    )


CASES: tuple[Case, ...] = grouped(
    "keys",
    (
        "chip-by-a-configured-root",
        Reason.ACCEPTED,
        "A chip that a configured root vouches for, where software TPMs are refused",
        lambda stage: Vouched(stage=stage, maker=Authority(), own=False),
    ),
    (
        "chip-by-its-own-machine",
        Reason.SOFTWARE_TPM,
        "A software TPM that its own machine's authority certifies as a chip",
        lambda stage: Vouched(stage=stage, maker=Authority(), own=True),
    ),
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
