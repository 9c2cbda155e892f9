"""What a file system says when it refuses, in words that a person can act on: one remedy for each cause.

The causes are those of errno(3). Every failure to read or write a file that a user can mend takes its remedy
from here, so that "free space" is said where space is short and nowhere else.
"""

from __future__ import annotations

import errno
from collections.abc import Mapping
from pathlib import Path

from harness.errors import StorageError

_SPACE = "free space on its disk"
_LIMIT = "raise the limit of open files (`ulimit -n`) or end what holds so many"
_FAILS = "look at the kernel's log (`dmesg`): the disk or the connection to it fails"

_REMEDIES: Mapping[int, str] = {
    errno.ENOSPC: _SPACE,
    errno.EDQUOT: "free space within this user's quota (`quota -s`), or have the quota raised",
    errno.EFBIG: "raise this process's limit on the size of a file (`ulimit -f`)",
    errno.EROFS: "choose a place that is not mounted read-only, or have this one mounted for writing",
    errno.EACCES: "give this user access to it (`namei -l` shows whose it is), or choose another place",
    errno.EPERM: "give this user access to it (`namei -l`, `lsattr`), or choose another place",
    errno.ENOENT: "check the path: it is not there, or a folder of it is not",
    errno.ENOTDIR: "check the path: a part of it is a file and not a folder",
    errno.EISDIR: "check the path: this is a folder and not a file",
    errno.EEXIST: "check the path: something of another kind is there already",
    errno.ELOOP: "check the path: its symbolic links lead in a circle, or to where none may stand",
    errno.ENAMETOOLONG: "choose a place with a shorter path",
    errno.EMFILE: _LIMIT,
    errno.ENFILE: _LIMIT,
    errno.EIO: _FAILS,
    errno.ESTALE: _FAILS,
    errno.ENODEV: _FAILS,
    errno.ENXIO: _FAILS,
}
_PASSING = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EMFILE, errno.ENFILE, errno.ESTALE})


def remedy(error: OSError) -> str:
    """What to do about `error`; empty where nothing better can be said than the error itself."""
    return _REMEDIES.get(error.errno or 0, "")


def passing(error: OSError) -> bool:
    """Whether the same command may succeed later, once there is room again."""
    return error.errno in _PASSING


def failure(what: str, path: Path, error: OSError, *, then: str = "") -> StorageError:
    """The error for a file or folder that cannot be made or written.

    Args:
        what: What failed, in one sentence.
        path: The file or folder that was asked for.
        error: What the system said.
        then: What else helps, such as the verb that goes on or the option that names another place.
    """
    return StorageError(
        what,
        where=str(path),
        why=error.strerror or str(error),
        remedy="; ".join(part for part in (remedy(error), then) if part),
        retry=passing(error),
    )
