"""Anchors: heads of an audit log, signed with the verifier's key and kept outside its database.

A writer of the database can write a whole new log, but cannot sign its heads, and a log without a head
that was signed once is another log. Each line of the file is one anchor in canonical JSON. The file is only
appended to; keep it where the database's administrator cannot write. A log daemon gets a copy of each line
where one is named: a file that was cut lacks what that daemon received.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
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
from harness.errors import PrerequisiteError, SodbenchError, StorageError
from harness.json_types import Json
from harness.legible import legible
from harness.registry.audit.chain import AuditError, AuditHead, canonical, wrong
from harness.registry.audit.syslog import Syslog

FORMAT = "sodbench-anchor-1"
MAX_BYTES = 64 * 2**20
"""Of a file of anchors, some 200,000 of them."""
EVERY = 100
"""Transactions between two anchors of a registry that stays open."""
_ALGORITHM = ec.ECDSA(hashes.SHA256())
_BEGINNING = b'{"at_realtime_ns":'
"""Of an anchor's line: what stands before it in a log is the daemon's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Anchors:
    """The file of a user's anchors, and the key that signs them.

    Attributes:
        file: Where they are appended.
        key: Where the verifier's key lies, which is made when it is first needed.
        wall_ns: The wall clock, for the record; nothing is decided by it.
        syslog: A log daemon that gets a copy of each.
    """

    file: Path
    key: Path
    wall_ns: Callable[[], int] = field(repr=False)
    syslog: Syslog | None = None

    def add(self, place: str, head: AuditHead) -> None:
        """Sign the head of the registry at `place` and append it; when this returns it is on the disk.

        Where one of file and daemon fails, the other one has the anchor all the same.

        Raises:
            PrerequisiteError: The key cannot be used, or others may read it.
            StorageError: The file cannot be written, or the log daemon does not take it.
        """
        key = signing_key.signing_key(self.key)
        content = _content(place, head, self.wall_ns())
        signature = key.sign(canonical(content).encode(), _ALGORITHM)
        line = canonical({**content, "signature": base64.b64encode(signature).decode()})
        try:
            self._append(line)
        except StorageError:
            with contextlib.suppress(StorageError):  # the file's error is the one to tell
                self._copy(line)
            raise
        self._copy(line)

    def of(self, place: str) -> tuple[AuditHead, ...]:
        """The heads that were anchored of the registry at `place`, each once, oldest first.

        Raises:
            AuditError: One is not signed by the verifier's key, or is no anchor.
            PrerequisiteError: The file or the key's public part cannot be read.
        """
        try:
            if not self.file.exists():
                return ()
        except OSError as error:
            raise _unreadable(self.file, error) from error
        lines, public, found = _lines(self.file), self._public(), dict[AuditHead, None]()
        # What follows the last end of a line was cut off while it was written.
        for number, line in enumerate(lines[:-1], start=1):
            told, head = _read(line, public, f"{self.file}:{number}")
            if told == place:
                found[head] = None
        return tuple(found)

    def received(self, log: Path, place: str) -> tuple[AuditHead, ...]:
        """The heads of the registry at `place` that a daemon's `log` holds, each once, in its order.

        Everybody may write to a log, and other verifiers do: a line without an anchor that this verifier's
        key signed is passed over.

        Raises:
            PrerequisiteError: The log or the key's public part cannot be read.
        """
        public, found = self._public(), dict[AuditHead, None]()
        for line in _lines(log):
            begins = line.find(_BEGINNING)
            if begins < 0:
                continue
            try:
                told, head = _read(line[begins:], public, str(log))
            except AuditError:
                continue
            if told == place:
                found[head] = None
        return tuple(found)

    def require_received(self, log: Path, place: str) -> tuple[AuditHead, ...]:
        """The heads that the daemon's `log` holds, each of which the file must hold as well.

        Raises:
            AuditError: One is missing in the file.
            PrerequisiteError: As of :meth:`received`.
        """
        received, kept = self.received(log, place), set(self.of(place))
        missing = [head for head in received if head not in kept]
        if missing:
            error = wrong(
                missing[0].number,
                "an anchor is missing",
                f"{legible(str(log))} holds {len(missing)} that the file lacks, first {missing[0]}",
            )
            error.where = str(self.file)
            error.remedy = (
                "if the file could not be written then (a verb ended with 11), append the lines of the log; "
                "otherwise the file was cut: keep file, log and registry as they are"
            )
            raise error
        return received

    def _copy(self, line: str) -> None:
        if self.syslog is not None:
            self.syslog.send(line)

    def _append(self, line: str) -> None:
        try:
            self.file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW
            descriptor = os.open(self.file, flags, 0o600)
            with os.fdopen(descriptor, "wb") as opened:
                opened.write(f"{line}\n".encode())
                opened.flush()
                os.fsync(opened.fileno())
        except OSError as error:
            raise disk.failure(
                "the audit log's head cannot be anchored",
                self.file,
                error,
                then="the registry has everything",
            ) from error

    def _public(self) -> ec.EllipticCurvePublicKey:
        place = signing_key.public_file(self.key)
        try:
            public = load_pem_public_key(place.read_bytes())
        except (OSError, ValueError) as error:
            raise _unreadable(place, error) from error
        if not isinstance(public, ec.EllipticCurvePublicKey):
            raise PrerequisiteError("the verifier's key is not one on P-256", where=str(self.key))
        return public


class Anchoring:
    """Anchors of one open registry: every so many transactions, and at the end.

    A head that cannot be anchored stops no transaction, which is stored by then. It is tried again after as
    many transactions, so that a log host that is silent seldom delays one, and told at the end.
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
            if self._since or self._failed is not None:
                self._anchor()
        if self._failed is not None and not failing:
            raise self._failed

    def _anchor(self) -> None:
        self._since, self._failed = 0, None
        try:
            self._anchors.add(self._place, self._head())
        except SodbenchError as error:
            self._failed = error


def _lines(file: Path) -> list[bytes]:
    try:
        if not file.is_file() or file.stat().st_size > MAX_BYTES:
            raise OSError(f"not a regular file of at most {MAX_BYTES} bytes")
        return file.read_bytes().split(b"\n")
    except OSError as error:
        raise _unreadable(file, error) from error


def _unreadable(file: Path, error: Exception) -> PrerequisiteError:
    return PrerequisiteError(
        "the audit log's anchors cannot be read", where=legible(str(file)), why=str(error)
    )


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
