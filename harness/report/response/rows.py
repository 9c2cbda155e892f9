"""The responses of a run in its report: which ones count, their names, and how times are written.

Responses of valid attempts count if they ended as they were decided. Those that failed, were called off or
never came are in no time, and are always named elsewhere. Trials of different scenarios are never merged.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import pandas as pd

from harness.analysis.stats import Replicated
from harness.report import replicates
from harness.report.attestation.rows import milliseconds
from harness.report.document.model import MISSING, Cell
from harness.report.naming import Names
from harness.response.measures.evidence import MOVE, MOVING_TARGET
from harness.response.measures.metrics import SIGNED

SCENARIOS: Mapping[str, str] = MappingProxyType(
    {
        "violation": "trust evidence violated",
        "attestation": "host attestation failed",
        "request": "customer's request changed",
        "properties": "server's properties changed",
        MOVING_TARGET: "moving-target defence",
        "suspend": "nowhere to go: suspended",
        "shut-down": "nowhere to go: shut down",
    }
)
"""Scenarios in the order they are shown, and what they are in words."""
SUBJECTS: Mapping[str, str] = MappingProxyType(
    {
        "attestation": "host state",
        "properties": "server",
        MOVING_TARGET: "moving target",
        "shut-down": "shut down",
    }
)
"""The subjects of the sentences, in words that fit them; for the other scenarios their names do."""
ENDED: Mapping[str, str] = MappingProxyType(
    {MOVE: "completed", "hold": "held", "suspend": "suspended", "shut-down": "shut-down"}
)
"""Action to the state in which it has ended as it was decided."""
DONE: Mapping[str, str] = MappingProxyType(
    {MOVE: "ran elsewhere", "hold": "was held", "suspend": "was suspended", "shut-down": "was shut down"}
)
"""Action to what had become of the guest then."""
PAPER_TRIGGER_S = 2.33
"""The average delay of a migration's triggering inside OpenStack (the paper's section VI), s."""
SIMULATED = (
    "HyperWall and DataSafe are simulated hardware here, as they are in the paper (section IV): what their "
    "monitors count is made up, and everything that follows is real."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """The counted responses of one scenario, workload and action."""

    scenario: str
    workload: str
    action: str
    rows: pd.DataFrame

    @property
    def n(self) -> int:
        """How many."""
        return len(self.rows)

    @property
    def simulated(self) -> bool:
        """Whether simulated hardware reported any of them."""
        return bool(self.rows["simulated"].fillna(False).any())

    @property
    def trials(self) -> int:
        """In how many trials."""
        return int(self.rows["trial"].nunique())

    def values(self, column: str) -> list[float]:
        """The known values of `column`, in stored units."""
        return [float(value) for value in self.rows[column].dropna()]

    def median(self, column: str) -> float | None:
        """Its median, or None."""
        values = self.rows[column].dropna()
        return float(values.median()) if len(values) else None

    def label(self, names: Names) -> str:
        """Such as ``violation, idle`` or ``violation, idle: suspend``."""
        plain = self.action in (MOVE, self.scenario)
        name = f"{self.scenario}, {names.of(self.workload)}"
        return name if plain else f"{name}: {self.action}"


def counted(table: pd.DataFrame) -> pd.DataFrame:
    """The responses of valid attempts that ended as they were decided."""
    ended = table["state"].eq(table["action"].map(ENDED))
    return table[(table["verdict"].eq("valid") & ended).fillna(False).astype(bool)]


def groups(table: pd.DataFrame, workloads: Sequence[str]) -> list[Group]:
    """The counted responses by scenario, workload and action, in the order they are shown."""
    mine = counted(table)
    found = []
    for scenario in scenarios(mine):
        for workload in workloads:
            some = mine[mine["scenario"].eq(scenario) & mine["workload"].eq(workload)]
            for action in (name for name in ENDED if some["action"].eq(name).any()):
                rows = some[some["action"].eq(action)]
                found.append(Group(scenario=scenario, workload=workload, action=action, rows=rows))
    return found


def scenarios(table: pd.DataFrame) -> list[str]:
    """The scenarios there are, the known ones first and in their order."""
    there = dict.fromkeys(map(str, table["scenario"].dropna()))
    return [name for name in SCENARIOS if name in there] + [name for name in there if name not in SCENARIOS]


def words(scenario: str) -> str:
    """The scenario in words, beginning with a capital."""
    text = SCENARIOS.get(scenario, scenario)
    return text[0].upper() + text[1:]


def seconds(value_s: float) -> str:
    """Stored seconds as s."""
    return f"{value_s:z.2f}".replace("-", "−")


def thousandths(value_s: float) -> str:
    """Stored seconds as s to the millisecond."""
    return f"{value_s:z.3f}".replace("-", "−")


def said(value_s: float) -> str:
    """Stored seconds with the unit that suits them, such as ``38.1 ms`` or ``2.33 s``."""
    if abs(value_s) >= 1:
        return f"{seconds(value_s)}\u00a0s"
    return f"{milliseconds(value_s)}\u00a0ms"


def figures(rows: pd.DataFrame, column: str) -> Replicated | None:
    """The known times of a column by trial; None where none is known."""
    return replicates.of_trials(rows, column, signed=column in SIGNED)


def spoken(found: Replicated) -> str:
    """The median with its interval and n, such as ``3.41 s (3.30–3.52, n = 60 in 6 trials)``."""
    in_seconds = abs(found.median) >= 1
    write = seconds if in_seconds else milliseconds
    span = replicates.interval(found, write)
    counts = f"n\u00a0=\u00a0{replicates.counts(found)}"
    inner = f"{span}, {counts}" if span else counts
    return f"{write(found.median)}\u00a0{'s' if in_seconds else 'ms'} ({inner})"


def cell(found: Replicated | None, write: Callable[[float], str], *, of: int, why: str) -> Cell:
    """The median and below it its interval; a dash with the reason `why` where there is none.

    Args:
        found: What is known, in stored seconds.
        write: How it is written.
        of: How many there would be, so that fewer can be said to be.
        why: Why those that lack are not known.
    """
    if found is None:
        return Cell(text=MISSING, tone="quiet", reason=why)
    said = [] if found.n == of else [f"n = {found.n}: {why}"]
    said += [replicates.TWO_KINDS] if found.two_modes else []
    below = replicates.interval(found, write) or ("n = 1" if found.n == 1 else "")
    return Cell(text=write(found.median), below=below, reason="; ".join(said))


def why(rows: pd.DataFrame, columns: Sequence[str], otherwise: str) -> str:
    """Why times of these responses are not known, each reason once; `otherwise` where they do not apply."""
    reasons = [missing(text) for text in rows["missing"].dropna()]
    found = dict.fromkeys(one[name] for one in reasons for name in columns if name in one)
    return "; ".join(found) or otherwise


def missing(text: object) -> dict[str, str]:
    """Column to reason, as the table of responses stores it."""
    return (
        {str(name): str(reason) for name, reason in json.loads(text).items()} if isinstance(text, str) else {}
    )
