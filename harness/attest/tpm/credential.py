"""Making a credential that only one TPM can open, and only while it holds one certain key.

It is TPM2_MakeCredential done in software (TCG TPM 2.0 Library, Part 1, 24): a secret is encrypted to an
endorsement key and bound to an attestation key's Name, so that an answer with the secret proves both to be in
the same TPM.
"""

from __future__ import annotations

from harness.attest.evidence import RefusedError
from harness.attest.reasons import Reason
from harness.attest.tpm.algorithms import Alg
from harness.attest.tpm.wrapping import endorsement, protect

SECRET_BYTES = 32
"""The longest secret: a digest of the shortest name algorithm of an endorsement key, SHA-256."""

NAME_BYTES = 2 + SECRET_BYTES

LABEL = "IDENTITY"


def make_credential(ek_public: bytes, ak_name: bytes, secret: bytes) -> tuple[bytes, bytes]:
    """A credential for TPM2_ActivateCredential.

    Args:
        ek_public: TPMT_PUBLIC of the endorsement key, as one of the default templates makes it.
        ak_name: Name of the attestation key, by SHA-256.
        secret: 1 to 32 bytes that come back only from that TPM.

    Returns:
        TPM2B_ID_OBJECT and TPM2B_ENCRYPTED_SECRET, each with its size before it.

    Raises:
        RefusedError: ``ek-key``: no such endorsement key; ``credential``: no such name or secret.
    """
    parent = endorsement(ek_public)
    if len(ak_name) != NAME_BYTES or int.from_bytes(ak_name[:2], "big") != Alg.SHA256:
        raise RefusedError(Reason.CREDENTIAL, "the attestation key's name is not one by SHA-256")
    if not 0 < len(secret) <= SECRET_BYTES:
        raise RefusedError(Reason.CREDENTIAL, f"a secret of {len(secret)} bytes; 1 to {SECRET_BYTES} will do")
    return protect(parent, ak_name, secret, LABEL)
