"""A package opens with the key that was sealed, as its factory made it, and never otherwise."""

from __future__ import annotations

import base64
import json
import secrets

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from pydantic import ValidationError

from harness.errors import AlteredError
from harness.pvi import package as packages
from harness.pvi.package import MAX_BYTES, Package, Secrets
from tests.pvi.hosts import Probed

GUEST = "6a2f4b1e-7a52-4b6f-9d0e-2f1d6c7b8a90"
CONTENT = Secrets(
    domain="<domain><uuid>the guest's own</uuid></domain>",
    disk_key=b"a canary of the disk's key",
    vtpm_key=b"a canary of the vTPM's key",
    vtpm_state=b"a canary of the vTPM's state",
    identity=b"a canary of the identity",
    vpn=b"a canary of the VPN",
)


class Keys:
    """Remembers the random bytes that were drawn, of which the first are a package's key."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.drawn: list[bytes] = []
        real = secrets.token_bytes

        def draw(count: int) -> bytes:
            self.drawn.append(real(count))
            return self.drawn[-1]

        monkeypatch.setattr(secrets, "token_bytes", draw)

    @property
    def key(self) -> bytes:
        return self.drawn[0]


@pytest.fixture
def keys(monkeypatch: pytest.MonkeyPatch) -> Keys:
    return Keys(monkeypatch)


@pytest.fixture
def made(keys: Keys, host: Probed, factory: ec.EllipticCurvePrivateKey) -> Package:
    return packages.make(CONTENT, GUEST, host.release(), factory)


def test_it_opens_with_its_key(made: Package, keys: Keys, factory: ec.EllipticCurvePrivateKey) -> None:
    read = packages.read(made.to_bytes(), factory.public_key(), where="a file")
    assert read == made
    assert packages.opened(read, keys.key, where="a file") == CONTENT
    assert (read.guest, read.host) == (GUEST, "host-a")


def test_it_has_the_terms_of_the_release(made: Package, host: Probed) -> None:
    assert made.terms == host.release().terms
    assert made.sealed.public[2:4] == b"\x00\x08"


def test_who_carries_it_carries_ciphertext(made: Package, keys: Keys) -> None:
    raw = made.to_bytes()
    plain = b"".join(base64.b64decode(value) for value in json.loads(raw).values() if _is_base64(value))
    for carried in (raw, plain):
        for hidden in (b"canary", b"the guest's own", keys.key, base64.b64encode(keys.key)):
            assert hidden not in carried


def test_messages_show_no_secret() -> None:
    assert "canary" not in repr(CONTENT)


def test_two_packages_share_neither_id_nor_key(
    made: Package, keys: Keys, host: Probed, factory: ec.EllipticCurvePrivateKey
) -> None:
    first = keys.key
    keys.drawn.clear()
    second = packages.make(CONTENT, GUEST, host.release(), factory)
    assert (second.id == made.id, keys.key == first) == (False, False)
    with pytest.raises(AlteredError, match="cannot be opened"):
        packages.opened(second, first, where="a file")


@pytest.mark.parametrize("field", sorted(set(Package.model_fields) - {"version"}))
def test_no_field_can_be_changed(
    field: str, made: Package, keys: Keys, factory: ec.EllipticCurvePrivateKey
) -> None:
    changed = made.model_copy(update={field: _other(getattr(made, field))})
    with pytest.raises(AlteredError):
        packages.read(changed.to_bytes(), factory.public_key(), where="a file")
    if field != "signature":
        signed = _signed(changed, factory)
        assert packages.read(signed.to_bytes(), factory.public_key(), where="a file") == signed
        with pytest.raises(AlteredError, match="cannot be opened"):
            packages.opened(signed, keys.key, where="a file")


def test_another_factory_made_it(made: Package) -> None:
    other = ec.generate_private_key(ec.SECP256R1())
    with pytest.raises(AlteredError, match="another factory's"):
        packages.read(made.to_bytes(), other.public_key(), where="a file")


@pytest.mark.parametrize("raw", [b"", b"{}", b"[]", b"\xff", b"{" * 10_000, bytes(MAX_BYTES + 1)])
def test_what_is_no_package_is_refused(raw: bytes, factory: ec.EllipticCurvePrivateKey) -> None:
    with pytest.raises(AlteredError, match="no package") as refused:
        packages.read(raw, factory.public_key(), where="a\x1bfile")
    assert "\x1b" not in str(refused.value)


def test_a_package_that_is_too_long_is_refused(made: Package, factory: ec.EllipticCurvePrivateKey) -> None:
    raw = made.to_bytes()
    fits = raw + b" " * (MAX_BYTES - len(raw))
    assert packages.read(fits, factory.public_key(), where="a file") == made
    with pytest.raises(AlteredError, match="at most are read"):
        packages.read(fits + b" ", factory.public_key(), where="a file")


def test_a_field_that_is_not_known_is_refused(made: Package, factory: ec.EllipticCurvePrivateKey) -> None:
    raw = json.dumps({**json.loads(made.to_bytes()), "more": 1}).encode()
    with pytest.raises(AlteredError, match="no package"):
        packages.read(raw, factory.public_key(), where="a file")


@pytest.mark.parametrize("guest", ["", "guest", GUEST.upper(), "../" + GUEST])
def test_a_guest_has_a_uuid(guest: str, host: Probed, factory: ec.EllipticCurvePrivateKey) -> None:
    with pytest.raises(ValidationError):
        packages.make(CONTENT, guest, host.release(), factory)


def _signed(package: Package, factory: ec.EllipticCurvePrivateKey) -> Package:
    """The package as its own factory would sign it: what a forger with the factory's key could do."""
    algorithm = packages._ALGORITHM
    return package.model_copy(update={"signature": factory.sign(package.signed(), algorithm)})


def _other(value: object) -> object:
    if isinstance(value, bytes):
        return bytes([value[0] ^ 1]) + value[1:]
    if isinstance(value, int):
        return value + 1
    if isinstance(value, dict):
        return {**value, 0: bytes(32)}
    return {"sha256": "sha384", GUEST: GUEST.replace("6", "7")}.get(str(value)) or _turned(str(value))


def _turned(text: str) -> str:
    return ("0" if text[0] != "0" else "1") + text[1:]


def _is_base64(value: object) -> bool:
    try:
        return isinstance(value, str) and bool(base64.b64decode(value, validate=True))
    except ValueError:
        return False
