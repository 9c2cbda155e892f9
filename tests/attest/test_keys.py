"""Attestation keys: which are taken, and that they verify their own signatures and no others."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from harness.attest.evidence import KeyType, RefusedError
from harness.attest.played import marshal
from harness.attest.played.software_tpm import AK_ATTRIBUTES, NONCE, PCRS, SoftwareTpm, public_area
from harness.attest.reasons import Reason
from harness.attest.tpm import keys
from harness.attest.tpm.algorithms import NIST_P256, Alg
from harness.attest.tpm.keys import AttestationKey
from harness.attest.tpm.structures import Public, Signature, Symmetric, parse_signature

KINDS: tuple[KeyType, ...] = ("ecc-p256", "rsa-2048")
OWN = {"ecc-p256": Alg.ECDSA, "rsa-2048": Alg.RSASSA}


@pytest.mark.parametrize("kind", KINDS)
def test_a_key_is_read_with_its_own_scheme_and_verifies_its_quote(
    kind: KeyType, tpms: dict[KeyType, SoftwareTpm]
) -> None:
    tpm = tpms[kind]
    key = AttestationKey.from_public(tpm.ak_public)
    attest, signature = tpm.quote(NONCE, PCRS)
    assert (key.kind, key.scheme, key.hash, key.name) == (kind, OWN[kind], Alg.SHA256, tpm.name)
    assert key.attributes_ok
    assert key.verify(parse_signature(signature), attest)
    assert not key.verify(parse_signature(signature), attest + b"\0")
    assert not key.verify(parse_signature(tpm.another_key().sign(attest)), attest)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "bit", [keys.RESTRICTED, keys.SIGN, keys.FIXED_TPM, keys.FIXED_PARENT, keys.SENSITIVE_DATA_ORIGIN]
)
def test_each_attribute_is_needed(kind: KeyType, bit: int, tpms: dict[KeyType, SoftwareTpm]) -> None:
    area = public_area(tpms[kind].ak, attributes=AK_ATTRIBUTES & ~bit)
    assert not AttestationKey.from_public(marshal.public(area)).attributes_ok


@pytest.mark.parametrize("kind", KINDS)
def test_a_key_that_decrypts_as_well_is_none(kind: KeyType, tpms: dict[KeyType, SoftwareTpm]) -> None:
    area = public_area(tpms[kind].ak, attributes=AK_ATTRIBUTES | keys.DECRYPT)
    assert not AttestationKey.from_public(marshal.public(area)).attributes_ok


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "change",
    [
        lambda area: replace(area, scheme=None, hash_alg=None),
        lambda area: replace(area, hash_alg=Alg.SHA1),
        lambda area: replace(area, hash_alg=Alg.SHA384),
        lambda area: replace(area, name_alg=Alg.SHA1),
        lambda area: replace(area, scheme=Alg.OAEP if area.type == Alg.RSA else Alg.ECDH),
    ],
    ids=["no scheme", "SHA-1", "another hash", "name by SHA-1", "no signing scheme"],
)
def test_keys_whose_signatures_would_mean_less_are_refused(
    kind: KeyType, change: Callable[[Public], Public], tpms: dict[KeyType, SoftwareTpm]
) -> None:
    _refused(change(public_area(tpms[kind].ak)))


def _refused(area: Public) -> str:
    with pytest.raises(RefusedError) as refused:
        AttestationKey.from_public(marshal.public(area))
    assert refused.value.reason is Reason.KEY_ATTRIBUTES
    return refused.value.why


@pytest.mark.parametrize("bits", [1024, 3072])
def test_rsa_of_another_size_is_refused(bits: int) -> None:
    area = public_area(rsa.generate_private_key(public_exponent=65537, key_size=bits))
    assert str(bits) in _refused(area)
    _refused(replace(area, key_bits=2048))


def test_a_modulus_of_2048_bits_on_paper_only_is_refused(tpms: dict[KeyType, SoftwareTpm]) -> None:
    area = public_area(tpms["rsa-2048"].ak)
    assert area.modulus is not None
    _refused(replace(area, modulus=b"\0" + area.modulus[1:]))
    _refused(replace(area, modulus=area.modulus[1:]))
    _refused(replace(area, modulus=b"\0" + area.modulus))
    _refused(replace(area, modulus=b""))
    _refused(replace(area, modulus=area.modulus[:-1] + b"\0"))
    _refused(replace(area, key_bits=1024))


@pytest.mark.parametrize(("exponent", "taken"), [(0, True), (65537, True), (1, False), (3, False)])
def test_the_exponent_is_the_default_one(
    exponent: int, taken: bool, tpms: dict[KeyType, SoftwareTpm]
) -> None:
    tpm = tpms["rsa-2048"]
    area = replace(public_area(tpm.ak), exponent=exponent)
    if not taken:
        assert "exponent" in _refused(area)
        return
    attest, signature = tpm.quote(NONCE, PCRS)
    assert AttestationKey.from_public(marshal.public(area)).verify(parse_signature(signature), attest)


def test_points_off_the_curve_and_other_curves_are_refused(tpms: dict[KeyType, SoftwareTpm]) -> None:
    area = public_area(tpms["ecc-p256"].ak)
    assert area.x is not None
    assert area.y is not None
    assert "not on the curve" in _refused(replace(area, y=area.y[:-1] + bytes([area.y[-1] ^ 1])))
    assert "not on the curve" in _refused(replace(area, x=bytes(32), y=bytes(32)))
    assert "not on the curve" in _refused(replace(area, x=b"", y=b""))
    assert "longer" in _refused(replace(area, x=b"\0" + area.x))
    assert "ecc-p384" in _refused(replace(area, curve=NIST_P256 + 1))


@pytest.mark.parametrize("kind", KINDS)
def test_another_scheme_or_hash_than_the_keys_own_never_verifies(
    kind: KeyType, tpms: dict[KeyType, SoftwareTpm]
) -> None:
    tpm = tpms[kind]
    key = AttestationKey.from_public(tpm.ak_public)
    attest, signature = tpm.quote(NONCE, PCRS)
    good = parse_signature(signature)
    assert not key.verify(parse_signature(tpm.sign(attest, hash_alg=Alg.SHA1)), attest)
    assert not key.verify(parse_signature(tpm.sign(attest, hash_alg=Alg.SHA384)), attest)
    assert not key.verify(replace(good, hash_alg=Alg.SHA384), attest)
    for scheme in {Alg.RSASSA, Alg.RSAPSS, Alg.ECDSA, Alg.SM2} - {OWN[kind]}:
        assert not key.verify(replace(good, scheme=scheme), attest)
    if kind == "rsa-2048":
        assert not key.verify(parse_signature(tpm.sign(attest, scheme=Alg.RSAPSS)), attest)
        disguised = replace(parse_signature(tpm.sign(attest, scheme=Alg.RSAPSS)), scheme=Alg.RSASSA)
        assert not key.verify(disguised, attest)


def test_a_key_with_pss_verifies_pss_and_not_the_older_padding() -> None:
    tpm = SoftwareTpm("rsa-2048", scheme=Alg.RSAPSS)
    key = AttestationKey.from_public(tpm.ak_public)
    attest, signature = tpm.quote(NONCE, PCRS)
    assert key.scheme == Alg.RSAPSS
    assert key.verify(parse_signature(signature), attest)
    older = parse_signature(tpm.sign(attest, scheme=Alg.RSASSA))
    assert not key.verify(older, attest)
    assert not key.verify(replace(older, scheme=Alg.RSAPSS), attest)


def test_numbers_outside_the_curves_order_never_verify(tpms: dict[KeyType, SoftwareTpm]) -> None:
    tpm = tpms["ecc-p256"]
    key = AttestationKey.from_public(tpm.ak_public)
    attest, raw = tpm.quote(NONCE, PCRS)
    good = parse_signature(raw)
    assert good.r is not None
    assert good.s is not None
    order = keys.P256_ORDER
    for bad in (0, order, order + good.r, 2**256 - 1, 2**528 - 1):
        assert not key.verify(replace(good, r=bad), attest)
        assert not key.verify(replace(good, s=bad), attest)
        assert not key.verify(replace(good, r=bad, s=bad), attest)
    assert not key.verify(replace(good, r=good.r + order), attest)
    assert not key.verify(replace(good, s=good.s + order), attest)
    assert not key.verify(replace(good, r=None), attest)
    assert not key.verify(Signature(scheme=Alg.ECDSA, hash_alg=Alg.SHA256, rsa=bytes(256)), attest)


def test_the_order_is_that_of_the_curve() -> None:
    assert ec.SECP256R1().group_order == keys.P256_ORDER


def test_an_rsa_signature_has_the_length_of_the_modulus(tpms: dict[KeyType, SoftwareTpm]) -> None:
    tpm = tpms["rsa-2048"]
    key = AttestationKey.from_public(tpm.ak_public)
    attest, raw = tpm.quote(NONCE, PCRS)
    good = parse_signature(raw)
    assert good.rsa is not None
    for value in (
        b"",
        good.rsa[:-1],
        good.rsa[1:],
        b"\0" + good.rsa,
        good.rsa + b"\0",
        bytes(256),
        b"\xff" * 256,
    ):
        assert not key.verify(replace(good, rsa=value), attest)
    assert not key.verify(Signature(scheme=Alg.RSASSA, hash_alg=Alg.SHA256, r=1, s=1), attest)


def test_an_endorsement_key_is_no_attestation_key(tpms: dict[KeyType, SoftwareTpm]) -> None:
    for tpm in tpms.values():
        with pytest.raises(RefusedError) as refused:
            AttestationKey.from_public(tpm.ek_public)
        assert refused.value.reason is Reason.KEY_ATTRIBUTES


def test_a_storage_cipher_does_not_hide_in_an_attestation_key(tpms: dict[KeyType, SoftwareTpm]) -> None:
    cipher = Symmetric(alg=Alg.AES, key_bits=128, mode=Alg.CFB)
    area = public_area(tpms["ecc-p256"].ak, symmetric=cipher, attributes=AK_ATTRIBUTES | keys.DECRYPT)
    assert not AttestationKey.from_public(marshal.public(area)).attributes_ok
