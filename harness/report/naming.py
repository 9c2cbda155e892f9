"""What a workload is called in a report: its name, marked where the paper's generator was substituted.

The mark and its note go with every table and every figure, so that neither can be taken out of the report
without saying which tool made the load.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from harness.evidence.account import Account, Move

MARK = "*"


@dataclass(frozen=True, slots=True, kw_only=True)
class Names:
    """Workload to what loads it in place of the paper's generator, in words; absent where nothing does."""

    substituted: Mapping[str, str]

    def of(self, workload: str) -> str:
        """The workload's name, with the mark where its generator is a substitute."""
        return f"{workload}{MARK}" if workload in self.substituted else workload

    def trial(self, attempt: Account, *, numbered: bool = True) -> str:
        """The trial's id with its workload's mark and its scenario, and which attempt where not the first."""
        name = f"{attempt.trial}{MARK}" if attempt.workload in self.substituted else attempt.trial
        name = f"{name}·{attempt.scenario}" if attempt.scenario else name
        return f"{name}, attempt {attempt.attempt}" if numbered and attempt.attempt != 1 else name

    def note(self, workloads: Iterable[str]) -> str:
        """The footnote for a table or figure that shows these workloads; empty where none is marked."""
        by: dict[str, list[str]] = {}
        for workload in dict.fromkeys(workloads):
            if workload in self.substituted:
                by.setdefault(self.substituted[workload], []).append(workload)
        if not by:
            return ""
        parts = [f"{_listed(names)} by {how}" for how, names in by.items()]
        return f"{MARK} Loaded by a substitute for the paper's generator: {'; '.join(parts)}."


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def of(attempts: Iterable[Account]) -> Names:
    """The names for a run with these attempts."""
    found: dict[str, dict[str, None]] = {}
    for attempt in attempts:
        load = attempt.load
        if load is not None and load.substitutes:
            generator = f"{load.generator} {load.version or ''}".strip()
            found.setdefault(attempt.workload, {})[f"{generator} in place of {load.substitutes}"] = None
    return Names(substituted={workload: " or ".join(texts) for workload, texts in found.items()})


def with_note(caption: str, note: str) -> str:
    """A caption and the note after it, either of which may be empty."""
    return f"{caption} {note}".strip()


def direction(move: Move) -> str:
    """Such as ``a→b``; empty for a migration that never started."""
    return (move.direction or "").replace("->", "→")
