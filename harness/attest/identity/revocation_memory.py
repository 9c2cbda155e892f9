"""The newest revocation list of each authority that was used: an older one cannot take its place.

Lists come over networks and from mirrors. A list that is older than one that was used, or that is gone, would
trust again what its authority has revoked. Only lists of configured authorities count: the signature of
another list cannot be checked here, and a forged number would keep all later lists out.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from harness import disk, files
from harness.attest.identity.authorities import Authorities, RootsFileError
from harness.attest.identity.certificate import Certificate
from harness.attest.identity.revocation import is_by, is_whole
from harness.errors import RecordError
from harness.json_types import Json


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """One list.

    Attributes:
        number: Its CRL number (RFC 5280, 5.2.3), which rises with each list; None where it has none.
        issued_s: When it was issued, in s of Unix time.
    """

    number: int | None
    issued_s: int

    def is_older_than(self, other: Seen) -> bool:
        """Whether `other` is a later list of the same authority; by their numbers, where both have one."""
        if self.number is not None and other.number is not None:
            return self.number < other.number
        return self.issued_s < other.issued_s

    def __str__(self) -> str:
        issued = datetime.fromtimestamp(self.issued_s, tz=UTC).isoformat()
        return f"of {issued}" if self.number is None else f"number {self.number} of {issued}"


def require_current(found: Authorities, memory: Path, *, where: str) -> None:
    """Refuse lists that went back behind those in the file `memory`, and remember the newer ones there.

    Args:
        found: The configured authorities and their lists.
        memory: What was seen; made when there is a list.
        where: Where the authorities were read from, for the error.

    Raises:
        RootsFileError: An authority's newest list is older than one that was used, or it has none any more.
        RecordError: `memory` is damaged.
        StorageError: It cannot be written.
    """
    if not found.revocations and not memory.exists():
        return
    with _alone(memory):
        before = _read(memory)
        after = dict(before)
        for authority in (*found.roots, *found.intermediates):
            identity = _identity(authority)
            newest, known = _newest(found.revocations, authority), before.get(identity)
            if known is not None and (newest is None or newest.is_older_than(known)):
                raise _went_back(authority, newest, known, memory, where)
            if newest is not None:
                after[identity] = newest
        if after != before:
            said: dict[str, Json] = {
                identity: {"number": one.number, "issued_s": one.issued_s} for identity, one in after.items()
            }
            files.write_json(memory, said)


def _went_back(
    authority: Certificate, newest: Seen | None, known: Seen, memory: Path, where: str
) -> RootsFileError:
    return RootsFileError(
        "a revocation list went back" if newest is not None else "a revocation list is gone",
        where=where,
        why=f"{authority.subject}: "
        + (f"the newest list is {newest}, " if newest is not None else "there is no list, ")
        + f"and {known} was used before",
        remedy="obtain the authority's current list; if it has really begun again, remove the entry "
        f"{_identity(authority)} from {memory}",
    )


def _newest(lists: Sequence[x509.CertificateRevocationList], authority: Certificate) -> Seen | None:
    newest: Seen | None = None
    for one in lists:
        seen = Seen(number=_number(one), issued_s=int(one.last_update_utc.timestamp()))
        if is_by(one, authority) and is_whole(one) and (newest is None or newest.is_older_than(seen)):
            newest = seen
    return newest


def _number(one: x509.CertificateRevocationList) -> int | None:
    try:
        return one.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number
    except (x509.ExtensionNotFound, ValueError):
        return None


def _identity(authority: Certificate) -> str:
    """The authority by its key: it keeps its numbers when its certificate is renewed."""
    key = authority.fields.public_key()
    return sha256(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).hexdigest()


def _read(memory: Path) -> Mapping[str, Seen]:
    found = dict[str, Seen]()
    for identity, said in (files.read_json(memory) if memory.exists() else {}).items():
        number = said.get("number") if isinstance(said, dict) else None
        issued_s = said.get("issued_s") if isinstance(said, dict) else None
        if not isinstance(issued_s, int) or not isinstance(number, int | None):
            raise RecordError("no revocation list", where=f"{memory}: {identity}", remedy=files.RESTORE)
        found[identity] = Seen(number=number, issued_s=issued_s)
    return found


@contextmanager
def _alone(memory: Path) -> Iterator[None]:
    """No other process looks and writes meanwhile."""
    try:
        memory.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder = os.open(memory.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise disk.failure(
            "the revocation lists that were used cannot be looked up", memory, error
        ) from error
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)
