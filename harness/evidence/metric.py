"""What a metric is: a named, pure function of the evidence, declared with its unit and its observer.

This module knows no metric and reads no evidence. It must never turn "not measured" into a number: a
:class:`Value` without a number always says why, in words a report can print.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Generic, Literal, TypeVar, cast

from harness import plugins

GROUP = "sodbench.metrics"
"""Entry points of this group name further :class:`Metric` objects of a trial or of a migration."""

Better = Literal["lower", "higher", "none"]
Scope = Literal["migration", "interval", "trial"]
Over = Literal["move", "interval", "baseline", "window"]
EvidenceT_contra = TypeVar("EvidenceT_contra", contravariant=True)


class NotMeasured(Exception):  # noqa: N818 - not an error: the reason why a metric has no number
    """Raised by a metric's function where the evidence does not hold the answer; the text is the reason.

    It never leaves :meth:`Metric.of`, which turns it into a :class:`Value` with that reason.
    """


class NotApplicable(NotMeasured):
    """The question makes no sense here, such as an idle guest's throughput."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Value:
    """One reading: a number, or the reason why there is none.

    Attributes:
        value: The number in the metric's unit, or None.
        reason: Why there is no number; always set then, and only then.
        resolution: The smallest difference the observer can see, in the metric's unit; None where it is far
            below what matters or not known.
        uncertainty: The half-width within which the number is certain, in the metric's unit, from clocks and
            sampling; None where it is not known.
        unit: The unit where it differs from the metric's own (work is counted in the workload's unit).
        applicable: False where the question makes no sense for this trial, rather than staying unanswered.
        note: What the number is, where the metric leaves that to the tool, such as which latency it reports.
    """

    value: float | None
    reason: str | None = None
    resolution: float | None = None
    uncertainty: float | None = None
    unit: str | None = None
    applicable: bool = True
    note: str | None = None

    def __post_init__(self) -> None:
        if self.value is None and not self.reason:
            raise ValueError("a value that is missing needs its reason")
        if self.value is not None and self.reason is not None:
            raise ValueError("a value that is there needs no reason")
        if self.value is not None and not math.isfinite(self.value):
            raise ValueError(f"{self.value} is no measurement")

    @classmethod
    def missing(cls, reason: str, *, applicable: bool = True) -> Value:
        """A value that could not be had, and why."""
        return cls(value=None, reason=reason, applicable=applicable)


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric(Generic[EvidenceT_contra]):
    """The declaration of a metric and the pure function behind it.

    Attributes:
        name: Its name in every table, lower case with underscores.
        title: Its name for people.
        unit: ``s``, ``bytes``, ``bytes/s``, ``cores``, ``ratio``, ``count``, ``percent``, ``work`` (the
            workload's own unit) or empty for a yes (1) or no (0).
        better: Which direction is good, or ``none``.
        observer: Who saw it, named as in the journal; several are joined by `` + ``.
        definition: Exactly what is measured.
        source: Where the definition comes from.
        scope: Whether it is read of a migration; of an interval, which is a migration's and also, in a
            control trial, the slot that takes its place; or of a whole trial.
        over: The stretch of evidence it needs: the call to migrate (``move``), until the next migration or
            the window's end (``interval``), the baseline before the window, or the window. An observer that
            failed after that stretch does not matter.
        signed: Whether the quantity itself can be negative; an interval of another never reaches below 0.
        measure: The function; raises :class:`NotMeasured` with the reason where there is no number.
    """

    name: str
    title: str
    unit: str
    better: Better
    observer: str
    definition: str
    source: str
    scope: Scope = "migration"
    over: Over = "move"
    signed: bool = False
    measure: Callable[[EvidenceT_contra], Value] = field(repr=False, compare=False)

    def of(self, evidence: EvidenceT_contra) -> Value:
        """The reading of `evidence`; never raises for evidence that is incomplete."""
        try:
            return self.measure(evidence)
        except NotMeasured as why:
            return Value.missing(str(why), applicable=not isinstance(why, NotApplicable))


def extensions() -> tuple[Metric[Any], ...]:
    """The metrics other packages registered under ``sodbench.metrics``, in the order of their names.

    Raises:
        PrerequisiteError: One cannot be imported or is no :class:`Metric`.
    """
    found = plugins.Group(GROUP, "metric", kind=Metric).load()
    return tuple(cast("Metric[Any]", one) for one in found.values())
