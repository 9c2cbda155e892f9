"""The written rule: what the trials of a claim show of it.

An interval of the trials' medians (:mod:`harness.analysis.stats.trials`) is set against the paper's band:

* fewer than three trials have no interval, so that nothing is shown: *inconclusive*;
* so it is where the trials seem to be of two kinds, of which such an interval says too little;
* an interval within the band: *reproduced*;
* an interval that does not lie within the band, and a ratio to another workload whose interval lies within
  the relation's band: *reproduced in relation only*;
* an interval outside the band, and no relation, or a ratio whose interval lies outside the relation's band:
  *not reproduced*;
* all else: *inconclusive*.

A value that the campaign itself sets to the paper's is *set* where its interval lies within the band, and
*inconclusive* elsewhere: it is an input, and shows nothing of the claim. A headline claim is confirmed, in
either way, by six trials at least. ``docs/reproduce.md`` states this rule.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias

from harness.analysis.claims.model import Experiment
from harness.analysis.stats import Replicated, replicated
from harness.analysis.stats.trials import FROM_RANKS, FROM_T
from harness.analysis.stats.two_samples import Difference, difference

Trials: TypeAlias = Sequence[Sequence[float]]
"""The values of each trial, at least one each."""


class Verdict(StrEnum):
    """What was shown of a claim."""

    REPRODUCED = "reproduced"
    RELATION = "reproduced in relation only"
    NOT_REPRODUCED = "not reproduced"
    INCONCLUSIVE = "inconclusive"
    SET = "set"
    NOT_TESTED = "not tested"


class Place(StrEnum):
    """Where an interval lies against a band."""

    WITHIN = "within"
    OUTSIDE = "outside"
    ACROSS = "across"
    UNKNOWN = "unknown"


WORST_FIRST = (
    Verdict.NOT_REPRODUCED, Verdict.NOT_TESTED, Verdict.INCONCLUSIVE, Verdict.SET, Verdict.RELATION,
    Verdict.REPRODUCED,
)  # fmt: skip
"""A claim of several workloads has the first of these that one of them has: each must satisfy it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """What the trials of one workload show.

    Attributes:
        verdict: The verdict.
        why: The reason in words.
        numbers: The trials' numbers.
        ratio: The ratio to the workload of the relation, where both were measured.
    """

    verdict: Verdict
    why: str
    numbers: Replicated
    ratio: Difference | None = None


def judge(experiment: Experiment, mine: Trials, other: Trials, *, signed: bool = False) -> Judged:
    """What `mine` show of `experiment`.

    Args:
        experiment: The claim's experiment.
        mine: The values of the workload's trials, at least one.
        other: Those of the workload of the relation; empty where there is no relation, or no values.
        signed: Whether the metric can be negative.
    """
    numbers = replicated(mine, signed=signed)
    ratio = difference(other, mine) if experiment.relation is not None and len(other) else None
    verdict, why = _shown(experiment, numbers, ratio)
    return Judged(verdict=verdict, why=why, numbers=numbers, ratio=ratio)


def _shown(experiment: Experiment, numbers: Replicated, ratio: Difference | None) -> tuple[Verdict, str]:
    if numbers.trials < FROM_T:
        return Verdict.INCONCLUSIVE, f"{numbers.method}; a verdict takes {FROM_T} trials"
    if numbers.two_modes:
        return Verdict.INCONCLUSIVE, "the trials seem to be of two kinds; more trials are needed"
    lies = _place(numbers.interval_low, numbers.interval_high, experiment.expected.band)
    if experiment.given:
        if lies is Place.WITHIN:
            return Verdict.SET, "the campaign sets this value to the paper's"
        return Verdict.INCONCLUSIVE, "the campaign sets this value, and the paper's was not reached"
    if lies is Place.WITHIN:
        return _confirmed(experiment, numbers.trials, Verdict.REPRODUCED, "the interval lies within the band")
    value = f"the interval lies {lies} the paper's band"
    if experiment.relation is None:
        verdict = Verdict.NOT_REPRODUCED if lies is Place.OUTSIDE else Verdict.INCONCLUSIVE
        return verdict, value
    related = _related(experiment, ratio)
    relation = f"the ratio to {experiment.relation.to} {_SAYS[related]}"
    why = f"{value}; {relation}"
    if related is Place.WITHIN and ratio is not None:
        return _confirmed(experiment, min(ratio.trials), Verdict.RELATION, why)
    refuted = lies is Place.OUTSIDE and related is Place.OUTSIDE
    return (Verdict.NOT_REPRODUCED if refuted else Verdict.INCONCLUSIVE), why


_SAYS = {
    Place.WITHIN: "is as the paper has it",
    Place.OUTSIDE: "is not as the paper has it",
    Place.ACROSS: "is not shown to be as the paper has it",
    Place.UNKNOWN: "has no interval",
}


def _related(experiment: Experiment, ratio: Difference | None) -> Place:
    if experiment.relation is None or ratio is None:
        return Place.UNKNOWN
    return _place(ratio.ratio_low, ratio.ratio_high, experiment.relation.band)


def _place(low: float | None, high: float | None, band: tuple[float, float]) -> Place:
    if low is None or high is None:
        return Place.UNKNOWN
    if band[0] <= low and high <= band[1]:
        return Place.WITHIN
    return Place.OUTSIDE if high < band[0] or low > band[1] else Place.ACROSS


def _confirmed(experiment: Experiment, trials: int, verdict: Verdict, why: str) -> tuple[Verdict, str]:
    if experiment.headline and trials < FROM_RANKS:
        return Verdict.INCONCLUSIVE, f"{why}, but a headline claim takes {FROM_RANKS} trials and has {trials}"
    return verdict, why


def worst(verdicts: Sequence[Verdict]) -> Verdict:
    """The verdict of a claim whose workloads have `verdicts`, at least one.

    >>> str(worst([Verdict.REPRODUCED, Verdict.INCONCLUSIVE]))
    'inconclusive'
    """
    return min(verdicts, key=WORST_FIRST.index)
