"""The key and the endorsement of a VM that was enrolled: what its vTPM has proved, and need not be told."""

from __future__ import annotations

from cryptography import x509

from harness.attest.tpm.keys import AttestationKey
from harness.errors import PrerequisiteError
from harness.legible import legible
from harness.pvi.factory.profiles import PublicKey
from harness.registry import places
from harness.registry.registry import look


def of(name: str, url: str | None) -> tuple[PublicKey, x509.Certificate]:
    """The attestation key that `name` was enrolled with, and the certificate of its TPM's endorsement key.

    Enrolment has proved that the key is in that TPM (TPM2_ActivateCredential), and signs what the TPM made
    alone. Of several keys it is the one on P-256.

    Raises:
        PrerequisiteError: It is not enrolled, was revoked, is held, or has no endorsement certificate.
        RefusedError: The stored key cannot be used.
    """
    with look(places.registry_url(url)) as store:
        found = store.attester(name)
    remedy = "enrol the VM (sodbench attest enrol), or give --key and --endorsement"
    if found is None or not found.keys:
        raise PrerequisiteError("the VM is not enrolled", where=legible(name), remedy=remedy)
    if found.revoked or found.held:
        why = "it was revoked" if found.revoked else "it is held, as it was found to be altered"
        raise PrerequisiteError("the VM is not to be certified", where=legible(name), why=why)
    if found.ek_certificate is None:
        raise PrerequisiteError(
            "the VM's vTPM was enrolled without an endorsement certificate",
            where=legible(name),
            remedy="sodbench pvi issue vtpm-endorsement, then enrol the VM again with --roots trust",
        )
    try:
        endorsement = x509.load_der_x509_certificate(found.ek_certificate)
    except ValueError as error:
        raise PrerequisiteError(
            "the endorsement certificate in the registry cannot be read",
            where=legible(name),
            why=legible(str(error)),
            remedy=remedy,
        ) from error
    first = min(found.keys, key=lambda one: one.kind)
    return AttestationKey.from_public(first.public).loaded, endorsement
