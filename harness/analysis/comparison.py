"""Two configurations compared: every metric of every workload that both have, each trial counted once.

The primary metrics are few and chosen beforehand, by the campaign's gate where it declares one. Holm's
procedure keeps the chance of a single false difference among them at 5 %; over all others Benjamini and
Hochberg's keeps the share of false ones at 5 %.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import pandas as pd

from harness.analysis import table as results
from harness.analysis.comparability import Side
from harness.analysis.stats.two_samples import Difference, benjamini_hochberg, difference, holm

PRIMARY = ("total_time", "blackout", "outage_network", "outage_application", "data_sent")
"""Where a campaign declares none: the metrics of the published table and of what its users notice."""
LEVEL = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One metric of one workload on both sides.

    Attributes:
        workload: Its name.
        metric: Its name.
        unit: Of its values.
        better: Which direction is good, or ``none``.
        primary: Whether it is one of the primary metrics.
        found: The second side against the first.
        adjusted: Its p after the correction for how many are looked at; None for too few trials.
    """

    workload: str
    metric: str
    unit: str
    better: str
    primary: bool
    found: Difference
    adjusted: float | None = None

    @property
    def shown(self) -> bool:
        """Whether a difference is shown."""
        return self.adjusted is not None and self.adjusted < LEVEL

    def to_json(self) -> dict[str, Any]:
        """All of it, and the two things that follow from it."""
        return {**asdict(self), "shift": self.found.shift, "shown": self.shown}


def values(side: Side, table: pd.DataFrame) -> pd.DataFrame:
    """The values of a run's table that count for one side: measured, of migrations, in valid trials."""
    found = results.valid(table)
    found = found[found["migration"].notna() & found["value"].notna() & found["unit"].notna()]
    if side.variant is not None and "variant" in found:
        found = found[found["variant"].eq(side.variant)]
    return found[found["unit"].ne("")]


def rows(first: pd.DataFrame, second: pd.DataFrame, primary: Sequence[str] = PRIMARY) -> list[Row]:
    """Every metric of every workload that both have, the primary ones first; in the order of the first."""
    theirs = dict(list(second.groupby(["workload", "metric"], sort=False)))
    found = []
    for key, mine in first.groupby(["workload", "metric"], sort=False):
        other = theirs.get(key)
        if other is not None:
            found.append(_row(str(key[0]), str(key[1]), mine, other, primary))
    places = {metric: place for place, metric in enumerate(primary)}
    ordered = sorted(found, key=lambda row: (not row.primary, places.get(row.metric, len(places))))
    return _adjusted(ordered)


def _row(workload: str, metric: str, mine: pd.DataFrame, other: pd.DataFrame, primary: Sequence[str]) -> Row:
    return Row(
        workload=workload,
        metric=metric,
        unit=str(mine["unit"].iloc[0]),
        better=str(mine["better"].iloc[0]),
        primary=metric in primary,
        found=difference(_trials(mine), _trials(other)),
    )


def _trials(rows: pd.DataFrame) -> list[list[float]]:
    return [list(mine) for _, mine in rows.groupby("trial", sort=False)["value"]]


def _adjusted(rows: Sequence[Row]) -> list[Row]:
    """The rows with their p corrected, the primary ones and the others each among themselves."""
    found = list(rows)
    for primary, correct in ((True, holm), (False, benjamini_hochberg)):
        places = [at for at, row in enumerate(rows) if row.primary is primary and row.found.p is not None]
        ps = correct([rows[at].found.p or 0.0 for at in places])
        for at, p in zip(places, ps, strict=True):
            found[at] = replace(found[at], adjusted=p)
    return found
