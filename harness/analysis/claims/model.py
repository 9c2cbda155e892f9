"""What a file of claims says: one paper, its claims, and by what evidence each is judged.

A claim is judged in one of three ways: by an experiment on stored runs, by a check that needs no machine, or
not at all, with the reason. Numbers are in the metric's stored unit: seconds and bytes.
"""

from __future__ import annotations

import math
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from harness.strict import Strict

Text = Annotated[str, Field(min_length=1, max_length=500)]
Name = Annotated[str, Field(min_length=1, max_length=64)]
Number = Annotated[float, Field(allow_inf_nan=False)]


class Expected(Strict):
    """The band in which the paper's value lies: around a value, or between limits.

    Attributes:
        value: The paper's value.
        tolerance: The share of `value` by which a measured one may differ.
        low: The least value, where the paper states limits.
        high: The largest value likewise.
    """

    value: Number | None = Field(default=None, description="the paper's value, in seconds or bytes")
    tolerance: float | None = Field(
        default=None, gt=0, lt=1, description="the share of the value by which a measured one may differ"
    )
    low: Number | None = Field(default=None, description="the least value, in place of value and tolerance")
    high: Number | None = Field(default=None, description="the largest value likewise")

    @model_validator(mode="after")
    def _one_band(self) -> Self:
        around = (self.value is not None, self.tolerance is not None)
        limits = (self.low is not None, self.high is not None)
        if not (around == (True, True) and not any(limits)) and not (any(limits) and not any(around)):
            raise ValueError("either value and tolerance, or low, high or both")
        if not self.band[0] < self.band[1]:
            raise ValueError("a band whose low end is below its high end")
        return self

    @property
    def band(self) -> tuple[float, float]:
        """Its two ends; infinite where the paper states no limit."""
        if self.value is not None and self.tolerance is not None:
            reach = abs(self.value) * self.tolerance
            return self.value - reach, self.value + reach
        return (
            -math.inf if self.low is None else self.low,
            math.inf if self.high is None else self.high,
        )


class Relation(Strict):
    """What holds between a workload and another one of the same run, where the value itself is missed.

    Attributes:
        to: The other workload.
        low: The least ratio of the workload's value to the other's.
        high: The largest ratio.
    """

    to: Name = Field(description="the workload that it is compared with")
    low: float | None = Field(default=None, gt=0, description="the least ratio to that workload's value")
    high: float | None = Field(default=None, gt=0, description="the largest ratio to that workload's value")

    @model_validator(mode="after")
    def _a_band(self) -> Self:
        if self.low is None and self.high is None:
            raise ValueError("low, high or both")
        if not self.band[0] < self.band[1]:
            raise ValueError("a band whose low end is below its high end")
        return self

    @property
    def band(self) -> tuple[float, float]:
        """Its two ends; the high one is infinite where none is stated."""
        return self.low or 0.0, math.inf if self.high is None else self.high


class Experiment(Strict):
    """On which runs a claim is judged.

    Attributes:
        campaigns: Ready-made campaigns, the first of which a run is there counts.
        metric: The metric, by its name in a run's table.
        workloads: The workloads of which each must satisfy the claim.
        variant: The variant of the campaign, or None where it has none.
        rig: The kind of rig that the claim is about; None for any that is real.
        expected: The paper's value.
        relation: What must hold at least where that value is missed.
        headline: Whether the claim is one of a paper's headlines, which takes more trials to confirm.
        given: Whether the campaign itself sets the value to the paper's, so that it shows nothing.
        where_set: The claim of a value that the campaign sets, without which this one shows nothing.
    """

    campaigns: tuple[Name, ...] = Field(
        strict=False, min_length=1, max_length=10, description="campaigns by preference; the first with a run"
    )
    metric: Name = Field(description="a metric of a run's table")
    workloads: tuple[Name, ...] = Field(
        strict=False, min_length=1, max_length=20, description="each of these must satisfy the claim"
    )
    variant: str | None = Field(default=None, max_length=32, description="a variant of the campaign")
    rig: Literal["lab", "pair"] | None = Field(default=None, description="the only kind of rig that counts")
    expected: Expected
    relation: Relation | None = None
    headline: bool = Field(default=False, description="whether confirming it takes six trials")
    given: bool = Field(
        default=False, description="whether the campaign sets the value: the verdict is `set`"
    )
    where_set: Name | None = Field(
        default=None, description="a claim that is `given`; unless it is set this one is inconclusive"
    )

    @model_validator(mode="after")
    def _to_another(self) -> Self:
        if self.relation is not None and self.relation.to in self.workloads:
            raise ValueError("a relation to another workload than the claim's own")
        return self

    @model_validator(mode="after")
    def _nothing_of_what_is_given(self) -> Self:
        if self.given and (self.relation is not None or self.headline):
            raise ValueError("neither a relation nor a headline of a value that the campaign sets")
        return self


class Claim(Strict):
    """One claim of a paper.

    Attributes:
        id: Its name on the command line.
        says: The claim in the project's words.
        place: Section and table.
        experiment: How stored runs judge it.
        check: The name of a check that needs no machine.
        not_tested: Why it is not tested.
    """

    id: str = Field(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$", max_length=64, description="its name: a-z, 0-9, -")
    says: Text = Field(description="the claim in your own words")
    place: Text = Field(description="section and table of the paper")
    experiment: Experiment | None = None
    check: Name | None = Field(default=None, description="a check that needs no machine")
    not_tested: Text | None = Field(default=None, description="why it is not tested")

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if sum(way is not None for way in (self.experiment, self.check, self.not_tested)) != 1:
            raise ValueError("exactly one of experiment, check and not_tested")
        return self


class Runs(Strict):
    """Which campaigns are run for a paper's claims.

    Attributes:
        smoke: Those that show within a quarter of an hour that everything works.
        full: Those whose runs judge the claims.
    """

    smoke: tuple[Name, ...] = Field(
        default=(),
        strict=False,
        max_length=10,
        description="campaigns that `sodbench reproduce --smoke` runs",
    )
    full: tuple[Name, ...] = Field(
        default=(), strict=False, max_length=20, description="campaigns that `sodbench reproduce --full` runs"
    )


class Paper(Strict):
    """A file of claims.

    Attributes:
        paper: The paper's title.
        cite: Authors, where and when.
        runs: The campaigns that are run for them.
        claims: Its claims, in the paper's order.
    """

    paper: Text = Field(description="the paper's title")
    cite: Text = Field(description="its authors, where and when it appeared")
    runs: Runs = Runs()
    claims: tuple[Claim, ...] = Field(strict=False, min_length=1, max_length=200, description="its claims")

    @property
    def campaigns(self) -> frozenset[str]:
        """The campaigns that its claims are judged by."""
        asked = (claim.experiment for claim in self.claims if claim.experiment is not None)
        return frozenset(name for experiment in asked for name in experiment.campaigns)
