"""Files that are written whole or not at all, and JSON read back from them."""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Mapping
from pathlib import Path

from harness import disk, sums
from harness.errors import RecordError
from harness.json_types import Json
from harness.legible import legible

RESTORE = "restore the file from a copy; `sha256sum -c SHA256SUMS` shows what changed"
"""What to do about a damaged file of a run."""
MAX_JSON_BYTES = 8 * 2**20
"""A longer object is refused: in memory it may take twenty times what it takes in its file."""

_PARTIAL = ".partial"


def write_atomic(path: Path, data: bytes) -> None:
    """Write `data` to `path` whole: temporary name, fsync, rename.

    Raises:
        StorageError: The system refuses, as on a full disk; an older file at `path` is intact.
    """
    # Several threads of several processes may write the same file: each has a name of its own.
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}{_PARTIAL}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            _write_durably(temporary, data)
            temporary.replace(path)
        except OSError:
            temporary.unlink(missing_ok=True)
            raise
        sync_folder(path.parent)
    except OSError as error:
        raise disk.failure("cannot write", path, error) from error


def _write_durably(path: Path, data: bytes) -> None:
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    """Make a rename or removal outlast a power cut: the name is in the folder, not in the file (fsync(2))."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_json(path: Path, value: Mapping[str, Json]) -> None:
    """Write `value` as indented JSON with sorted keys, whole."""
    text = json.dumps(value, indent=2, sort_keys=True, allow_nan=False)
    write_atomic(path, (text + "\n").encode())


def read_json(path: Path) -> dict[str, Json]:
    """The object stored at `path`.

    Raises:
        RecordError: It is missing, not a JSON object, or longer than :data:`MAX_JSON_BYTES`.
    """
    return json_object(sums.content(path, limit=MAX_JSON_BYTES), path)


def json_object(raw: bytes, place: Path) -> dict[str, Json]:
    """The JSON object in `raw`, which is kept at `place`.

    Raises:
        RecordError: It is something else.
    """
    try:
        value = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise RecordError("not JSON", where=legible(str(place)), why=str(error), remedy=RESTORE) from error
    if not isinstance(value, dict):
        raise RecordError("not a JSON object", where=legible(str(place)), remedy=RESTORE)
    return value
