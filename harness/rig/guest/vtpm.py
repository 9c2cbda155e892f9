"""The secret that a guest's virtual TPM keeps its state encrypted with, on disk and while it moves.

Hosts hold a secret in libvirt's memory alone and lose it when libvirtd ends. So every controller process
makes it from one key of the user's and the secret's UUID, and sets it before each start and each move.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from pathlib import Path

from harness import key_file
from harness.errors import PrerequisiteError
from harness.rig.contract import Hypervisor, HypervisorError

_KEY_BYTES = 32


def key(path: Path) -> bytes:
    """The key at `path`; one that is not there is made, of two at once exactly one.

    Raises:
        PrerequisiteError: The file is no such key, or others may read it.
        StorageError: The file cannot be written.
    """
    found = key_file.content(path, "the key of the guests' TPMs", lambda: secrets.token_bytes(_KEY_BYTES))
    if len(found) != _KEY_BYTES:
        raise PrerequisiteError(
            "not a key of guests' TPMs",
            where=str(path),
            why=f"{len(found)} bytes, and a key has {_KEY_BYTES}",
            remedy="end the guests that were started with it, then remove the file",
        )
    return found


def passphrase(key: bytes, secret: str) -> bytes:
    """What libvirt holds under the UUID `secret`: 64 hexadecimal digits (HMAC-SHA256 of `key`)."""
    return hmac.new(key, b"sodbench vtpm " + secret.encode(), hashlib.sha256).hexdigest().encode()


def fingerprint(key: bytes) -> str:
    """What tells one key from another, without a use for who has it."""
    return hashlib.sha256(b"sodbench vtpm fingerprint " + key).hexdigest()[:16]


def set_for(connection: Hypervisor, domain: str, secret: str, key: bytes) -> None:
    """Let a hypervisor start or receive `domain`, whose TPM is encrypted with `secret`.

    Raises:
        HypervisorError: It does not take the secret.
    """
    connection.set_secret(secret, domain, passphrase(key, secret))


def send_ahead(source: Hypervisor, destination: Hypervisor, domain: str, key: bytes) -> None:
    """Set at the destination what `domain` needs to arrive; nothing where its TPM is not encrypted.

    Raises:
        HypervisorError: The destination does not take the secret, or this controller has no key for it.
    """
    secret = source.domain(domain).secret()
    if secret is None:
        return
    if not key:
        raise HypervisorError("this controller has no key for the secret of the guest's TPM", where=domain)
    set_for(destination, domain, secret, key)
