"""Whether a host was the same before and after a trial, by a written rule (docs/journal.md, Hosts' state).

Pure. A setting that changed makes the trial invalid: its figures belong to two configurations. What happened
to a host that kept its settings flags the trial: it measured that host, and the reader must know.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal, TypeAlias

from harness.evidence.account import Account
from harness.evidence.events import HostStateSampled
from harness.json_types import Json

Weight: TypeAlias = Literal["invalid", "flagged"]

SETTINGS: Mapping[str, str] = MappingProxyType(
    {
        "governor": "frequency governor",
        "frequency_driver": "frequency driver",
        "energy_preference": "energy preference",
        "turbo": "turbo",
        "c_states": "enabled sleep states",
        "idle_driver": "idle driver",
        "smt": "SMT",
        "thp": "transparent huge pages",
        "thp_defrag": "defragmentation for huge pages",
        "ksm_run": "KSM",
        "numa_balancing": "NUMA balancing",
        "swappiness": "swappiness",
        "irqbalance": "irqbalance",
        "tcp_no_metrics_save": "TCP's memory of earlier connections (tcp_no_metrics_save)",
        "microcode": "microcode",
        "mitigations": "mitigations of processor vulnerabilities",
    }
)
"""What does not change by itself, and what it is called."""

COUNTERS: Mapping[str, str] = MappingProxyType(
    {
        "core_throttles": "thermal throttling of cores",
        "package_throttles": "thermal throttling of packages",
    }
)
"""What counts up since boot."""

READINGS = frozenset({"temperature_celsius", "kernel_log_next", "kernel_log_errors"})
"""What is judged otherwise, or not at all: a temperature alone says nothing."""

LISTED = 3
"""Errors of the kernel's log that are quoted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Drift:
    """One thing that was not the same after a trial as before it.

    Attributes:
        machine: The host's role.
        weight: What it does to the trial.
        text: What happened, in words that name the host.
    """

    machine: str
    weight: Weight
    text: str


def drifts(before: HostStateSampled, after: HostStateSampled) -> list[Drift]:
    """What happened to one host between two samples, the worst first; empty where nothing did."""
    found = [*_settings(before, after), *_counters(before, after), *_errors(before, after)]
    return sorted(found, key=lambda one: one.weight != "invalid")


def of_account(account: Account) -> list[Drift]:
    """What happened to the hosts of an attempt, from its samples; empty where none were taken."""
    first: dict[str, HostStateSampled] = {}
    last: dict[str, HostStateSampled] = {}
    for _, value in account.told(HostStateSampled):
        (first if value.when == "before" else last).setdefault(value.machine, value)
    return [one for machine in first if machine in last for one in drifts(first[machine], last[machine])]


def invalidating(found: Sequence[Drift]) -> list[str]:
    """The reasons, in words, why a trial with these drifts is invalid."""
    return [one.text for one in found if one.weight == "invalid"]


def _settings(before: HostStateSampled, after: HostStateSampled) -> Iterator[Drift]:
    for name, called in SETTINGS.items():
        was, is_now = before.facts.get(name), after.facts.get(name)
        if was is None:
            continue  # a kernel that does not show it
        if is_now is None:
            why = after.reasons.get(name, "no reason given")
            text = f"{before.machine}: {called} cannot be read at the trial's end: {why}"
            yield Drift(machine=before.machine, weight="flagged", text=text)
        elif was != is_now:
            text = f"{before.machine}: {called} changed during the trial: {_change(was, is_now)}"
            yield Drift(machine=before.machine, weight="invalid", text=text)


def _change(was: Json, is_now: Json) -> str:
    if isinstance(was, Mapping) and isinstance(is_now, Mapping):
        names = sorted(name for name in {**was, **is_now} if was.get(name) != is_now.get(name))
        return "; ".join(f"{name}: {was.get(name)} to {is_now.get(name)}" for name in names)
    return f"{was} to {is_now}"


def _counters(before: HostStateSampled, after: HostStateSampled) -> Iterator[Drift]:
    for name, called in COUNTERS.items():
        was, is_now = before.facts.get(name), after.facts.get(name)
        if isinstance(was, int) and isinstance(is_now, int) and is_now > was:
            text = f"{before.machine}: {called} during the trial: {is_now - was} times"
            yield Drift(machine=before.machine, weight="flagged", text=text)


def _errors(before: HostStateSampled, after: HostStateSampled) -> Iterator[Drift]:
    begin, errors = before.facts.get("kernel_log_next"), after.facts.get("kernel_log_errors")
    if not isinstance(begin, int) or not isinstance(errors, Sequence) or isinstance(errors, str):
        return
    told = [text for one in errors if (text := _text_since(begin, one)) is not None]
    if told:
        quoted = "; ".join(told[:LISTED])
        more = f"; and at least {len(told) - LISTED} more" if len(told) > LISTED else ""
        text = f"{before.machine}: the kernel logged errors during the trial: {quoted}{more}"
        yield Drift(machine=before.machine, weight="flagged", text=text)


def _text_since(begin: int, record: Json) -> str | None:
    """The text of a record whose number is `begin` or later."""
    match record:
        case [int(number), str(text)] if number >= begin:
            return text
        case _:
            return None
