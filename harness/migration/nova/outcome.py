"""What became of a live migration that Nova was asked for, by its name.

Nova accepts first and refuses later: the answer 202 says that a conductor will look at it. What became of it
is the status of the migration's record, the state of the server, and what events and notifications say of a
fault. A migration that is rolled back has the status ``failed``, and every event of it says "Success".

Source: Nova 31.0.0, ``nova.conductor.tasks.live_migrate``, ``nova.compute.manager``; the recorded answers.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from harness.json_types import Json
from harness.migration.nova.notifications import Notice, in_order


class Ending(StrEnum):
    """How a migration through Nova ended; stable."""

    COMPLETED = "completed"
    """The server is where it was to go, as far as Nova says."""
    ELSEWHERE = "elsewhere"
    """It was moved, and not to the host that it was to go to."""
    NO_VALID_HOST = "no-valid-host"
    """The scheduler, and the filter in it, left no host."""
    PRE_CHECK = "pre-check"
    """Source or destination refused before anything was moved."""
    ROLLED_BACK = "rolled-back"
    """The hypervisor failed; the server runs where it was."""
    CANCELLED = "cancelled"
    """It was called off."""
    VTPM = "vtpm"
    """Nova does not move a server that has a vTPM."""
    STATE = "state"
    """The server is in no state in which it can be moved, or another task has it."""
    DENIED = "denied"
    """Nova's policy, or a quota, does not allow it."""
    BAD_HOST = "bad-host"
    """There is no such host, or the server is on it."""
    TOKEN = "token"
    """The identity service gave no token that counts, even when it was asked again."""
    DELETED = "deleted"
    """The server is gone."""
    UNREACHABLE = "unreachable"
    """The API did not answer. Whether it had taken the order is unknown, so it is not given again."""
    UNKNOWN = "unknown"
    """In the time there was, nothing said how it ended."""
    FAILED = "failed"
    """It failed in a way that has no name here; the words of Nova are kept."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """The end of a migration.

    Attributes:
        ending: By its name.
        host: Where the server is now, as far as Nova says; None where it does not.
        why: In Nova's words, in one line; empty for one that succeeded.
    """

    ending: Ending
    host: str | None
    why: str = ""


OVER = frozenset({"completed", "error", "failed", "cancelled", "done", "confirmed"})
"""The statuses of a migration's record after which nothing more becomes of it."""
MOST_TEXT = 1_000

_VTPM = re.compile(r"vtpm", re.IGNORECASE)
_ENDING_OF_FAULT = {
    "NoValidHost": Ending.NO_VALID_HOST,
    "MigrationPreCheckError": Ending.PRE_CHECK,
    "MigrationPreCheckClientException": Ending.PRE_CHECK,
    "InvalidLocalStorage": Ending.PRE_CHECK,
    "InvalidSharedStorage": Ending.PRE_CHECK,
    "InvalidCPUInfo": Ending.PRE_CHECK,
    "DestinationHypervisorTooOld": Ending.PRE_CHECK,
    "ComputeServiceUnavailable": Ending.BAD_HOST,
    "ComputeHostNotFound": Ending.BAD_HOST,
    "UnableToMigrateToSelf": Ending.BAD_HOST,
    "InstanceNotFound": Ending.DELETED,
    "PortBindingFailed": Ending.PRE_CHECK,
    "MigrationError": Ending.ROLLED_BACK,
}
_ENDING_OF_EVENT = {
    Ending.PRE_CHECK: ("check_can_live_migrate", "pre_live_migration"),
    Ending.ROLLED_BACK: ("live_migration", "rollback_live_migration"),
}
"""How the events of an order's record are called, in the order in which they happen."""


def refused_at_once(status: int, body: Json) -> Ended | None:
    """What an answer to the order itself means; None for 202, after which the rest is still to come."""
    if status == 202:
        return None
    why = " ".join(_message(body).split())[:MOST_TEXT] or f"HTTP {status}"
    if status == 401:
        return Ended(ending=Ending.TOKEN, host=None, why=why)
    if status in {403, 413, 429}:
        return Ended(ending=Ending.DENIED, host=None, why=why)
    if status == 404:
        return Ended(ending=Ending.DELETED, host=None, why=why)
    if _VTPM.search(why):
        return Ended(ending=Ending.VTPM, host=None, why=why)
    if status == 409:
        return Ended(ending=Ending.STATE, host=None, why=why)
    if status == 400:
        return Ended(ending=Ending.BAD_HOST if "host" in why.lower() else Ending.FAILED, host=None, why=why)
    return Ended(ending=Ending.UNREACHABLE if status >= 500 else Ending.FAILED, host=None, why=why)


