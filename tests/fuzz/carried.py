"""Readers of what is handed on: an endorsement key's certificates, a result as a token, evidence in a file.

Signatures would keep a fuzzer at the door: what a token or a certificate says is signed here before it is
read. A certificate is also tried as it comes, whose chain is the last thing that is looked at.
"""

from __future__ import annotations

import json
import tempfile
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from jwt.api_jws import PyJWS

from harness.attest.examine import evidence_file
from harness.attest.examine.evidence_file import EvidenceFile
from harness.attest.identity import authorities, endorsement
from harness.attest.played import logs
from harness.attest.played.software_tpm import NONCE, SoftwareTpm
from harness.attest.tokens import ear
from tests.attest import slips
from tests.attest.ek_certificates import NOW, Authority

if TYPE_CHECKING:
    from harness.attest.identity.certificate import Certificate

NOW_S = 1_700_000_000
POLICIES = x509.CertificatePolicies([x509.PolicyInformation(x509.ObjectIdentifier("2.5.29.32.0"), None)])
_READ_SLIPS = (slips.names, slips.defaults, slips.days)
"""Those that do not alter the signature's algorithm, which stands outside the body as well."""


@cache
def _maker() -> tuple[Authority, Authority, SoftwareTpm]:
    root = Authority()
    return root, Authority(name="issuer", parent=root), SoftwareTpm("ecc-p256")


def certificates(data: bytes) -> None:
    """As one NV index of a TPM, and as the stream of certificates in several."""
    root, _, tpm = _maker()
    held = [data, *endorsement.split(data)]
    found = endorsement.check(held, tpm.ek_public, roots=[root.trusted], now=NOW)
    assert data.startswith(found.certificate)
    assert found.maker


@cache
def certificate_seeds() -> tuple[bytes, ...]:
    """A certificate, one with what fills its index, and one before its issuer's."""
    root, issuer, tpm = _maker()
    key = tpm.ek.public_key()
    own = root.certify(key)
    return (own, own + bytes(40), issuer.certify(key) + issuer.certificate.public_bytes(Encoding.DER))


_ECDSA_WITH_SHA256 = bytes.fromhex("300a06082a8648ce3d040302")


def certified(data: bytes) -> None:
    """Any bytes as the body of an endorsement key's certificate, truly signed by its maker."""
    root, _, tpm = _maker()
    own = slips.signed(data, _ECDSA_WITH_SHA256, root.key)
    found = endorsement.check([own], tpm.ek_public, roots=_anchors(), now=NOW)
    assert found.certificate == own
    assert found.maker


@cache
def _anchors() -> tuple[Certificate, ...]:
    """The maker's root under its two names, plain and as a set of attributes out of order."""
    root, _, _ = _maker()
    plain = root.certificate.public_bytes(Encoding.DER)
    named = slips.slipped(plain, root.key, [slips.names])
    return authorities.parse(slips.pem(plain, named), where="the roots").roots


@cache
def certified_seeds() -> tuple[bytes, ...]:
    """The body of a good certificate, and of one with each slip that is read."""
    root, _, tpm = _maker()
    own = root.certify(tpm.ek.public_key(), further=POLICIES)
    bodies = [slips.parsed(own)]
    bodies += [slips.parsed(slips.slipped(own, root.key, [one])) for one in _READ_SLIPS]
    return tuple(one.values[0].der for one in bodies)


@cache
def _signer() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def token(data: bytes) -> None:
    """Any bytes as a token's claims, truly signed."""
    text = PyJWS().encode(data, _signer(), algorithm=ear.ALGORITHM)
    said = ear.decode(text, _signer().public_key(), now_s=NOW_S)
    assert said["eat_profile"] == ear.PROFILE
    assert said["submods"]


def token_seeds() -> tuple[bytes, ...]:
    """What the verifier writes of a good and of a bad machine."""
    claims = {
        "eat_profile": ear.PROFILE,
        "iat": NOW_S,
        "exp": NOW_S + 60,
        "ear_verifier_id": {"developer": "https://example.org", "build": "1"},
    }
    seeds = []
    for status, number in (("affirming", 2), ("contraindicated", 96)):
        appraisal = {
            "ear_status": status,
            "ear_trustworthiness_vector": {"instance-identity": number},
            "ear_appraisal_policy_ids": ["strict"],
        }
        whole = {**claims, "ear_status": status, "submods": {"host-a": appraisal}}
        seeds.append(json.dumps(whole, separators=(",", ":")).encode())
    return tuple(seeds)


def kept(data: bytes) -> None:
    """As a file that is brought from elsewhere."""
    with tempfile.NamedTemporaryFile(suffix=".json") as file:
        file.write(data)
        file.flush()
        found = evidence_file.read(Path(file.name))
    assert EvidenceFile.model_validate_json(found.model_dump_json(), strict=None) == found


@cache
def kept_seeds() -> tuple[bytes, ...]:
    """Evidence with and without logs."""
    tpm = SoftwareTpm("ecc-p256")
    with_logs = tpm.evidence(NONCE, event_log=logs.event_log([]), ima=logs.excerpt(logs.running_system(2)))
    return tuple(
        EvidenceFile(
            version=1,
            attester="host-a",
            nonce=NONCE,
            bank="sha256",
            pcrs=(0, 7),
            ima_from=ima_from,
            evidence=evidence,
        )
        .model_dump_json()
        .encode()
        for ima_from, evidence in ((None, tpm.evidence(NONCE)), (0, with_logs))
    )
