"""Endorsement keys of high range, of real TPMs: P-384 and RSA-3072 enrol; others are refused by name."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from harness.attest.evidence import KeyType, RefusedError
from harness.attest.examine.recording import genuine
from harness.attest.examine.round import Examiner
from harness.attest.identity.authorities import NOBODY, parse
from harness.attest.identity.endorsement import check, pinned
from harness.attest.identity.enrolment import Request, enrol
from harness.attest.played import marshal
from harness.attest.played.software_tpm import AK_ATTRIBUTES, SoftwareTpm
from harness.attest.reasons import Reason, Tier
from harness.attest.reference.files import load_policy
from harness.attest.reference.values import record
from harness.attest.tpm import structures
from harness.attest.tpm.algorithms import Alg
from harness.attest.tpm.credential import make_credential
from harness.attest.tpm.keys import AttestationKey
from harness.attest.tpm.structures import Public, Symmetric
from harness.clock import MonotonicClock
from harness.registry.places import policy_file
from harness.registry.registry import Registry, open_registry
from tests.attest.ek_certificates import NOW, Authority, PrivateKey, pem
from tests.attest.machine import Machine, machine
from tests.registry.blank import blank

pytestmark = pytest.mark.programs

CLOCK = MonotonicClock()
KEYS: tuple[KeyType, ...] = ("ecc-p256", "rsa-2048")
EKS = ("ecc-p384", "rsa-3072")

HIGH_ATTRIBUTES = 0x000300F2
"""As those of low range, and userWithAuth."""


@pytest.fixture(scope="module")
def high(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """A machine whose TPM has certificates of a key on P-384 and one of RSA-3072 alone."""
    with machine(tmp_path_factory.mktemp("high"), rsa_bits=3072) as made:
        yield made


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[Registry]:
    with open_registry(blank(tmp_path)) as opened:
        yield opened


def asked(of: Machine, **options: Any) -> Request:
    return replace(Request(name="a", kind="host", authorities=of.authorities, keys=KEYS), **options)


@pytest.mark.parametrize("ek", EKS)
def test_a_machine_is_enrolled_by_a_key_of_high_range_and_then_attests(
    high: Machine, registry: Registry, ek: Any
) -> None:
    """Certificate, credential, first quote; then evidence by both of its attestation keys."""
    done = enrol(high.attester, registry, asked(high, ek=ek), CLOCK)
    assert done.endorsement is not None
    assert (done.record.ek_name[:2], len(done.record.ek_name)) == (b"\x00\x0c", 50)
    assert [key.kind for key in done.record.keys] == list(KEYS)

    policy = load_policy(policy_file("lab"))
    good = record(genuine(high.attester, registry, "a", key="rsa-2048", policy=policy, clock=CLOCK), policy)
    examiner = Examiner(registry, lambda _name: policy, lambda _name: good, CLOCK)
    for kind in KEYS:
        verdict = examiner.examine("a", high.attester, key=kind).result
        assert (verdict.tier, verdict.reason) == (Tier.AFFIRMING, Reason.ACCEPTED)
    # New keys take the place of those that are there, which are known as children of the same key.
    assert enrol(high.attester, registry, asked(high, ek=ek, renew=True), CLOCK).record.ek_name


@pytest.mark.parametrize("ek", EKS)
def test_a_key_of_high_range_is_pinned_by_its_name_as_tools_print_it(
    high: Machine, registry: Registry, ek: Any
) -> None:
    public = high.attester.identify().ek_public[ek]
    pin = structures.name_of(public)[2:].hex()
    assert len(pin) == 96
    assert pinned(public, pin)
    assert not pinned(public, "00" * 48)
    done = enrol(high.attester, registry, asked(high, authorities=NOBODY, trusted_ek=pin), CLOCK)
    assert done.record.ek_name == structures.name_of(public)


def test_a_tpm_with_another_certified_key_is_told_how_to_name_it(high: Machine, registry: Registry) -> None:
    with pytest.raises(RefusedError) as caught:
        enrol(high.attester, registry, asked(high), CLOCK)
    assert caught.value.reason is Reason.EK_KEY
    assert "ecc-p384, rsa-3072" in caught.value.why
    assert "--ek ecc-p384" in caught.value.remedy


@pytest.mark.parametrize("ek", EKS)
def test_a_key_that_the_tpm_does_not_keep_is_made_again(tmp_path: Path, registry: Registry, ek: Any) -> None:
    """From the template, which yields the very key that the certificate is of."""
    with machine(tmp_path / "bare", rsa_bits=3072) as bare:
        before = bare.attester.identify().ek_public[ek]
        for handle in bare.tpm.run("tpm2_getcap", "handles-persistent").stdout.replace("- ", "").split():
            bare.tpm.run("tpm2_evictcontrol", "-C", "o", "-c", handle)
        done = enrol(bare.attester, registry, asked(bare, ek=ek, keys=("ecc-p256",)), CLOCK)
    assert done.record.ek_name == structures.name_of(before)


def test_one_tpms_credential_is_no_use_to_another_key_of_it(high: Machine, registry: Registry) -> None:
    """The secret for one endorsement key is opened by that key alone."""
    publics = high.attester.identify().ek_public
    created = high.attester.create_key("ecc-p256", ek="rsa-3072")
    secret = bytes(range(32))
    made = make_credential(publics["rsa-3072"], created.name, secret)
    assert high.attester.activate("ecc-p256", *made, ek="rsa-3072") == secret
    with pytest.raises(Exception) as caught:
        high.attester.activate("ecc-p256", *made, ek="ecc-p384")
    assert getattr(caught.value, "reason", None) in {Reason.CREDENTIAL, Reason.ATTESTER_FAILED}


# -- types that are not used


def _area(key: PrivateKey, curve: int, **fields: Any) -> Public:
    common: dict[str, Any] = {"name_alg": Alg.SHA384, "auth_policy": b"", **fields}
    if isinstance(key, rsa.RSAPrivateKey):
        size = key.key_size // 8
        modulus = marshal.number(key.public_key().public_numbers().n, size)
        return Public(type=Alg.RSA, key_bits=key.key_size, exponent=0, modulus=modulus, **common)
    point, size = key.public_key().public_numbers(), (key.key_size + 7) // 8
    x, y = marshal.number(point.x, size), marshal.number(point.y, size)
    return Public(type=Alg.ECC, curve=curve, x=x, y=y, **common)


OTHERS = ("rsa-4096", "rsa-1024", "ecc-p521")
HIGH = ("rsa-3072", "ecc-p384")
_CURVES: dict[str, tuple[ec.EllipticCurve, int]] = {
    "ecc-p521": (ec.SECP521R1(), 5),
    "ecc-p384": (ec.SECP384R1(), 4),
}


@cache
def private(kind: str) -> tuple[PrivateKey, int]:
    """A key of the type and its curve's number; made when a test asks, for a long one takes a second."""
    if kind in _CURVES:
        curve, number = _CURVES[kind]
        return ec.generate_private_key(curve), number
    return rsa.generate_private_key(public_exponent=65537, key_size=int(kind.removeprefix("rsa-"))), 0


