"""Anchors: heads of an audit log, signed with the verifier's key and kept outside its database.

Whoever can write the database can write a whole new log. They cannot sign its heads, and a log without a head
that was signed once is another log. Each line of the file is one anchor in canonical JSON. The file is only
appended to; keep it where the database's administrator cannot write.
"""

from __future__ import annotations

import base64
import binascii
import json
import os
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from harness import disk
from harness.attest.tokens import signing_key
from harness.errors import PrerequisiteError, SodbenchError
from harness.json_types import Json
from harness.registry.audit.chain import AuditError, AuditHead, canonical, wrong

FORMAT = "sodbench-anchor-1"
MAX_BYTES = 64 * 2**20
"""Of a file of anchors, some 200,000 of them."""
EVERY = 100
"""Transactions between two anchors of a registry that stays open."""
_ALGORITHM = ec.ECDSA(hashes.SHA256())


@dataclass(frozen=True, slots=True, kw_only=True)
class Anchors:
    """The file of a user's anchors, and the key that signs them.

    Attributes:
        file: Where they are appended.
        key: Where the verifier's key lies, which is made when it is first needed.
        wall_ns: The wall clock, for the record; nothing is decided by it.
    """

    file: Path
    key: Path
    wall_ns: Callable[[], int] = field(repr=False)

    def add(self, place: str, head: AuditHead) -> None:
        """Sign the head of the registry at `place` and append it; when this returns it is on the disk.

        Raises:
            PrerequisiteError: The key cannot be used, or others may read it.
            StorageError: The file cannot be written.
        """
        key = signing_key.signing_key(self.key)
        content = _content(place, head, self.wall_ns())
        signature = key.sign(canonical(content).encode(), _ALGORITHM)
        line = canonical({**content, "signature": base64.b64encode(signature).decode()}) + "\n"
        try:
            self.file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW
            descriptor = os.open(self.file, flags, 0o600)
            with os.fdopen(descriptor, "wb") as opened:
                opened.write(line.encode())
                opened.flush()
                os.fsync(opened.fileno())
        except OSError as error:
            raise disk.failure(
                "the audit log's head cannot be anchored",
                self.file,
                error,
                then="the registry has everything",
            ) from error

    def of(self, place: str) -> tuple[AuditHead, ...]:
        """The heads that were anchored of the registry at `place`, each once, oldest first.

        Raises:
            AuditError: One is not signed by the verifier's key, or is no anchor.
            PrerequisiteError: The file or the key's public part cannot be read.
        """
        try:
            if not self.file.exists():
                return ()
            if not self.file.is_file() or self.file.stat().st_size > MAX_BYTES:
                raise OSError(f"not a regular file of at most {MAX_BYTES} bytes")
            lines = self.file.read_bytes().split(b"\n")
            public = load_pem_public_key(signing_key.public_file(self.key).read_bytes())
        except (OSError, ValueError) as error:
            raise PrerequisiteError(
                "the audit log's anchors cannot be read", where=str(self.file), why=str(error)
            ) from error
        if not isinstance(public, ec.EllipticCurvePublicKey):
            raise PrerequisiteError("the verifier's key is not one on P-256", where=str(self.key))
        found = dict[AuditHead, None]()
        # What follows the last end of a line was cut off while it was written.
        for number, line in enumerate(lines[:-1], start=1):
            told, head = _read(line, public, f"{self.file}:{number}")
            if told == place:
                found[head] = None
        return tuple(found)


class Anchoring:
    """Anchors of one open registry: every so many transactions, and at the end.

    A head that cannot be anchored stops no transaction, which is stored by then; it is told at the end.
    """

    def __init__(self, anchors: Anchors, place: str, head: Callable[[], AuditHead]) -> None:
        self._anchors = anchors
        self._place = place
        self._head = head
        self._lock = threading.Lock()
        self._since = 0
        self._failed: SodbenchError | None = None

    def written(self) -> None:
        """A transaction was stored."""
        with self._lock:
            self._since += 1
            if self._since >= EVERY:
                self._anchor()

    def end(self, *, failing: bool) -> None:
        """Anchor what was written since; where another error is on its way, that one is told.

        Raises:
            SodbenchError: The last head could not be anchored.
        """
        with self._lock:
            if self._since:
                self._anchor()
        if self._failed is not None and not failing:
            raise self._failed

    def _anchor(self) -> None:
        try:
            self._anchors.add(self._place, self._head())
        except SodbenchError as error:
            self._failed = error
        else:
            self._since, self._failed = 0, None


def _content(place: str, head: AuditHead, at_realtime_ns: int) -> dict[str, Json]:
    return {
        "format": FORMAT,
        "registry": place,
        "number": head.number,
        "digest": head.digest,
        "at_realtime_ns": at_realtime_ns,
    }


def _read(line: bytes, public: ec.EllipticCurvePublicKey, where: str) -> tuple[str, AuditHead]:
    try:
        said = json.loads(line.decode("ascii"))
        if not isinstance(said, Mapping):
            raise TypeError("no object")
        head = AuditHead(number=int(said["number"]), digest=str(said["digest"]))
        content = _content(str(said["registry"]), head, int(said["at_realtime_ns"]))
        signature = base64.b64decode(said["signature"], validate=True)
        public.verify(signature, canonical(content).encode(), _ALGORITHM)
    except (ValueError, TypeError, KeyError, RecursionError, binascii.Error) as error:
        raise _unsound(where, f"it is no anchor: {error}") from error
    except InvalidSignature as error:
        raise _unsound(where, "it is not signed by the verifier's key") from error
    return str(said["registry"]), head


def _unsound(where: str, why: str) -> AuditError:
    error = wrong(1, "an anchor is not as it was written", why)
    error.where = where
    return error
