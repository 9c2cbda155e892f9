"""Events that say all that their kind says, of which a test states only what it is about."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import TypeVar

from harness.evidence.account import Account
from harness.evidence.events import (
    KINDS,
    AttemptFinished,
    AttemptStarted,
    GuardStarted,
    GuestStarted,
    MigrationDelayed,
    MigrationReturned,
    MigrationSkipped,
    MigrationStarted,
    QmpEvent,
    ResponseClosed,
    RunAborted,
    RunResumed,
    RunStarted,
    Value,
    WindowClosed,
    WindowOpened,
    WorkloadStarted,
)
from harness.json_types import Json

A = TypeVar("A", bound=Account)

_OPENING: Mapping[str, Json] = MappingProxyType(
    {
        "plan_hash": "0" * 64, "seed": 1, "version": "0.1.0", "boot_id": "boot",
        "realtime_ns": 1, "controller": "controller",
    }
)  # fmt: skip
_EXAMPLES: Mapping[str, Value] = MappingProxyType(
    {
        example.KIND: example
        for example in (
            RunStarted.model_validate({**_OPENING}),
            RunResumed.model_validate({**_OPENING, "sums": None}),
            RunAborted(reason="interrupted"),
            AttemptStarted(workload="idle", repetition=1, kind="migrations"),
            AttemptFinished(verdict="valid", reasons=[]),
            GuestStarted(
                host="a", start="boot", boot_s=47.5, address="198.18.0.100", uuid="6a2f4b1e", vcpus=1,
                memory_bytes=1 << 30, cpu_model="qemu64", accelerator="tcg", image="debian",
            ),
            WorkloadStarted(workload="idle", generator="none", version="", substitutes=None, options={}),
            WindowOpened(window_s=60.0),
            WindowClosed(late_s=0.0),
            MigrationStarted(n=1, planned_s=1.0, source="a", destination="b", options={}),
            QmpEvent(host="a", event="STOP", realtime_us=1, details={}),
            ResponseClosed(n=1, response=1, state="completed", reason="the guest arrived as it left"),
            GuardStarted(vm="guest", recovered=0),
            MigrationReturned(n=1, ok=True, error=None),
            MigrationSkipped(n=1, planned_s=1.0, reason="its slot was taken"),
            MigrationDelayed(n=1, planned_s=1.0, reason="its slot was taken"),
        )
    }
)  # fmt: skip


def whole(kind: str, said: Mapping[str, Json]) -> dict[str, Json]:
    """The data of an event of `kind` that says `said`, and for the rest what an example says."""
    example = _EXAMPLES.get(kind)
    return {**({} if example is None else example.to_data()), **said}


def said(kind: str, /, **data: Json) -> Value:
    """The value of an event of `kind` that says `data`, and for the rest what an example says."""
    return KINDS[kind].model_validate(whole(kind, data))


def changed(account: A, kind: type[Value], **said: Json) -> A:
    """The account of the same attempt whose events of `kind` say `said` besides."""
    events = (
        replace(event, data={**event.data, **said}) if event.kind == kind.KIND else event
        for event in account.events
    )
    return replace(account, events=tuple(events))
