"""Readers of what is handed on: an endorsement key's certificates, a result as a token, evidence in a file.

Signatures would keep a fuzzer at the door: what a token says is signed here before it is read. A certificate
cannot be signed so, but its chain is the last thing that is looked at.
"""

from __future__ import annotations

import json
import tempfile
from functools import cache
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from jwt.api_jws import PyJWS

from harness.attest import ear, endorsement, evidence_file
from harness.attest.evidence_file import EvidenceFile
from tests.attest import logs
from tests.attest.ek_certificates import NOW, Authority
from tests.attest.software_tpm import NONCE, SoftwareTpm

NOW_S = 1_700_000_000


@cache
def _maker() -> tuple[Authority, Authority, SoftwareTpm]:
    root = Authority()
    return root, Authority(name="issuer", parent=root), SoftwareTpm("ecc-p256")


def certificates(data: bytes) -> None:
    """As one NV index of a TPM, and as the stream of certificates in several."""
    root, _, tpm = _maker()
    held = [data, *endorsement.split(data)]
    found = endorsement.check(held, tpm.ek_public, roots=[root.certificate], now=NOW)
    assert data.startswith(found.certificate)
    assert found.maker


@cache
def certificate_seeds() -> tuple[bytes, ...]:
    """A certificate, one with what fills its index, and one before its issuer's."""
    root, issuer, tpm = _maker()
    key = tpm.ek.public_key()
    own = root.certify(key)
    return (own, own + bytes(40), issuer.certify(key) + issuer.certificate.public_bytes(Encoding.DER))


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
    """As a file that somebody brings."""
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
            attester="host-a", nonce=NONCE, bank="sha256", pcrs=(0, 7), ima_from=ima_from, evidence=evidence
        )
        .model_dump_json()
        .encode()
        for ima_from, evidence in ((None, tpm.evidence(NONCE)), (0, with_logs))
    )
