"""The authorities that vouch for TPMs: from files that a user names, or from a machine of the user's own.

A software TPM is certified by an authority on its own machine. Taking that authority from there, over the
authenticated SSH channel, proves the protocol, not the platform: the machine's owner also owns the authority.
It is done for machines that are declared to have a software TPM, and never for others.
"""

from __future__ import annotations

import re
import ssl
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from cryptography import x509

from harness.attest.identity import revocation
from harness.attest.identity.certificate import Certificate, read
from harness.attest.identity.endorsement import authorities
from harness.errors import InputFileError
from harness.rig.contract import Machine

HOST_AUTHORITY = "/var/lib/sodbench/tpm-ca"
"""Where the role ``tpm`` keeps the authority of a host's software TPM."""
GUEST_AUTHORITY = "/var/lib/swtpm-localca"
"""Where swtpm_localca(8) keeps the authority that certifies the virtual TPMs of a host's guests."""

_ROOT = "swtpm-localca-rootca-cert.pem"
_ISSUER = "issuercert.pem"
_SUFFIXES = (".pem", ".crt", ".cer", ".der")
_BEGIN = re.compile(rb"-----BEGIN (?:X509 )?CERTIFICATE-----")
_END = re.compile(rb"-----END (?:X509 )?CERTIFICATE-----")
_SEQUENCE = b"\x30"
"""How a file in DER begins; one in PEM is text."""
_MAX_FILE_BYTES = 4 * 2**20
"""The bundle of all authorities of the web is a twentieth of it."""
_MAX_NAMED = 10
"""Files that an error names; a warning names each."""


class RootsFileError(InputFileError):
    """A file or folder of roots is wrong; no machine was asked."""

    kind = "roots-file"


@dataclass(frozen=True, slots=True, kw_only=True)
class Authorities:
    """Roots that are trusted, and authorities that count only under one of them.

    Attributes:
        unread: What was named as one of them and cannot be read: the file, which certificate in it, and why.
        from_machine: A machine supplied some of them itself. What they certify is that machine's own word, so
            a TPM that they vouch for counts as software, whatever its certificate and its attester say.
        revocations: Lists of what they have revoked.
    """

    roots: tuple[Certificate, ...]
    intermediates: tuple[Certificate, ...]
    unread: tuple[str, ...] = ()
    from_machine: bool = False
    revocations: tuple[x509.CertificateRevocationList, ...] = ()

    def __add__(self, other: Authorities) -> Authorities:
        return Authorities(
            roots=self.roots + other.roots,
            intermediates=self.intermediates + other.intermediates,
            unread=self.unread + other.unread,
            from_machine=self.from_machine or other.from_machine,
            revocations=self.revocations + other.revocations,
        )


NOBODY = Authorities(roots=(), intermediates=())


def load(path: Path) -> Authorities:
    """The authorities in a file, or in the files ``*.pem``, ``*.crt``, ``*.cer`` and ``*.der`` of a folder.

    Suffixes may be in capitals. A file holds PEM, any number of certificates, or DER. What cannot be read
    is told in `unread`, and the others count.

    Raises:
        RootsFileError: There is no such file, nothing can be read, or none of the certificates is a root.
    """
    found: list[Certificate] = []
    unread: list[str] = []
    try:
        files = sorted(filter(_is_named, path.iterdir())) if path.is_dir() else [path]
    except OSError as error:
        raise _none("the roots cannot be read", str(path), [error.strerror or str(error)]) from error
    failed: OSError | None = None
    for file in files:
        try:
            _collect(_content(file), str(file), found, unread)
        except OSError as error:
            failed = error
            unread.append(f"{file}: {error.strerror or error}")
    if failed and not found:
        raise _none("the roots cannot be read", str(path), unread) from failed
    if not files:
        unread.append(f"no file named {', '.join('*' + suffix for suffix in _SUFFIXES)}")
    return replace(_sorted(found, unread, where=str(path)), revocations=_revocations(path))


