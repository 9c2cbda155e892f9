"""A key that a passphrase locks: only the right one opens it, only in its place."""

from __future__ import annotations

import json

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from harness.errors import PrerequisiteError
from harness.pvi.factory import locked_key
from harness.pvi.factory.locked_key import LockedKey
from tests.pvi.factory.places import EC_KEY, PASSPHRASE


@pytest.fixture(scope="module")
def locked() -> bytes:
    """A key, locked."""
    return locked_key.lock(EC_KEY, "root", PASSPHRASE).to_bytes()


def test_the_passphrase_opens_the_key_and_the_file_does_not_show_it(locked: bytes) -> None:
    key = locked_key.unlock(locked, "root", PASSPHRASE, where="here")
    assert key.private_numbers() == EC_KEY.private_numbers()
    plain = EC_KEY.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    assert plain not in LockedKey.model_validate_json(locked).ciphertext
    assert PASSPHRASE.encode() not in locked


def test_a_key_is_locked_differently_each_time(locked: bytes) -> None:
    again = LockedKey.model_validate_json(locked_key.lock(EC_KEY, "root", PASSPHRASE).to_bytes())
    before = LockedKey.model_validate_json(locked)
    assert (again.salt, again.nonce) != (before.salt, before.nonce)


def test_another_passphrase_is_refused(locked: bytes) -> None:
    with pytest.raises(PrerequisiteError, match="cannot be unlocked") as refused:
        locked_key.unlock(locked, "root", PASSPHRASE + "r", where="here")
    assert PASSPHRASE not in str(refused.value)


@pytest.mark.parametrize("field", ["role", "salt", "nonce", "ciphertext", "cost"])
def test_a_changed_file_is_refused(locked: bytes, field: str) -> None:
    said = json.loads(locked)
    other = json.loads(locked_key.lock(EC_KEY, "issuing", PASSPHRASE).to_bytes())
    said[field] = 2**15 if field == "cost" else other[field]
    with pytest.raises(PrerequisiteError):
        locked_key.unlock(json.dumps(said).encode(), said["role"], PASSPHRASE, where="here")


def test_a_key_takes_no_other_keys_place(locked: bytes) -> None:
    with pytest.raises(PrerequisiteError, match="it is the root key, and the issuing key is needed"):
        locked_key.unlock(locked, "issuing", PASSPHRASE, where="here")


@pytest.mark.parametrize("raw", [b"", b"{}", b'{"version": 2}', b"x" * 20_000])
def test_what_is_no_key_is_refused(raw: bytes) -> None:
    with pytest.raises(PrerequisiteError, match="it is no locked key"):
        locked_key.unlock(raw, "root", PASSPHRASE, where="here")


def test_a_file_does_not_choose_how_much_memory_is_taken(locked: bytes) -> None:
    said = json.loads(locked) | {"cost": 2**30}
    with pytest.raises(PrerequisiteError, match="it is no locked key"):
        locked_key.unlock(json.dumps(said).encode(), "root", PASSPHRASE, where="here")


def test_a_guess_takes_64_mib(locked: bytes) -> None:
    found = LockedKey.model_validate_json(locked)
    assert 128 * found.cost * found.block == 64 * 2**20  # RFC 7914, section 2
