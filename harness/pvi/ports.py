"""What the infrastructure asks of an audit log, as protocols.

:class:`harness.registry.audit.audit.Audit` is one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from harness.json_types import Json


class Entry(Protocol):
    """An entry of the log."""

    @property
    def body(self) -> Mapping[str, Json]:
        """What it says."""
        ...


class AuditLog(Protocol):
    """The log. Every method may raise ``RegistryError``; then nothing was stored."""

    def append(self, kind: str, subject: str, body: Mapping[str, Json]) -> Entry:
        """Append an entry."""
        ...

    def newest(self, limit: int, *, kind: str | None = None, subject: str | None = None) -> Sequence[Entry]:
        """The last `limit` entries of a kind and subject, oldest first."""
        ...
