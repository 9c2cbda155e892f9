"""The SSH key that opens guests and nothing else: a guest never learns of the key that opens its hosts."""

from __future__ import annotations

import subprocess
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from harness import key_file
from harness.data_folder import data_folder
from harness.errors import PrerequisiteError


def default() -> Path:
    """The key of a rig whose inventory names none; it is made when its public half is first needed."""
    return data_folder() / "guest.key"


def public(key: Path) -> str:
    """The public half of the key at `key`, in one line without a comment.

    Raises:
        PrerequisiteError: The file is missing, is no key, asks for a passphrase, or is readable by others.
        StorageError: The default key cannot be written.
    """
    if key == default():
        key_file.content(key, "the key of the guests", _made)
    elif not key.is_file():
        raise PrerequisiteError(
            "the guests' ssh key is missing",
            where=str(key),
            remedy=f"make it: ssh-keygen -t ed25519 -N '' -f {key}; or leave sodbench_guest_key_file out",
        )
    done = subprocess.run(
        ["ssh-keygen", "-y", "-P", "", "-f", str(key)], capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise PrerequisiteError("not a usable ssh key", where=str(key), why=done.stderr.strip())
    return " ".join(done.stdout.split()[:2])


def _made() -> bytes:
    return Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption())
