"""Files with keys: made once, the user's alone, of two processes at once by exactly one."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable
from pathlib import Path

from harness import disk
from harness.errors import PrerequisiteError


def content(path: Path, what: str, make: Callable[[], bytes]) -> bytes:
    """What the key file at `path` holds; a file that is not there is made first.

    Args:
        path: The file.
        what: What it is, for messages, such as ``the verifier's key``.
        make: A new key, as the file is to hold it.

    Raises:
        PrerequisiteError: Others may read the file, or this user may not.
        StorageError: It cannot be written.
    """
    if not path.exists():
        _store(path, what, make())
    try:
        if path.stat().st_mode & 0o077:
            raise PrerequisiteError(
                f"{what} is readable by others", where=str(path), remedy=f"chmod 600 {path}"
            )
        return path.read_bytes()
    except OSError as error:
        raise PrerequisiteError(f"{what} cannot be used", where=str(path), why=str(error)) from error


def _store(path: Path, what: str, key: bytes) -> None:
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(key)
            file.flush()
            os.fsync(file.fileno())
        try:
            path.hardlink_to(temporary)  # fails where another process was first, whose key then is the one
        except FileExistsError:
            pass
        finally:
            temporary.unlink()
    except OSError as error:
        raise disk.failure(f"{what} cannot be stored", path, error) from error
