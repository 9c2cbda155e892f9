"""The next certificate of a VM's identity: the same name, UUID, key, vTPM and parent, where the VM is now."""

from __future__ import annotations

from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from harness import sums
from harness.errors import InputFileError, RecordError, UsageError
from harness.legible import legible
from harness.pvi.factory import profiles
from harness.pvi.factory.profiles import Asked, Profile

_MAX_BYTES = 64 * 1024
_URN = "urn:uuid:"


def asked_again(old: x509.Certificate, place: str | None, issued: Path) -> Asked:
    """What is asked for to renew the certificate `old`.

    Args:
        old: The newest certificate of the VM.
        place: Host and epoch; None where the VM is not placed.
        issued: The factory's folder with what it issued, where the vTPM's endorsement is looked for.

    Raises:
        UsageError: `old` is no certificate of a VM, or the vTPM's endorsement is missing.
    """
    names = [one.value for one in old.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)]
    uuids = [one.removeprefix(_URN) for one in profiles.uris(old) if one.startswith(_URN)]
    key = old.public_key()
    vm = profiles.stated(old, profiles.PROFILE_POLICY) == (Profile.VM.value,)
    if (
        not vm
        or len(names) != 1
        or len(uuids) != 1
        or not isinstance(key, ec.EllipticCurvePublicKey | rsa.RSAPublicKey)
    ):
        raise UsageError(
            "this is no certificate of a VM's identity", where=legible(old.subject.rfc4514_string())
        )
    parent, *_ = (*profiles.stated(old, profiles.PARENT_POLICY), None)
    return Asked(
        profile=Profile.VM,
        name=str(names[0]),
        key=key,
        uuid=uuids[0],
        endorsement=_endorsement(old, issued),
        place=place,
        parent=parent,
    )


def _endorsement(old: x509.Certificate, issued: Path) -> x509.Certificate:
    """The newest certificate of the vTPM that the key of `old` lives in."""
    wanted = profiles.modules(old)
    found = [
        one
        for one in (_read(file) for file in issued.glob("*.pem"))
        if profiles.stated(one, profiles.PROFILE_POLICY) == (Profile.VTPM.value,)
        and profiles.module(one) in wanted
    ]
    if not found:
        raise UsageError(
            "the factory has no endorsement certificate of the VM's vTPM",
            where=legible(str(issued)),
            remedy="sodbench pvi issue vtpm-endorsement, and a new certificate of the VM",
        )
    return max(found, key=lambda one: one.not_valid_after_utc)


def _read(file: Path) -> x509.Certificate:
    try:
        return x509.load_pem_x509_certificate(sums.content(file, limit=_MAX_BYTES))
    except (RecordError, ValueError) as error:
        raise InputFileError(
            "a certificate of the factory cannot be read", where=legible(str(file)), why=legible(str(error))
        ) from error
