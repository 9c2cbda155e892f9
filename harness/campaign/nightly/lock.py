"""One night at a time in a folder: a lock that ends with its holder, and for which another waits a while."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from harness import disk
from harness.errors import RigLockedError
from harness.legible import legible

NAME = "lock"
_HOLDER_BYTES = 200


@contextmanager
def held(folder: Path, holder: str) -> Iterator[None]:
    """Be the only night of `folder` for the length of the block; `holder` is who others are told.

    Raises:
        RigLockedError: Another night has it.
        StorageError: The folder or the lock cannot be made.
    """
    path = folder / NAME
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise disk.failure("the lock of the nights cannot be made", path, error) from error
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise RigLockedError(
                "another night is under way",
                where=str(path),
                why=f"held by {_holder(handle)}",
                remedy="wait until it ends, or give `wait_s` more time",
                retry=True,
            ) from error
        _say(handle, path, holder)
        yield
    finally:
        os.close(handle)


def _holder(handle: int) -> str:
    return legible(os.pread(handle, _HOLDER_BYTES, 0).decode(errors="replace").strip()) or "unknown"


def _say(handle: int, path: Path, holder: str) -> None:
    try:
        os.ftruncate(handle, 0)
        os.pwrite(handle, f"{holder}\n".encode()[:_HOLDER_BYTES], 0)
    except OSError as error:
        raise disk.failure("the lock of the nights cannot be written", path, error) from error
