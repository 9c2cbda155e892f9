"""A folder as one file and back: a ZIP archive with its files stored as they are, ordered by name.

The same files make the same bytes: no time, no owner, nothing compressed. A bundle in which a file is
compressed, a link, named twice or led out of the folder is refused before anything is written. What was read
is packed once more, and must give the bundle again, byte for byte: nothing hides between its parts.
"""

from __future__ import annotations

import filecmp
import os
import secrets
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from io import BufferedReader
from pathlib import Path, PurePosixPath

from harness import disk, sums
from harness.errors import AlteredError, RecordError, UsageError
from harness.files import sync_folder
from harness.legible import legible

MAX_BYTES = 100_000_000
"""What a bundle may take."""
MAX_FILES = 20_000
_LONGEST_NAME = 300
_BEGAN = (1980, 1, 1, 0, 0, 0)
"""The first time that the format can state (APPNOTE 6.3, section 4.4.6)."""
_MODE = stat.S_IFREG | 0o644
_UNIX = 3
_PIECE_BYTES = 2**20
_END = struct.Struct("<4s4H2IH")
"""How an archive without a comment ends: files, and size and place of their list (section 4.3.16 there)."""
_END_MARK = b"PK\x05\x06"
_LISTED_BYTES = 46 + _LONGEST_NAME
"""What the list takes for a file at most (section 4.3.12 there)."""
_NOT_WHAT_WAS_PACKED = "the bundle is not what was packed"
_AGAIN = "get the file again from whoever published it"


def pack(folder: Path, file: Path) -> int:
    """Pack every file below `folder` into `file`, which must not be there yet; the bytes it takes.

    Raises:
        RecordError: Something in the folder is no regular file, or the bundle would be larger than
            :data:`MAX_BYTES`.
        StorageError: `file` cannot be written.
        UsageError: `file` exists.
    """
    if os.path.lexists(file):
        raise UsageError("the bundle is there already", where=legible(str(file)), remedy="choose another")
    partial = file.with_name(f".{file.name}.{secrets.token_hex(4)}.partial")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        size = _packed(folder, partial)
        partial.replace(file)
        sync_folder(file.parent)
    except OSError as error:
        raise disk.failure("cannot write", file, error) from error
    finally:
        partial.unlink(missing_ok=True)
    return size


def _packed(folder: Path, file: Path) -> int:
    total = 0
    with zipfile.ZipFile(file, "x", zipfile.ZIP_STORED) as made:
        for name, regular in sorted(sums.walk(folder)):
            if not regular or not _plain(name):
                raise RecordError("not a file that a bundle can hold", where=legible(str(folder / name)))
            data = sums.content(folder / name, limit=MAX_BYTES)
            total += len(data)
            if total > MAX_BYTES:
                raise _too_large(file, f"its files take more than {MAX_BYTES} bytes")
            made.writestr(_member(name), data)
    size = file.stat().st_size
    if size > MAX_BYTES:
        raise _too_large(file, f"it takes {size} bytes, and {MAX_BYTES} are allowed")
    return size


def _member(name: str) -> zipfile.ZipInfo:
    member = zipfile.ZipInfo(name, _BEGAN)
    member.create_system, member.external_attr = _UNIX, _MODE << 16
    return member


def _too_large(file: Path, why: str) -> RecordError:
    return RecordError("too large for a bundle", where=legible(str(file)), why=why)


def unpack(file: Path, out: Path) -> None:
    """Write what `file` holds into the folder `out`, which must not be there yet.

    Raises:
        AlteredError: A file of it is damaged, or the bundle holds more than its files.
        RecordError: It is no bundle: no ZIP archive, too large, or with what :func:`pack` never writes.
        StorageError: `out` cannot be written.
    """
    with sums.opened(file) as opened:
        size = os.fstat(opened.fileno()).st_size
        if size > MAX_BYTES:
            raise _too_large(file, f"it takes {size} bytes, and {MAX_BYTES} are allowed")
        _require_short_list(opened, size, file)
        try:
            archive = zipfile.ZipFile(opened)
        except (zipfile.BadZipFile, ValueError, NotImplementedError, EOFError) as error:
            raise _no_bundle(file, str(error)) from error
        members = archive.infolist()
        for problem in _problems(members, size):
            raise _no_bundle(file, problem)
        try:
            _write(archive, members, file, out)
        except OSError as error:
            raise disk.failure("cannot write", out, error) from error
    _require_same(file, out)


