"""Files and their SHA-256, written and read in the format of sha256sum(1).

Names are the file system's bytes, held as Python holds them (PEP 383), so a name that is not UTF-8 is listed
like any other. Nothing here follows a symbolic link or opens what is not a regular file: a FIFO would wait
for ever, and a link leads out of the folder.
"""

from __future__ import annotations

import hashlib
import os
import re
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from io import BufferedReader
from pathlib import Path, PurePosixPath

from harness import disk
from harness.errors import RecordError
from harness.legible import legible

MAX_BYTES = 64 * 1024 * 1024
"""A longer list of sums, or other text of a run, is refused: at 100 bytes a line it has 600,000 lines."""

_PARTIAL = re.compile(r"\..+\.[0-9a-f]{8}\.partial", re.DOTALL)
_LINE = re.compile(rb"(\\?)([0-9a-f]{64})  (.+)", re.DOTALL)
_ESCAPES = {b"\\": b"\\\\", b"\n": b"\\n", b"\r": b"\\r"}
_PLAIN = {escaped: plain for plain, escaped in _ESCAPES.items()}


def text(sums: Mapping[str, str]) -> bytes:
    """The list of `sums` (name to hexadecimal digest) as `sha256sum` prints it, in their order."""
    return b"".join(_line(name, digest) for name, digest in sums.items())


def _line(name: str, digest: str) -> bytes:
    raw = os.fsencode(name)
    escaped = re.sub(rb"[\\\n\r]", lambda found: _ESCAPES[found[0]], raw)
    return (b"\\" if escaped != raw else b"") + digest.encode() + b"  " + escaped + b"\n"


def read(path: Path) -> dict[str, str]:
    """The sums listed in `path`, name to hexadecimal digest.

    Raises:
        RecordError: The file cannot be read, is far too long, or has a line that is not of this format, that
            leads out of the folder, or that names a file again.
    """
    found: dict[str, str] = {}
    raw = content(path, limit=MAX_BYTES)
    for number, line in enumerate(raw.removesuffix(b"\n").split(b"\n") if raw else (), start=1):
        name, digest = _parsed(line) or ("", "")
        parts = PurePosixPath(name).parts
        if not parts or ".." in parts or parts[0] == "/" or str(PurePosixPath(name)) != name or name in found:
            raise RecordError(
                "not a line of sha256sum",
                where=f"{path}:{number}",
                why=legible(os.fsdecode(line[:200])),
                remedy="restore the file from a copy of the run",
            )
        found[name] = digest
    return found


def _parsed(line: bytes) -> tuple[str, str] | None:
    match = _LINE.fullmatch(line)
    if match is None:
        return None
    escaped, digest, raw = match.groups()
    if escaped:
        raw = re.sub(rb"\\[\\nr]", lambda found: _PLAIN[found[0]], raw)
    return (os.fsdecode(raw), digest.decode()) if b"\0" not in raw else None


def walk(root: Path, *, half_written: bool = False) -> Iterator[tuple[str, bool]]:
    """Everything below `root` that is not a folder: its name, and whether it is a regular file.

    What a killed process left half-written is left out unless it is asked for: anyone can name a file so.

    Raises:
        RecordError: A folder cannot be read.
    """

    def stop(error: OSError) -> None:
        raise unreadable(Path(os.fsdecode(error.filename or root)), error) from error

    for folder, folders, files in os.walk(root, onerror=stop):
        links = [name for name in folders if Path(folder, name).is_symlink()]
        for name in (*files, *links):
            path = Path(folder, name)
            if half_written or not _PARTIAL.fullmatch(name):
                yield path.relative_to(root).as_posix(), stat.S_ISREG(path.lstat().st_mode)


def digest(path: Path) -> str:
    """The SHA-256 of the regular file at `path`, in hexadecimal.

    Raises:
        RecordError: It cannot be read, or is not a regular file.
    """
    try:
        with _opened(path) as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise unreadable(path, error) from error


def content(path: Path, *, limit: int | None = None) -> bytes:
    """The bytes of the regular file at `path`.

    Raises:
        RecordError: It cannot be read, is not a regular file, or has more than `limit` bytes.
    """
    try:
        with _opened(path) as file:
            # Size first: no memory is taken for what is refused. The limit again: the file may still grow.
            long = limit is not None and os.fstat(file.fileno()).st_size > limit
            raw = b"" if long else file.read(-1 if limit is None else limit + 1)
    except OSError as error:
        raise unreadable(path, error) from error
    if limit is not None and (long or len(raw) > limit):
        raise RecordError("far too long", where=legible(str(path)), why=f"more than {limit} bytes")
    return raw


@contextmanager
def opened(path: Path) -> Iterator[BufferedReader]:
    """The regular file at `path`, to be read a part at a time.

    Raises:
        RecordError: It cannot be opened, or is not a regular file.
    """
    try:
        file = _opened(path)
    except OSError as error:
        raise unreadable(path, error) from error
    with file:
        yield file


def _opened(path: Path) -> BufferedReader:
    file = os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "rb")
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise OSError(0, "not a regular file")
    return file


def unreadable(path: Path, error: OSError) -> RecordError:
    """The error for a file of a run that cannot be read."""
    why = error.strerror or str(error)
    return RecordError("cannot be read", where=legible(str(path)), why=why, remedy=disk.remedy(error))
