"""What a gate looks at: the values of each primary metric, by workload and variant, on both sides."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from harness.analysis.gate.declared import Gate, PrimaryMetric
from harness.analysis.table import valid


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """One metric of one workload on one side.

    Attributes:
        trials: The values of each valid trial that has any.
        missing: How many migrations of valid trials have no value.
        why: Why the first of them has none; empty where none is missing.
        planned: How many trials the plan has.
        valid: How many of them are valid.
    """

    trials: tuple[tuple[float, ...], ...]
    missing: int
    why: str
    planned: int
    valid: int

    @property
    def n(self) -> int:
        """How many values."""
        return sum(map(len, self.trials))

    @property
    def missing_share(self) -> float:
        """The share of migrations without a value; 0 where there is no migration."""
        return self.missing / max(1, self.missing + self.n)

    @property
    def invalid_share(self) -> float:
        """The share of planned trials that are not valid."""
        return 1 - self.valid / max(1, self.planned)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One primary metric of one workload under one variant, on both sides."""

    workload: str
    variant: str | None
    primary: PrimaryMetric
    unit: str
    baseline: Measured
    run: Measured


def cells(
    gate: Gate,
    plan: Sequence[Mapping[str, object]],
    baseline: pd.DataFrame,
    run: pd.DataFrame,
    planned: Sequence[Mapping[str, object]],
) -> list[Cell]:
    """The cells that have a value on either side, in the order of the run's plan and of the gate.

    Args:
        gate: What is declared.
        plan: The trials of the run's plan, as it is stored.
        baseline: The baseline's table of metrics.
        run: The run's.
        planned: The trials of the baseline's plan.
    """
    found = []
    for workload, variant in _places(plan):
        sides = [
            (_of(table, workload, variant), _planned(trials, workload, variant))
            for table, trials in ((baseline, planned), (run, plan))
        ]
        for primary in gate.primary:
            known = [table[table["metric"].eq(primary.metric)] for table, _ in sides]
            units = pd.concat([table.loc[table["value"].notna(), "unit"] for table in known])
            if len(units):
                measured = [
                    _measured(mine, table, trials) for mine, (table, trials) in zip(known, sides, strict=True)
                ]
                found.append(
                    Cell(
                        workload=workload,
                        variant=variant,
                        primary=primary,
                        unit=str(units.iloc[0]),
                        baseline=measured[0],
                        run=measured[1],
                    )
                )
    return found


def _places(plan: Sequence[Mapping[str, object]]) -> Iterator[tuple[str, str | None]]:
    """Every workload under every variant that the plan has trials with migrations of, in their order."""
    names = {(str(one["workload"]), _variant(one)): None for one in plan if one.get("kind") != "control"}
    yield from sorted(names, key=lambda place: (place[0], place[1] or ""))


def _variant(trial: Mapping[str, object]) -> str | None:
    return None if trial.get("variant") is None else str(trial["variant"])


def _planned(trials: Sequence[Mapping[str, object]], workload: str, variant: str | None) -> int:
    return sum(
        (one["workload"], _variant(one)) == (workload, variant) and one.get("kind") != "control"
        for one in trials
    )


def _of(table: pd.DataFrame, workload: str, variant: str | None) -> pd.DataFrame:
    """The rows of the migrations of this workload's valid trials."""
    found = valid(table)
    found = found[found["workload"].eq(workload)]
    if variant is not None:
        found = found[found["variant"].eq(variant)] if "variant" in found else found.iloc[:0]
    return found[found["migration"].notna()]


def _measured(mine: pd.DataFrame, every: pd.DataFrame, planned: int) -> Measured:
    there = mine[mine["value"].notna()]
    absent = mine[mine["value"].isna()]
    return Measured(
        trials=tuple(tuple(map(float, one)) for _, one in there.groupby("trial", sort=False)["value"]),
        missing=len(absent),
        why=str(absent["reason"].iloc[0]) if len(absent) else "",
        planned=planned,
        valid=int(every["trial"].nunique()),
    )
