"""What a small run says of the campaign to plan: how trials and migrations vary, and how many are needed.

The values of one workload are split into what differs between trials and between the migrations of one
(one-way random effects, by analysis of variance). With what a trial and a further migration take, that gives
the number of trials, and of migrations in each, that find an effect with a probability of 80 %, at the level
of ``sodbench gate``.

Sources:
    S. R. Searle, G. Casella and C. E. McCulloch, Variance Components, 1992, chapter 3.
    W. G. Cochran, Sampling Techniques, 3rd ed., 1977, section 10.6: the best size of a subsample.
    R. H. Browne, On the use of a pilot sample for sample size determination, Stat. Med. 14, 1995.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from harness.analysis.gate.judgement import LEVEL, POWER
from harness.analysis.stats import student
from harness.analysis.stats.trials import FROM_T
from harness.evidence.events import AttemptFinished, AttemptStarted, WindowClosed, WindowOpened
from harness.evidence.journal import Event

MOST_MIGRATIONS = 50
MOST_TRIALS = 1000
CAUTIOUS = 0.8
"""A pilot's variance is taken at its upper limit of this confidence: it is as often too low as too high."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Components:
    """How values vary, on the logarithmic scale.

    Attributes:
        trials: How many trials.
        migrations: How many values a trial has on average.
        between: Variance between trials, not below 0.
        within: Variance between the migrations of a trial; None where each trial has one.
    """

    trials: int
    migrations: float
    between: float
    within: float | None

    @property
    def share(self) -> float | None:
        """The share of trials in the variance (intraclass correlation); None where that is not known."""
        whole = self.between + (self.within or 0.0)
        return None if self.within is None or whole == 0 else self.between / whole

    def of_a_trial(self, migrations: float) -> float:
        """The variance of a trial's median with that many migrations (of normal values)."""
        return self.between + (self.within or 0.0) * math.pi / (2 * migrations + math.pi - 2)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What a trial takes in s: `trial_s` without its migrations, `migration_s` for each."""

    trial_s: float
    migration_s: float

    def of(self, trials: int, migrations: int) -> float:
        """What so many trials with so many migrations take, in s."""
        return trials * (self.trial_s + migrations * self.migration_s)


@dataclass(frozen=True, slots=True, kw_only=True)
class Design:
    """Trials on either side, migrations in each, and what both sides take."""

    trials: int
    migrations: int
    takes_s: float


def components(values: Sequence[Sequence[float]]) -> Components | None:
    """The components of each trial's values; None for fewer than three trials or a value not above 0."""
    groups = [np.log(np.asarray(one)) for one in values if len(one) and min(one) > 0]
    if len(groups) < max(FROM_T, len(values)):
        return None
    sizes = np.array([len(one) for one in groups])
    n, trials = int(sizes.sum()), len(groups)
    means = np.array([float(np.mean(one)) for one in groups])
    middle = float(np.concatenate(groups).mean())
    of_trials = float(np.sum(sizes * (means - middle) ** 2)) / (trials - 1)
    if n == trials:
        return Components(trials=trials, migrations=1.0, between=of_trials, within=None)
    within = sum(float(np.sum((one - one.mean()) ** 2)) for one in groups) / (n - trials)
    size = (n - float(np.sum(sizes**2)) / n) / (trials - 1)
    return Components(
        trials=trials, migrations=n / trials, between=max(0.0, (of_trials - within) / size), within=within
    )


def needed(found: Components, effect: float, migrations: int) -> int | None:
    """Trials a side that find a worsening by `effect` (0.1 is 10 %); None above :data:`MOST_TRIALS`."""
    caution = (found.trials - 1) / student.chi_squared_quantile(1 - CAUTIOUS, found.trials - 1)
    variance = caution * found.of_a_trial(migrations)
    trials = np.arange(FROM_T, MOST_TRIALS + 1)
    freedom = 2 * (trials - 1)
    half = (student.quantile(1 - LEVEL, freedom) + student.quantile(POWER, freedom)) * np.sqrt(
        2 * variance / trials
    )
    enough = np.flatnonzero(half <= math.log1p(effect))
    return int(trials[enough[0]]) if len(enough) else None


def best(found: Components, cost: Cost, effect: float) -> Design | None:
    """The design that takes least, or None. Without a variance within trials, one migration."""
    choices = []
    for migrations in range(1, 2 if found.within is None else MOST_MIGRATIONS + 1):
        trials = needed(found, effect, migrations)
        if trials is not None:
            takes_s = cost.of(2 * trials, migrations)
            choices.append(Design(trials=trials, migrations=migrations, takes_s=takes_s))
    return min(choices, key=lambda one: one.takes_s, default=None)


def costs(events: Sequence[Event], migrations: Mapping[str, int]) -> Cost | None:
    """The median cost over the whole attempts of the trials in `migrations`; None without any.

    A migration costs its share of the window; a trial all the rest: its boot, load, baseline and collecting.
    """
    times: dict[tuple[str, int], dict[str, int]] = {}
    for event in events:
        if event.trial in migrations and event.attempt is not None:
            times.setdefault((str(event.trial), event.attempt), {})[event.kind] = event.t_ns
    kinds = (AttemptStarted.KIND, WindowOpened.KIND, WindowClosed.KIND, AttemptFinished.KIND)
    rest, each = [], []
    for (trial, _), at in times.items():
        if all(kind in at for kind in kinds) and migrations[trial]:
            started, opened, closed, finished = (at[kind] / 1e9 for kind in kinds)
            rest.append(finished - started - (closed - opened))
            each.append((closed - opened) / migrations[trial])
    if not rest:
        return None
    return Cost(trial_s=float(np.median(rest)), migration_s=float(np.median(each)))