def ended(
    migration: Mapping[str, Json] | None,
    server: Mapping[str, Json] | None,
    notices: Iterable[Notice],
    destination: str,
    action: Mapping[str, Json] | None = None,
) -> Ended | None:
    """What became of a migration that was accepted; None while it is under way.

    Args:
        migration: Its record, as the API gives it now; None where Nova made none.
        server: The server, likewise; None where it is gone.
        notices: What was heard of the server since the order, in any order; nothing of it is needed, and all
            of it may be missing.
        destination: Where it was to go.
        action: The order's record with its events (``os-instance-actions``); None where it was not asked for.
    """
    heard = in_order(notices)
    if server is None:
        return Ended(ending=Ending.DELETED, host=None, why="the server was deleted")
    host = _text(server.get("OS-EXT-SRV-ATTR:host"))
    status = None if migration is None else _text(migration.get("status"))
    busy = server.get("OS-EXT-STS:task_state") is not None
    if status is None:
        # A conductor that fails before it makes a record leaves the server as it was.
        fault = _fault(heard)
        return Ended(ending=_of_fault(fault), host=host, why=fault) if fault and not busy else None
    if status not in OVER or busy:
        return None
    if status in {"completed", "done", "confirmed"}:
        arrived = host == destination
        why = "" if arrived else f"it is on {host} and was to go to {destination}"
        return Ended(ending=Ending.COMPLETED if arrived else Ending.ELSEWHERE, host=host, why=why)
    if status == "cancelled":
        return Ended(ending=Ending.CANCELLED, host=host, why="the migration was cancelled")
    failed = _of_action(_failures(action))
    fault = _fault(heard) or _server_fault(server)
    rolled = any(one.event.startswith("instance.live_migration_rollback") for one in heard)
    if failed is not None and failed[0] is not Ending.FAILED:
        return Ended(ending=failed[0], host=host, why=failed[1] or fault or failed[0].value)
    named = _of_fault(fault) if fault else Ending.FAILED
    if named is Ending.FAILED and (rolled or status == "failed"):
        named = Ending.ROLLED_BACK
    told = failed[1] if failed is not None else ""
    return Ended(ending=named, host=host, why=fault or told or f"the migration's status is {status}")


def _fault(heard: Iterable[Notice]) -> str:
    """The newest fault that a notification told of; empty where none did."""
    return next((one.fault for one in reversed(tuple(heard)) if one.fault), "")


def _failures(action: Mapping[str, Json] | None) -> Mapping[str, str]:
    """The events of an order that failed, with what Nova says of each."""
    events = action.get("events") if action is not None else None
    found: dict[str, str] = {}
    for event in events if isinstance(events, list) else ():
        name = event.get("event") if isinstance(event, Mapping) else None
        if isinstance(name, str) and isinstance(event, Mapping) and event.get("result") == "Error":
            details = event.get("details")
            found[name] = " ".join(details.split())[:MOST_TEXT] if isinstance(details, str) else ""
    return found


def _of_action(failures: Mapping[str, str]) -> tuple[Ending, str] | None:
    """What failed first, by the events: a refused check, too, ends as "no valid host" once none is left."""
    for ending, names in _ENDING_OF_EVENT.items():
        for name, details in failures.items():
            if any(name.startswith(f"compute_{one}") for one in names):
                return ending, details
    said = failures.get("conductor_live_migrate_instance")
    if said is None:
        return None
    return (Ending.NO_VALID_HOST if said.startswith("No valid host") else Ending.FAILED), said


def _server_fault(server: Mapping[str, Json]) -> str:
    fault = server.get("fault")
    message = fault.get("message") if isinstance(fault, Mapping) else None
    return " ".join(message.split())[:MOST_TEXT] if isinstance(message, str) else ""


def _of_fault(fault: str) -> Ending:
    name = fault.partition(":")[0].removesuffix("_Remote")
    return Ending.VTPM if _VTPM.search(fault) else _ENDING_OF_FAULT.get(name, Ending.FAILED)


def _message(body: Json) -> str:
    """The message of an error as Nova writes it: under the name of its kind."""
    if isinstance(body, Mapping):
        for found in body.values():
            message = found.get("message") if isinstance(found, Mapping) else None
            if isinstance(message, str):
                return message
    return body if isinstance(body, str) else ""


def _text(value: Json) -> str | None:
    return value if isinstance(value, str) and value else None
