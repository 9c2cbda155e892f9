"""What a run recorded of its hosts' state: what changed during a trial, and how the hosts were set.

Runs that recorded nothing of it show nothing.
"""

from __future__ import annotations

from collections.abc import Mapping

from harness.evidence import host_drift
from harness.evidence.events import HostStateSampled
from harness.json_types import Json
from harness.report.document.model import MISSING, Block, Callout, Cell, Column, Paragraph, Table
from harness.report.material import Material

_UNSHOWN = frozenset({"kernel_log_next", "kernel_log_errors"})
"""Numbers of the log: what they say of a trial is among the changes."""


def changes(material: Material) -> list[Block]:
    """What was not the same after a trial as before it, and what that does to the trial."""
    if not any(one.all(HostStateSampled) for one in material.attempts):
        return []
    found = [(one, drift) for one in material.attempts for drift in host_drift.of_account(one)]
    if not found:
        return [Paragraph(text="The recorded state of the hosts was the same after each trial as before it.")]
    flagged = len({one.trial for one, drift in found if drift.weight == "flagged" and one.verdict == "valid"})
    said = [
        Callout(
            tone="warning",
            text=f"Something happened to a host during {flagged} valid trial{'s' if flagged > 1 else ''}; "
            "they are in the means.",
        )
    ]
    return [
        *(said if flagged else []),
        Table(
            key="host-changes",
            title="What happened to the hosts during trials",
            columns=[Column(label=label, numeric=False) for label in ("Trial", "Weight", "What happened")],
            rows=[
                [
                    Cell(text=material.names.trial(one)),
                    Cell(text=drift.weight, tone="bad" if drift.weight == "invalid" else "plain"),
                    Cell(text=drift.text),
                ]
                for one, drift in found
            ],
            caption="A setting that changed makes its trial invalid. Throttling, errors in the kernel's log "
            "and what could no longer be read flag it.",
        ),
    ]


def settings(material: Material) -> list[Block]:
    """How each host was set before the first trial."""
    first: dict[str, HostStateSampled] = {}
    for attempt in material.attempts:
        for _, value in attempt.told(HostStateSampled):
            first.setdefault(value.machine, value)
    if not first:
        return []
    names = dict.fromkeys(name for one in first.values() for name in one.facts if name not in _UNSHOWN)
    return [
        Table(
            key="host-state",
            title="The hosts' state before the first trial",
            columns=[
                Column(label="Fact", numeric=False),
                *(Column(label=machine, numeric=False) for machine in first),
            ],
            rows=[
                [Cell(text=_called(name)), *(_cell(one, name) for one in first.values())] for name in names
            ],
            caption="Counts of throttling are since boot.",
            dense=True,
        )
    ]


def _called(name: str) -> str:
    return {**host_drift.SETTINGS, **host_drift.COUNTERS}.get(name, name.replace("_", " "))


def _cell(state: HostStateSampled, name: str) -> Cell:
    value = state.facts.get(name)
    if value is None:
        return Cell(text=MISSING, tone="quiet", reason=state.reasons.get(name, "not recorded"))
    return Cell(text=_text(value))


def _text(value: Json) -> str:
    if isinstance(value, Mapping):
        return "; ".join(f"{name}: {said}" for name, said in value.items() if said != "Not affected")
    return str(value)
