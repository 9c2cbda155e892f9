"""A run with variants in its report: each workload under each variant is a row of its own.

No number is of two variants. The row's name is that of the workload and of the variant, such as
``idle+post-copy``; it has no row in the paper's tables.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import pandas as pd

from harness.evidence.account import Account
from harness.evidence.events import AttemptStarted
from harness.evidence.journal import Event


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


def relabelled(table: pd.DataFrame, of_trial: Mapping[str, str]) -> pd.DataFrame:
    """The table with the names of :func:`names` in its column ``workload``; as it is where there are none."""
    if not of_trial or "workload" not in table:
        return table
    return table.assign(workload=table["trial"].map(of_trial).fillna(table["workload"]).astype("string"))
