"""The authorities that vouch for TPMs: from files that a user names, or from a machine of the user's own.

A software TPM is certified by an authority on its own machine. Taking that authority from there, over the
authenticated SSH channel, proves the protocol, not the platform: whoever has the machine has the authority.
It is done for machines that are declared to have a software TPM, and never for others.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from cryptography import x509

from harness.attest.endorsement import authorities
from harness.errors import CampaignError
from harness.rig.host import Host

HOST_AUTHORITY = "/var/lib/sodbench/tpm-ca"
"""Where the role ``tpm`` keeps the authority of a host's software TPM."""
GUEST_AUTHORITY = "/var/lib/swtpm-localca"
"""Where swtpm_localca(8) keeps the authority that certifies the virtual TPMs of a host's guests."""

_ROOT = "swtpm-localca-rootca-cert.pem"
_ISSUER = "issuercert.pem"
_SUFFIXES = (".pem", ".crt", ".cer")


@dataclass(frozen=True, slots=True, kw_only=True)
class Authorities:
    """Roots that are trusted, and authorities that count only under one of them."""

    roots: tuple[x509.Certificate, ...]
    intermediates: tuple[x509.Certificate, ...]

    def __add__(self, other: Authorities) -> Authorities:
        return Authorities(
            roots=self.roots + other.roots, intermediates=self.intermediates + other.intermediates
        )


NOBODY = Authorities(roots=(), intermediates=())


def load(path: Path) -> Authorities:
    """The authorities in a PEM file, or in the files ``*.pem``, ``*.crt`` and ``*.cer`` of a folder.

    Raises:
        CampaignError: There is no such file, one cannot be read, or none of the certificates is a root.
    """
    try:
        files = sorted(one for one in path.iterdir() if one.suffix in _SUFFIXES) if path.is_dir() else [path]
        found = parse(b"\n".join(one.read_bytes() for one in files), where=str(path))
    except OSError as error:
        raise CampaignError(
            "the roots cannot be read", where=str(path), why=error.strerror or str(error)
        ) from error
    return found


def parse(text: bytes, *, where: str) -> Authorities:
    """The authorities in PEM.

    Raises:
        CampaignError: It is no PEM, or holds no root.
    """
    try:
        found = x509.load_pem_x509_certificates(text)
        roots, intermediates = authorities(found)
    except ValueError as error:
        raise CampaignError("not certificates in PEM", where=where, why=str(error)) from error
    if not roots:
        raise CampaignError(
            "no root among them",
            where=where,
            why="a root is signed by its own key; "
            + ", ".join(one.subject.rfc4514_string() for one in found),
            remedy="add the root that signed them",
        )
    return Authorities(roots=roots, intermediates=intermediates)


def of_machine(host: Host, folder: str) -> Authorities:
    """The local authority that certifies software TPMs on `host`, read through the channel to it.

    Raises:
        CommandError: It has none.
        CampaignError: What is there is none.
        UnreachableError: The machine does not answer.
    """
    text = host.run(f"cat {folder}/{_ROOT} {folder}/{_ISSUER}", timeout_s=30)
    return parse(text.encode(), where=f"{host.role}:{folder}")
