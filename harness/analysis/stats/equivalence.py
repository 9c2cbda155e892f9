"""Whether a cost lies within a margin that was stated beforehand: two one-sided tests, with three outcomes.

A cost is the share of the control's rate that is missing: 0.02 where 2 % less was done. Rates are positive
and vary by factors, so that their logarithms are compared, by Welch's t, which asks for no equal spreads. The
90 % interval of the cost lies within the margin exactly where both tests at 5 % say so. Noisier blocks cannot
make a cost pass: a wider interval ends outside the margin.

Sources:
    D. J. Schuirmann, A comparison of the two one-sided tests procedure and the power approach for assessing
    the equivalence of average bioavailability, J. Pharmacokinet. Biopharm. 15, 1987.
    B. L. Welch, The generalization of Student's problem when several different population variances are
    involved, Biometrika 34, 1947.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from harness.analysis.stats import student

ERROR = 0.05
"""How often each of the two tests may be wrong."""


class Outcome(StrEnum):
    """What was shown of a cost and its margin."""

    WITHIN = "within the margin"
    BEYOND = "beyond the margin"
    NOT_SHOWN = "not shown"
    NO_MARGIN = "no margin was stated"


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """The cost of a treatment against a control.

    Attributes:
        value: One minus the ratio of the geometric means; negative where more was done.
        low: Lower end of its 90 % interval, or None where one side has a single value.
        high: Upper end likewise.
    """

    value: float
    low: float | None
    high: float | None

    def outcome(self, margin: float | None) -> Outcome:
        """What is shown against `margin`, a share such as 0.05, stated before the cost was measured."""
        if margin is None:
            return Outcome.NO_MARGIN
        if self.low is None or self.high is None:
            return Outcome.NOT_SHOWN
        if -margin < self.low and self.high < margin:
            return Outcome.WITHIN
        return Outcome.BEYOND if self.low > margin else Outcome.NOT_SHOWN


def cost(control: Sequence[float], treated: Sequence[float]) -> Cost:
    """The cost of `treated` against `control`, both rates of independent blocks.

    Raises:
        ValueError: A side is empty, or a rate is not positive and finite.
    """
    logs = [np.log(np.asarray(list(side), dtype=np.float64)) for side in (control, treated)]
    if any(not len(side) or not np.all(np.isfinite(side)) for side in logs):
        raise ValueError("a cost needs positive rates on both sides")
    difference = float(np.mean(logs[1]) - np.mean(logs[0]))
    value = 1 - math.exp(difference)
    if min(map(len, logs)) < 2:
        return Cost(value=value, low=None, high=None)
    parts = [float(np.var(side, ddof=1)) / len(side) for side in logs]
    spread = sum(parts)
    if spread == 0:
        return Cost(value=value, low=value, high=value)
    freedom = spread**2 / sum(part**2 / (len(side) - 1) for part, side in zip(parts, logs, strict=True))
    half = float(student.quantile(1 - ERROR, freedom)) * math.sqrt(spread)
    return Cost(value=value, low=1 - math.exp(difference + half), high=1 - math.exp(difference - half))
