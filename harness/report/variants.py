"""A run with variants in its report: each workload under each variant is a row of its own.

No number is of two variants. The row's name is that of the workload and of the variant, such as
``idle+post-copy``; it has no row in the paper's tables.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import pandas as pd

from harness.analysis import comparison
from harness.analysis.comparability import Side
from harness.analysis.comparison import Row
from harness.analysis.gate.declared import of_plan
from harness.evidence.account import Account
from harness.evidence.events import AttemptStarted
from harness.evidence.folder import RunFolder
from harness.evidence.journal import Event
from harness.files import read_json


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """One variant against the campaign's first, as ``sodbench compare RUN:FIRST RUN:SECOND`` has it.

    Attributes:
        first: The first variant's name.
        second: That of the other.
        rows: Every metric of every workload that both have, the primary ones first.
    """

    first: str
    second: str
    rows: Sequence[Row]


def label(workload: str, variant: str) -> str:
    """What a workload under a variant is called."""
    return f"{workload}+{variant}"


def labelled(accounts: Sequence[Account]) -> list[Account]:
    """The accounts with the workload's name under its variant in place of the bare one."""
    return [one if one.variant is None else _labelled(one) for one in accounts]


def _labelled(account: Account) -> Account:
    name = label(account.workload, account.variant or "")
    return replace(account, events=tuple(_renamed(event, name) for event in account.events))


def _renamed(event: Event, name: str) -> Event:
    if event.kind != AttemptStarted.KIND:
        return event
    return replace(event, data={**event.data, "workload": name})


def names(accounts: Sequence[Account]) -> Mapping[str, str]:
    """Trial to its workload's name under its variant, of `accounts` as they were recorded."""
    return {one.trial: label(one.workload, one.variant) for one in accounts if one.variant is not None}


def in_order(accounts: Sequence[Account], comparisons: Sequence[Compared]) -> list[str]:
    """The workloads of `accounts`, as :func:`labelled` gives them, in the order in which they first ran.

    Trials of variants run in drawn order: the variants of a workload stand as the campaign names them.
    """
    listed = [one.first for one in comparisons[:1]] + [one.second for one in comparisons]
    place: dict[str, tuple[int, int]] = {}
    bare: dict[str, int] = {}
    for one in accounts:
        if not one.workload:
            continue
        workload = one.workload.removesuffix(label("", one.variant)) if one.variant else one.workload
        variant = listed.index(one.variant) if one.variant in listed else 0
        place.setdefault(one.workload, (bare.setdefault(workload, len(bare)), variant))
    return sorted(place, key=lambda name: place[name])


def relabelled(table: pd.DataFrame, of_trial: Mapping[str, str]) -> pd.DataFrame:
    """The table with the names of :func:`names` in its column ``workload``; as it is where there are none."""
    if not of_trial or "workload" not in table:
        return table
    return table.assign(workload=table["trial"].map(of_trial).fillna(table["workload"]).astype("string"))


def compared(run: RunFolder, table: pd.DataFrame) -> list[Compared]:
    """Every further variant of the plan against its first; nothing for a run without variants.

    Args:
        run: The run's folder.
        table: Its metrics with the bare names of the workloads.

    Raises:
        RecordError: The plan cannot be read.
    """
    if "variant" not in table or not run.plan.is_file():
        return []
    plan = read_json(run.plan)
    if not isinstance(plan, Mapping) or not isinstance(listed := plan.get("variants"), Sequence):
        return []
    declared = of_plan(plan, str(run.plan))
    primary = comparison.PRIMARY if declared is None else declared.names
    first, *others = [str(one["name"]) for one in listed if isinstance(one, Mapping)]
    base = comparison.values(Side(run=run, variant=first), table)
    return [
        Compared(
            first=first,
            second=name,
            rows=comparison.rows(base, comparison.values(Side(run=run, variant=name), table), primary),
        )
        for name in others
    ]