@pytest.mark.parametrize("kind", OTHERS)
def test_an_endorsement_key_of_another_type_is_refused_by_name(kind: str) -> None:
    key, curve = private(kind)
    cipher = Symmetric(alg=Alg.AES, key_bits=256, mode=Alg.CFB)
    area = _area(key, curve, attributes=HIGH_ATTRIBUTES, symmetric=cipher, scheme=None, hash_alg=None)
    maker = Authority()
    own = maker.certify(key.public_key())
    for refused in (
        lambda: check(
            [own], marshal.public(area), roots=parse(pem(maker.certificate), where="the roots").roots, now=NOW
        ),
        lambda: make_credential(marshal.public(area), bytes.fromhex("000b") + bytes(32), bytes(32)),
    ):
        with pytest.raises(RefusedError) as caught:
            refused()
        assert caught.value.reason is Reason.EK_KEY
        assert f"an endorsement key of type {kind}" in caught.value.why
        assert "rsa-2048, ecc-p256, ecc-p384, rsa-3072" in caught.value.why
        assert "attestation key" not in caught.value.why


@pytest.mark.parametrize("kind", [*OTHERS, *HIGH])
def test_an_attestation_key_of_another_type_is_refused_by_name(kind: str) -> None:
    key, curve = private(kind)
    scheme = Alg.RSASSA if isinstance(key, rsa.RSAPrivateKey) else Alg.ECDSA
    area = _area(key, curve, attributes=AK_ATTRIBUTES, symmetric=None, scheme=scheme, hash_alg=Alg.SHA256)
    with pytest.raises(RefusedError) as caught:
        AttestationKey.from_public(marshal.public(area))
    assert caught.value.reason is Reason.KEY_ATTRIBUTES
    assert f"an attestation key of type {kind}" in caught.value.why
    assert "rsa-2048, ecc-p256" in caught.value.why


def test_certificates_of_other_types_are_told_beside_the_key_that_has_none() -> None:
    tpm, maker = SoftwareTpm("ecc-p256"), Authority()
    others = [maker.certify(private(kind)[0].public_key()) for kind in OTHERS]
    with pytest.raises(RefusedError) as caught:
        check(others, tpm.ek_public, roots=parse(pem(maker.certificate), where="the roots").roots, now=NOW)
    assert caught.value.why == (
        "3 certificates, none of this key, but of keys of type ecc-p521, rsa-1024, rsa-4096"
    )


@pytest.mark.parametrize("kind", HIGH)
@pytest.mark.parametrize("change", [{"name_alg": Alg.SHA256}, {"key_bits": 128}, {"scheme": 0x17}])
def test_a_key_of_high_range_that_no_template_makes(kind: str, change: dict[str, int]) -> None:
    key, curve = private(kind)
    cipher = Symmetric(alg=Alg.AES, key_bits=change.get("key_bits", 256), mode=Alg.CFB)
    fields: dict[str, Any] = {
        "attributes": HIGH_ATTRIBUTES,
        "symmetric": cipher,
        "scheme": None,
        "hash_alg": None,
        "name_alg": change.get("name_alg", Alg.SHA384),
    }
    if "scheme" in change:
        fields |= {"scheme": Alg.OAEP if kind == "rsa-3072" else Alg.ECDH, "hash_alg": Alg.SHA384}
    with pytest.raises(RefusedError) as caught:
        make_credential(
            marshal.public(_area(key, curve, **fields)), bytes.fromhex("000b") + bytes(32), bytes(32)
        )
    assert caught.value.reason is Reason.EK_KEY
