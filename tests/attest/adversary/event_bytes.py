"""Event logs, and platforms that measured other events, for the cases of event logs."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from dataclasses import replace

from harness.attest.played import logs
from harness.attest.played.logs import EV_NO_ACTION, Measured
from tests.attest.adversary.stage import Asked, Stage

Events = list[Measured]


def log(stage: Stage, change: Callable[[Events], Sequence[Measured]]) -> Asked:
    """Another log beside the honest quote."""
    return stage.honest().sent(event_log=logs.event_log(change(list(stage.events))))


def instead(stage: Stage, raw: bytes) -> Asked:
    return stage.honest().sent(event_log=raw)


def spec(data: bytes) -> bytes:
    """A log whose first event says anything."""
    return struct.pack("<II20sI", 0, EV_NO_ACTION, bytes(20), len(data)) + data


def spec_of(algorithms: Sequence[tuple[int, int]], *, uintn: int = 2, vendor: bytes = b"\0") -> bytes:
    body = b"Spec ID Event03\0" + struct.pack("<IBBBBI", 0, 0, 2, 105, uintn, len(algorithms))
    return spec(body + b"".join(struct.pack("<HH", *one) for one in algorithms) + vendor)


def replaced(events: Events, at: int, **fields: object) -> Events:
    """One event with other words around the digest that it had."""
    old = events[at]
    new = replace(old, digests={"sha256": old.digest("sha256")}, **fields)  # type: ignore[arg-type]
    return [*events[:at], new, *events[len(events) + at + 1 if at < 0 else at + 1 :]]


def started(stage: Stage, first: Measured, locality: int) -> Asked:
    """A platform that started from another locality, whose reference value for PCR 0 is that one's."""
    scene = stage.honest(events=[first, *stage.events[1:]], locality=locality)
    pcrs = {**stage.reference.pcrs["sha256"], 0: (scene.evidence.pcrs[0].hex(),)}
    return scene.against(pcrs={"sha256": pcrs})
