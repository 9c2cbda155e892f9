"""What a campaign declares for its gate: the primary metrics, which direction is better, and what matters.

It is a part of the plan and of the plan's hash, so that it is stated before the first number is seen.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field, ValidationError, field_validator, model_validator

from harness.errors import RecordError
from harness.sentence import sentence
from harness.strict import Strict

Effect = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class PrimaryMetric(Strict):
    """One metric that decides, and how much worse is worse."""

    metric: str = Field(min_length=1, description="a metric of each migration, such as total_time")
    better: Literal["lower", "higher"] = Field(description="lower or higher: which direction is better")
    smallest_effect_percent: Annotated[float, Field(gt=0, le=1000, allow_inf_nan=False)] | None = Field(
        default=None, description="% by which the metric has to be worse for it to matter"
    )
    smallest_effect: Effect | None = Field(
        default=None, description="the same as a difference in the metric's unit (s, bytes, ...)"
    )

    @model_validator(mode="after")
    def _one_effect(self) -> PrimaryMetric:
        if (self.smallest_effect_percent is None) is (self.smallest_effect is None):
            raise ValueError("either smallest_effect_percent or smallest_effect")
        return self


class Gate(Strict):
    """The primary metrics of a campaign."""

    primary: tuple[PrimaryMetric, ...] = Field(
        strict=False, min_length=1, max_length=16, description="the metrics that decide"
    )

    @field_validator("primary")
    @classmethod
    def _once(cls, primary: tuple[PrimaryMetric, ...]) -> tuple[PrimaryMetric, ...]:
        if len({one.metric for one in primary}) != len(primary):
            raise ValueError("each metric once")
        return primary

    @property
    def names(self) -> tuple[str, ...]:
        """The metrics' names, in the order of the file."""
        return tuple(one.metric for one in self.primary)


def of_plan(plan: Mapping[str, object], where: str) -> Gate | None:
    """The gate of a stored plan; None where its campaign declares none.

    Raises:
        RecordError: The plan's gate is not one; `where` names the file.
    """
    if plan.get("gate") is None:
        return None
    try:
        return Gate.model_validate(plan["gate"])
    except ValidationError as error:
        raise RecordError(
            "the plan's gate cannot be read",
            where=where,
            why=sentence(error),
            remedy="use the sodbench named in the manifest",
        ) from error
