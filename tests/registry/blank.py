"""New registries for tests: the first is made, the others are copies of it, which takes a tenth as long."""

from __future__ import annotations

import tempfile
from functools import cache
from pathlib import Path

from harness.instant import Instant
from harness.registry.registry import open_registry, present, sqlite_url


@cache
def _blank(at: Instant | None) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "registry.sqlite"
        open_registry(sqlite_url(path), now=present if at is None else lambda: at).close()
        return path.read_bytes()


def blank(folder: Path, at: Instant | None = None) -> str:
    """The URL of a new registry in `folder`, made at that moment, by default at about the present one."""
    path = folder / "registry.sqlite"
    path.write_bytes(_blank(at))
    return sqlite_url(path)