def _revocations(path: Path) -> tuple[x509.CertificateRevocationList, ...]:
    """The files ``*.crl`` of a folder. One that cannot be read ends it: what it revokes would be trusted."""
    found = []
    for file in sorted(path.iterdir()) if path.is_dir() else []:
        if file.suffix.lower() != ".crl":
            continue
        try:
            found.append(revocation.read(_content(file)))
        except (OSError, ValueError) as error:
            raise RootsFileError(
                "a revocation list cannot be read",
                where=str(file),
                why=str(error),
                remedy="obtain it again, in PEM or DER; without it what it revokes would be trusted",
            ) from error
    return tuple(found)


def parse(text: bytes, *, where: str) -> Authorities:
    """The authorities in PEM, or the one in DER.

    Raises:
        RootsFileError: It is neither, or holds no root.
    """
    found: list[Certificate] = []
    unread: list[str] = []
    _collect(text, where, found, unread)
    return _sorted(found, unread, where=where)


def _is_named(file: Path) -> bool:
    """Whether a file's name is one of a certificate; makers on other systems write ``.CRT`` as well."""
    return file.suffix.lower() in _SUFFIXES


def _content(file: Path) -> bytes:
    """All of a regular file; a pipe would be waited for without an end."""
    if file.exists() and not file.is_file():
        raise OSError("not a regular file")
    with file.open("rb") as opened:
        content = opened.read(_MAX_FILE_BYTES + 1)
    if len(content) > _MAX_FILE_BYTES:
        raise OSError(f"longer than {_MAX_FILE_BYTES} bytes")
    return content


def _collect(content: bytes, where: str, found: list[Certificate], unread: list[str]) -> None:
    """Add the certificates in a file's content to `found`, and all other content to `unread`."""
    count = 0
    for count, one in enumerate(_encoded(content), start=1):
        try:
            found.append(read(ssl.PEM_cert_to_DER_cert(one) if isinstance(one, str) else one))
        except ValueError as error:
            unread.append(f"{where}: certificate {count}: {error}")
    if not count:
        unread.append(f"{where}: it holds no certificate in PEM or DER")


def _encoded(content: bytes) -> Iterator[str | bytes]:
    """The certificates in a file's content: each as PEM, or the one as DER."""
    if content.startswith(_SEQUENCE):
        yield content
        return
    # One that is cut short ends where the next begins: no text is looked through twice.
    for one in _BEGIN.split(content)[1:]:
        body, *rest = _END.split(one, maxsplit=1)
        footer = ssl.PEM_FOOTER if rest else "(no end)"
        yield f"{ssl.PEM_HEADER}\n{body.decode('ascii', 'replace').strip()}\n{footer}"


def _sorted(found: Sequence[Certificate], unread: Sequence[str], *, where: str) -> Authorities:
    if not found:
        raise _none("not certificates in PEM or DER", where, unread)
    roots, intermediates = authorities(found)
    if not roots:
        raise RootsFileError(
            "no root among them",
            where=where,
            why="a root is signed by its own key; " + ", ".join(one.subject for one in found),
            remedy="add the root that signed them",
        )
    return Authorities(roots=roots, intermediates=intermediates, unread=tuple(unread))


def _none(what: str, where: str, unread: Sequence[str]) -> RootsFileError:
    """The error of a place that holds no certificate at all, with the first of what was looked at."""
    more = f"; and {len(unread) - _MAX_NAMED} more" if len(unread) > _MAX_NAMED else ""
    named = [one.removeprefix(f"{where}: ") for one in unread[:_MAX_NAMED]]
    return RootsFileError(what, where=where, why="; ".join(named) + more)


def of_machine(host: Machine, folder: str) -> Authorities:
    """The local authority that certifies software TPMs on `host`, read through the channel to it.

    Raises:
        CommandError: It has none.
        RootsFileError: What is there is not a certificate.
        UnreachableError: The machine does not answer.
    """
    text = host.run(f"cat {folder}/{_ROOT} {folder}/{_ISSUER}")
    where = f"{host.role}:{folder}"
    found = parse(text.encode(), where=where)
    if found.unread:
        raise _none("not all of the machine's authority can be read", where, found.unread)
    return replace(found, from_machine=True)