def _require_short_list(opened: BufferedReader, size: int, file: Path) -> None:
    """Refuse a list of files whose length could fill the memory, before it is read."""
    opened.seek(max(0, size - _END.size))
    end = opened.read(_END.size)
    if len(end) < _END.size or not end.startswith(_END_MARK):
        raise _no_bundle(file, "it does not end as a ZIP archive without a comment does")
    _, _, _, _, files, listed_bytes, _, _ = _END.unpack(end)
    if files > MAX_FILES or listed_bytes > MAX_FILES * _LISTED_BYTES:
        raise _no_bundle(file, f"it has {files} files, and {MAX_FILES} are allowed")


def _problems(members: Sequence[zipfile.ZipInfo], size: int) -> Iterator[str]:
    """What :func:`pack` would never have written; the first is enough."""
    seen: set[str] = set()
    folders: set[str] = set()
    for one in members:
        name = legible(one.filename[:_LONGEST_NAME])
        if not _plain(one.filename):
            yield f"a name that leads elsewhere: {name}"
        if stat.S_IFMT(one.external_attr >> 16) != stat.S_IFREG:
            yield f"no regular file, such as a link: {name}"
        if one.compress_type != zipfile.ZIP_STORED or one.compress_size != one.file_size:
            yield f"compressed, so that it may become any size: {name}"
        if one.filename in seen:
            yield f"named twice: {name}"
        seen.add(one.filename)
        folders.update(map(str, PurePosixPath(one.filename).parents))
    for name in sorted(seen & folders):
        yield f"a file and a folder: {legible(name[:_LONGEST_NAME])}"
    if sum(one.file_size for one in members) > size:
        yield "its files are larger than the bundle, so that they overlap"


def _plain(name: str) -> bool:
    """Whether a name is a path below the folder, of ASCII, written in the one way there is."""
    parts = PurePosixPath(name).parts
    odd = not (name.isascii() and name.isprintable()) or "\\" in name
    leads = not parts or ".." in parts or parts[0] == "/"
    return len(name) <= _LONGEST_NAME and not odd and not leads and str(PurePosixPath(name)) == name


def _write(archive: zipfile.ZipFile, members: Sequence[zipfile.ZipInfo], file: Path, out: Path) -> None:
    out.mkdir(parents=True)
    for one in members:
        place = out / one.filename
        place.parent.mkdir(parents=True, exist_ok=True)
        with place.open("xb") as made:
            for some in _pieces(archive, one, file):
                made.write(some)


def _pieces(archive: zipfile.ZipFile, one: zipfile.ZipInfo, file: Path) -> Iterator[bytes]:
    """What a file holds, some at a time; that it cannot be read means that it is damaged."""
    try:
        with archive.open(one) as source:
            while some := source.read(_PIECE_BYTES):
                yield some
    except (OSError, zipfile.BadZipFile, zlib.error, ValueError, EOFError, RuntimeError) as error:
        raise AlteredError(
            _NOT_WHAT_WAS_PACKED,
            where=legible(str(file)),
            why=legible(f"{one.filename} is damaged: {error}"),
            remedy=_AGAIN,
        ) from error


def _require_same(file: Path, out: Path) -> None:
    again = out.with_name(f".{out.name}.{secrets.token_hex(4)}.partial")
    try:
        _packed(out, again)
        if not filecmp.cmp(file, again, shallow=False):
            raise AlteredError(
                _NOT_WHAT_WAS_PACKED,
                where=legible(str(file)),
                why="packed again, its files give other bytes: a heading was changed, or something hides",
                remedy=_AGAIN,
            )
    except OSError as error:
        raise disk.failure("cannot write", again, error) from error
    finally:
        again.unlink(missing_ok=True)


def _no_bundle(file: Path, why: str) -> RecordError:
    return RecordError(
        "no bundle", where=legible(str(file)), why=why, remedy="name a file that `sodbench artifact` wrote"
    )
