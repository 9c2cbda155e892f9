"""How the shared storage is mounted and exported, judged where it is NFS. Pure.

Sources: proc(5) for ``/proc/mounts``, nfs(5) for the options, exportfs(8) for ``exportfs -v``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

_WANTED = ("nosuid", "nodev")
_ONE_MACHINE = re.compile(r"[^*?/@<>]+")
"""A client of an export that is one machine: no network, no pattern, no netgroup, not the world."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Export:
    """One line of what an NFS server exports: to whom, and with which options."""

    path: str
    client: str
    options: Sequence[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Storage:
    """What a machine has mounted as the shared storage, and what it exports itself.

    Attributes:
        kind: The file system's type; empty where nothing is mounted there.
        source: What is mounted.
        options: Of the mount.
        owner: User id that owns a file which root of a host made; None where there is no such file.
        exports: Of this machine, if it is an NFS server.
    """

    kind: str = ""
    source: str = ""
    options: Sequence[str] = ()
    owner: int | None = None
    exports: Sequence[Export] = field(default=())

    @property
    def is_nfs(self) -> bool:
        """Whether it is mounted from an NFS server."""
        return self.kind in ("nfs", "nfs4")


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One judgement: `fine` may be None for a warning."""

    name: str
    fine: bool | None
    found: str
    why: str
    remedy: str


def command(path: str) -> str:
    """The shell command that a machine answers for :func:`storage_of`; `path` is one word of a shell.

    A server that is gone keeps whoever asks for a file of a hard mount waiting, hence the limit.
    """
    owner = f"timeout -s KILL 5 stat -c %u {path}/.sodbench-storage 2>/dev/null || echo"
    return f"({owner}); cat /proc/mounts; echo; exportfs -v 2>/dev/null"


def storage_of(answer: str, path: str) -> Storage:
    """What a machine said of the storage at `path`.

    Args:
        answer: What :func:`command` prints: the owner's user id or nothing on a line, then ``/proc/mounts``,
            an empty line, and the exports.
        path: Where the storage is mounted.
    """
    first, _, rest = answer.partition("\n")
    mounts, _, exports = rest.partition("\n\n")
    found = [line.split(" ") for line in mounts.splitlines()]
    # Of several mounts at one place the last covers the others.
    here = [words for words in found if len(words) >= 4 and _plain(words[1]) == path.rstrip("/")]
    kind, source, options = (
        (here[-1][2], _plain(here[-1][0]), here[-1][3].split(",")) if here else ("", "", [])
    )
    return Storage(
        kind=kind,
        source=source,
        options=tuple(options),
        owner=int(first) if first.isascii() and first.isdigit() else None,
        exports=tuple(_exports(exports)),
    )


def _plain(word: str) -> str:
    """A word of /proc/mounts, whose blanks and backslashes are written in octal digits."""
    return re.sub(r"\\([0-7]{3})", lambda octal: chr(int(octal[1], 8)), word)


def _exports(text: str) -> Iterator[Export]:
    """Those that ``exportfs -v`` lists: a path, then on the same line or the next ``client(options)``."""
    for path, client, options in re.findall(
        r"^(\S+)[ \t]*\n?[ \t]+(\S+)\((\S*)\)[ \t]*$", text, re.MULTILINE
    ):
        yield Export(path=path, client=client, options=tuple(options.split(",")))


def judged(role: str, storage: Storage, exported: Sequence[Export], provision: str) -> Iterator[Finding]:
    """What is to be said of the storage of a host; nothing where it is no NFS.

    Args:
        role: The host.
        storage: What it said.
        exported: The exports of all machines of the rig.
        provision: The command that provisions the rig.
    """
    if not storage.is_nfs:
        return
    missing = [name for name in _WANTED if name not in storage.options]
    yield Finding(
        name=f"{role}: storage mount",
        fine=None if missing else True,
        found=f"{storage.kind} without {' and '.join(missing)}"
        if missing
        else f"{storage.kind}, {', '.join(_WANTED)}",
        why="a file on the storage could take root's rights or act as a device on the host",
        remedy=f"add {','.join(missing)} to sodbench_storage.options, unmount, {provision}; "
        "or where the mount is made by other means",
    )
    security = next((one for one in storage.options if one.startswith("sec=")), "sec= not named")
    yield Finding(
        name=f"{role}: storage security",
        fine=True if security == "sec=krb5p" else None,
        found=security,
        why="with less than krb5p the network can read guests' disks, and with sec=sys write them",
        remedy="sec=krb5p in mount and export (docs/provisioning.md), or a storage network of its own",
    )
    if storage.owner is not None:
        squashed = storage.owner != 0
        yield Finding(
            name=f"{role}: storage owner",
            fine=not squashed,
            found=f"root's files belong to user {storage.owner}: root_squash"
            if squashed
            else "root's files are root's",
            why="libvirt, as root, gives a guest's disk to QEMU's user",
            remedy="export it with no_root_squash, to the two hosts alone",
        )
    yield from _of_exports(role, storage, exported)


def _of_exports(role: str, storage: Storage, exported: Sequence[Export]) -> Iterator[Finding]:
    """Of the exports that this host mounts, where a machine of the rig is the server."""
    path = storage.source.rpartition(":")[2]
    ours = [one for one in exported if one.path == path]
    if not ours:
        return
    open_to = sorted({one.client for one in ours if not _ONE_MACHINE.fullmatch(one.client)})
    yield Finding(
        name=f"{role}: storage export",
        fine=None if open_to else True,
        found=f"{path} is exported to {', '.join(open_to or sorted({one.client for one in ours}))}",
        why="with no_root_squash, root of each machine that mounts it is root on every guest's disk",
        remedy="name the two hosts by address in /etc/exports, then: exportfs -ra",
    )
