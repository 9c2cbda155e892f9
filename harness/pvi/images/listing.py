"""What is in a master image: its Debian packages, and each of its files with its SHA-256.

The file system is read with debugfs(8) and never mounted: a mount would need root's rights and would let the
kernel interpret the image. No name that the image has becomes a name on this machine: a name of a forged file
system may lead out of a folder, or be a symbolic link as well as a file, and debugfs's own ``rdump`` follows
both.
"""

from __future__ import annotations

import re
import stat
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from harness import sums
from harness.errors import InputFileError
from harness.legible import legible
from harness.pvi.images import debugfs, partitions

MOST_FILES = 400_000
"""Of one image, with its folders."""
_LONGEST, _MOST_BYTES = 4096, 40 * 2**20
"""Of a path, as the kernel has it (PATH_MAX), and of all paths together."""
_STATUS = b"/var/lib/dpkg/status"
_MOST_STATUS_BYTES = 16 * 2**20
_MAGIC_AT, _MAGIC = 1024 + 0x38, b"\x53\xef"
"""Where an ext2, ext3 or ext4 file system says that it is one."""
_ROOT = 2
"""The number of the root folder's inode."""
_ASKED = re.compile(rb"debugfs: ls -p <(\d+)>")
_ENTRY = re.compile(rb"/(\d+)/([0-7]{6})/-?\d+/-?\d+/([^/]+)/(\d*)/")
"""A line of ``ls -p``: inode, mode, user, group, name, and the length of what is no folder."""

_UNUSED = b"/0/"
"""How the line of an entry without an inode begins, which the kernel passes over."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """What is in an image.

    Attributes:
        packages: Name and architecture, such as ``bash:amd64``, to version; None where no dpkg keeps a list.
        files: Path as IMA writes it to ``sha256:`` and the digest; None where they cannot be read.
        why: Why one of the two is None; empty otherwise.
    """

    packages: dict[str, str] | None
    files: dict[str, str] | None
    why: str = ""


@dataclass(frozen=True, slots=True)
class _File:
    """A regular file: its inode's number and its length."""

    inode: int
    length: int


def listed(raw: Path, scratch: Path) -> Listing:
    """What is in the image `raw`, if it has one ext file system: as a whole, or in a partition.

    Args:
        raw: The image.
        scratch: A folder with room for all files of the image.

    Raises:
        PrerequisiteError: There is no debugfs.
        InputFileError: The file system is damaged or forged, or has more than :data:`MOST_FILES` files.
        StorageError: The files do not fit into `scratch`.
    """
    places = [at for at in partitions.offsets(raw) if _is_ext(raw, at)]
    if len(places) != 1:
        why = f"the image has {len(places) or 'no'} ext file system{'s' if len(places) > 1 else ''}"
        return Listing(packages=None, files=None, why=why)
    with tempfile.TemporaryDirectory(prefix=".image-", dir=scratch) as folder:
        found = _files(raw, places[0], Path(folder))
        if sum({one.inode: one.length for one in found.values()}.values()) > raw.stat().st_size:
            return Listing(packages=None, files=None, why="its files say more bytes than the image has")
        return _read(raw, places[0], found, Path(folder))


def _is_ext(raw: Path, at: int) -> bool:
    with raw.open("rb") as file:
        file.seek(at + _MAGIC_AT)
        return file.read(len(_MAGIC)) == _MAGIC


def _files(raw: Path, at: int, scratch: Path) -> Mapping[bytes, _File]:
    """Each regular file by its path; one depth of folders after the other."""
    found: dict[bytes, _File] = {}
    folders, seen, length = {_ROOT: b""}, {_ROOT}, 0
    paths: set[bytes] = set()
    while folders:
        below: dict[int, bytes] = {}
        asked = [f"ls -p <{inode}>" for inode in folders]
        with closing(debugfs.lines(raw, at, asked, scratch)) as printed:
            for within, entry in _entries(raw, printed):
                inode, mode, name = int(entry[1]), int(entry[2], 8), entry[3]
                if name in {b".", b".."}:
                    continue
                path = folders[within] + b"/" + name
                length += len(path)
                if path in paths or (stat.S_ISDIR(mode) and inode in seen):
                    raise _forged(raw, f"{legible(path.decode(errors='replace'))} is in it twice")
                if len(paths) == MOST_FILES or length > _MOST_BYTES or len(path) > _LONGEST:
                    raise _forged(raw, f"it has more than {MOST_FILES} files, or their paths are too long")
                paths.add(path)
                if stat.S_ISDIR(mode):
                    seen.add(inode)
                    below[inode] = path
                elif stat.S_ISREG(mode):
                    found[path] = _File(inode, int(entry[4] or b"0"))
        folders = below
    return found


def _entries(raw: Path, lines: Iterable[bytes]) -> Iterator[tuple[int, re.Match[bytes]]]:
    """The entries of folders, each with the number of its folder's inode."""
    within: int | None = None
    for line in lines:
        if asked := _ASKED.fullmatch(line):
            within = int(asked[1])
        elif entry := _ENTRY.fullmatch(line):
            if within is None:
                raise _forged(raw, "an entry is in no folder")
            yield within, entry
        elif line and not line.startswith(_UNUSED):
            raise _forged(raw, legible(line[:300].decode(errors="replace")))


def _read(raw: Path, at: int, found: Mapping[bytes, _File], scratch: Path) -> Listing:
    """The digests of the files, each read into a file of `scratch` that its inode names."""
    inodes = sorted({one.inode for one in found.values()})
    debugfs.dump(raw, at, inodes, scratch)
    digests = {inode: f"sha256:{sums.digest(scratch / str(inode))}" for inode in inodes}
    files = {_as_ima(path): digests[one.inode] for path, one in found.items()}
    status = found.get(_STATUS)
    packages = None if status is None else _packages(scratch / str(status.inode))
    why = "" if packages is not None else f"the image has no {_STATUS.decode()}"
    return Listing(packages=packages, files=files, why=why)


def _as_ima(path: bytes) -> str:
    """The path as it is read from an IMA list."""
    return path.decode("utf-8", "backslashreplace")


def _packages(status: Path) -> dict[str, str]:
    """The installed packages by dpkg's status file (deb-control(5))."""
    text = sums.content(status, limit=_MOST_STATUS_BYTES).decode("utf-8", "replace")
    found: dict[str, str] = {}
    fields: dict[str, str] = {}
    for match in re.finditer(r"[^\n]*\n|[^\n]+$", text + "\n"):
        key, _, value = match[0].partition(":")
        if key in {"Package", "Status", "Architecture", "Version"}:
            fields[key] = value.strip()
        elif match[0] == "\n":
            if fields.get("Status", "").endswith(" installed") and "Package" in fields:
                name = f"{fields['Package']}:{fields.get('Architecture', 'all')}"
                found[name] = fields.get("Version", "")
            fields = {}
    return dict(sorted(found.items()))


def _forged(raw: Path, why: str) -> InputFileError:
    return InputFileError(
        "the image's file system cannot be listed",
        where=legible(str(raw)),
        why=why,
        remedy="see what `e2fsck -fn` says of it; import an image that it calls clean",
    )
