"""Nova's versioned notifications, read: what happened to which server, when, and in what state it is since.

Notifications may be lost, come twice and come in any order. A reader must not count them; it takes from each
what it says of the server at its own time stamp, and the newest says how things are (levels, not edges).

Source: the payloads that Nova 31.0.0 sends (``tests/nova/recorded``); ``nova.notifications.objects``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from harness.json_types import Json

_ABOUT_SERVERS = frozenset({"instance", "compute_task", "scheduler"})
"""How the types of notifications about servers begin; an aggregate, too, has an id and a host."""
_SAYS_WHERE = frozenset({"instance.update", "instance.create.end", "instance.live_migration_post_dest.end"})
"""The types whose ``host`` holds. The source's last one of a migration still names the source."""

MOST_TEXT = 1_000
"""How much of a fault's message is kept."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """One notification about one server.

    Attributes:
        event: Its type, such as ``instance.live_migration_pre.end``.
        publisher: Who sent it, such as ``nova-compute:a``.
        at_us: When, by the clock of the sender's machine, in us since 1970: the time stamp's resolution.
        server: The server's id.
        request: The id of the API request that it belongs to; None where the notification has none.
        host: Where the server is; None where it is not said.
        state: The server's ``state``, e.g. ``active``; None likewise.
        task: Its ``task_state``, e.g. ``migrating``; None where it does nothing.
        metadata: The server's metadata; None where the notification carries none.
        fault: Why something failed: the exception and its message; empty where nothing did.
        migration: The id of the migration; None where it names none.
    """

    event: str
    publisher: str
    at_us: int
    server: str
    request: str | None = None
    host: str | None = None
    state: str | None = None
    task: str | None = None
    metadata: Mapping[str, str] | None = None
    fault: str = ""
    migration: str | None = None


def parse(message: Json) -> Notice | None:
    """The notice in a message of the topic ``versioned_notifications``; None where it is about no server.

    A message of another form has no notice either: who can write to the queue cannot end a reader by it.
    """
    if not isinstance(message, Mapping):
        return None
    event, publisher = message.get("event_type"), message.get("publisher_id")
    payload = _data(message.get("payload"))
    server = _server(payload)
    at_us = _microseconds(message.get("timestamp"))
    if not isinstance(event, str) or not isinstance(publisher, str) or server is None or at_us is None:
        return None
    if event.partition(".")[0] not in _ABOUT_SERVERS:
        return None
    update = _data(payload.get("state_update"))
    return Notice(
        event=event,
        publisher=publisher,
        at_us=at_us,
        server=server,
        request=_text(message.get("_context_request_id")) or _text(payload.get("request_id")),
        host=_text(payload.get("host")),
        state=_text(update.get("state")) or _text(payload.get("state")),
        task=_text(payload.get("task_state")) or _text(update.get("new_task_state")),
        metadata=_texts(payload.get("metadata")),
        fault=_fault(payload),
        migration=_text(_data(payload.get("migration")).get("uuid")),
    )


def in_order(notices: Iterable[Notice]) -> tuple[Notice, ...]:
    """Each notice once, by its own time stamp; those of one moment by their types."""
    return tuple(sorted({_identity(one): one for one in notices}.values(), key=_identity))


def latest(notices: Iterable[Notice], server: str) -> Notice | None:
    """The newest notice that says where a server is; None where none does."""
    known = [one for one in in_order(notices) if one.server == server and one.event in _SAYS_WHERE]
    return known[-1] if known else None


def _identity(one: Notice) -> tuple[int, str, str, str]:
    return one.at_us, one.event, one.publisher, one.server


def _data(value: Json) -> Mapping[str, Json]:
    """The fields of a versioned object; empty for another value."""
    fields = value.get("nova_object.data") if isinstance(value, Mapping) else None
    return fields if isinstance(fields, Mapping) else {}


def _server(payload: Mapping[str, Json]) -> str | None:
    """The server's id: of an instance's payload, a failed task's, or a scheduler's request."""
    return (
        _text(payload.get("uuid")) or _text(payload.get("instance_uuid")) or _text(payload.get("server_uuid"))
    )


def _fault(payload: Mapping[str, Json]) -> str:
    fault = _data(payload.get("fault")) or _data(payload.get("reason"))
    name, said = _text(fault.get("exception")), _text(fault.get("exception_message"))
    return f"{name or 'unknown'}: {said or ''}"[:MOST_TEXT] if name or said else ""


def _microseconds(value: Json) -> int | None:
    """A time stamp such as ``2026-11-28 14:02:11.123456``, which is UTC, in us since 1970."""
    if not isinstance(value, str):
        return None
    try:
        found = datetime.fromisoformat(value)
    except ValueError:
        return None
    moment = found.replace(tzinfo=UTC) if found.tzinfo is None else found
    since = moment - datetime(1970, 1, 1, tzinfo=UTC)
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds


def _text(value: Json) -> str | None:
    return value if isinstance(value, str) and value else None


def _texts(value: Json) -> Mapping[str, str] | None:
    if not isinstance(value, Mapping):
        return None
    return {name: text for name, text in value.items() if isinstance(text, str)}
