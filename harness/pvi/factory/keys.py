"""The private keys of a factory: in its machine's TPM, or in files that a passphrase locks."""

from __future__ import annotations

from cryptography.hazmat.primitives.asymmetric import ec

from harness.pvi.factory import locked_key, tpm_key
from harness.pvi.factory.authority import new_key

IN_FILES = "in files, locked by a passphrase"


def kept(tcti: str) -> str:
    """Where the keys are, in words; `tcti` is how the TPM is reached, empty without one."""
    return f"in the TPM at {tcti}, which wants a passphrase" if tcti else IN_FILES


def make(tcti: str, role: str, passphrase: str) -> tuple[ec.EllipticCurvePrivateKey, bytes]:
    """A new key on P-256, and what its file is to hold.

    Raises:
        PrerequisiteError: The TPM does not make it.
    """
    if tcti:
        inside, file = tpm_key.make(tcti, role, passphrase)
        return inside, file.to_bytes()
    key = new_key()
    return key, locked_key.lock(key, role, passphrase).to_bytes()


def unlock(raw: bytes, role: str, passphrase: str, *, where: str) -> ec.EllipticCurvePrivateKey:
    """The key in the file `raw`.

    Raises:
        PrerequisiteError: It is no key of this role, or the passphrase is another.
    """
    unlocking = tpm_key.unlock if tpm_key.is_file(raw) else locked_key.unlock
    return unlocking(raw, role, passphrase, where=where)
