"""The factory signs with a key of its own, which is certified, renewed and revoked like any other."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from harness.errors import AlteredError
from harness.evidence import signature
from harness.evidence.signature import Kind, key_id
from harness.pvi.factory import locked_key, signer
from harness.pvi.factory.authority import moment
from harness.pvi.factory.factory import TRUST
from harness.pvi.factory.trust import CertificateRefusedError
from tests.pvi.factory.places import CHEAP, HOUR_NS, KilledError, Place

DAY_NS = 24 * HOUR_NS
KIND = Kind("something")


@pytest.fixture(autouse=True)
def _cheap(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locked_key, "COST", CHEAP)


def _key(place: Place) -> ec.EllipticCurvePrivateKey:
    with place.open() as factory:
        return factory.signer()


def _require(place: Place, key: ec.EllipticCurvePublicKey, signed_ns: int) -> None:
    trust = place.folder / TRUST
    found = signer.find(trust, key_id(key))
    assert found.key == key
    signer.require(found, trust, signed_ns=signed_ns, now=moment(place.now_ns))


def _revoke(place: Place, key: ec.EllipticCurvePublicKey) -> None:
    certificate = signer.find(place.folder / TRUST, key_id(key)).certificate
    with place.open() as factory:
        factory.revoke(f"{certificate.serial_number:x}", "key-compromise")


def test_it_is_made_once_and_is_no_authoritys(place: Place) -> None:
    key = _key(place)
    assert _key(place).private_numbers() == key.private_numbers()
    assert [one["does"] for one in place.log.bodies] == ["init", "issue"]
    assert place.log.bodies[1]["profile"] == "signer"
    authorities = (place.folder / TRUST).glob("*.pem")
    known = [x509.load_pem_x509_certificate(one.read_bytes()).public_key() for one in authorities]
    assert len(known) == 2
    assert key.public_key() not in known
    _require(place, key.public_key(), place.now_ns)


@pytest.mark.parametrize(("day", "renewed"), [(334, False), (336, True)])
def test_it_is_renewed_before_it_ends_and_the_old_one_vouches_on(
    place: Place, day: int, *, renewed: bool
) -> None:
    old, signed_ns = _key(place).public_key(), place.now_ns
    place.now_ns += day * DAY_NS
    with place.open() as factory:
        factory.renew_lists(root=True)
    assert (_key(place).public_key() != old) is renewed
    _require(place, old, signed_ns)


@pytest.mark.parametrize("day", [-1, 366])
def test_what_it_signed_outside_its_time_does_not_count(place: Place, day: int) -> None:
    key = _key(place).public_key()
    with pytest.raises(CertificateRefusedError):
        _require(place, key, place.now_ns + day * DAY_NS)


def test_a_revoked_one_vouches_for_nothing_and_is_replaced(place: Place) -> None:
    old, signed_ns = _key(place).public_key(), place.now_ns
    _revoke(place, old)
    with pytest.raises(CertificateRefusedError, match="does not count") as refused:
        _require(place, old, signed_ns)
    assert "has revoked" in refused.value.why
    new = _key(place).public_key()
    assert new != old
    _require(place, new, place.now_ns)


def test_a_key_that_was_killed_before_the_log_had_it_is_finished(place: Place) -> None:
    place.log.full = 1
    with pytest.raises(KilledError):
        _key(place)
    assert not (place.folder / signer.KEY).exists()
    place.log.full = 9
    _require(place, _key(place).public_key(), place.now_ns)
    assert len(place.log.entries) == 2


def test_a_certificate_of_another_purpose_or_key_is_none_of_a_signers(place: Place) -> None:
    key, trust = _key(place).public_key(), place.folder / TRUST
    other = ec.generate_private_key(ec.SECP256R1()).public_key()
    shutil.copy(trust / signer.place(key), trust / signer.place(other))
    with pytest.raises(CertificateRefusedError, match="does not count") as refused:
        signer.find(trust, key_id(other))
    assert "another key's" in refused.value.why
    for wanted in ("../root", "", key_id(key)[:-1] + "0"):
        with pytest.raises(CertificateRefusedError):
            signer.find(trust, wanted)
    authority = x509.load_pem_x509_certificate((trust / "issuing.pem").read_bytes())
    found = signer.Signer(authority, other)
    with pytest.raises(CertificateRefusedError, match="does not count"):
        signer.require(found, trust, signed_ns=place.now_ns, now=moment(place.now_ns))


def test_a_signature_says_whose_it_is(place: Place, tmp_path: Path) -> None:
    key = _key(place)
    with pytest.raises(AlteredError, match="not signed"):
        signature.hint(tmp_path, kind=KIND)
    (tmp_path / "a").write_text("a")
    place_of = signature.sign(tmp_path, ["a"], key, kind=KIND)
    assert signature.hint(tmp_path, kind=KIND) == key_id(key.public_key())
    text = place_of.read_text()
    place_of.write_text(text.replace("keyid", "other"))
    with pytest.raises(AlteredError, match="cannot be read"):
        signature.hint(tmp_path, kind=KIND)
    place_of.write_text("{}")
    with pytest.raises(AlteredError, match="cannot be read"):
        signature.hint(tmp_path, kind=KIND)
