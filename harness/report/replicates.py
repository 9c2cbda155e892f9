"""How values of several trials are written in a report: the interval of the trials, and what to doubt.

A table says how many trials there are and how many values; its caption says how the intervals were made.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import pandas as pd

from harness.analysis.stats import Replicated, replicated

UNIT = (
    "The values of one trial share a boot and its load, so each trial counts once, by its median; one or two "
    "trials carry no interval, and every value is shown elsewhere in the report"
)
"""What the captions say of intervals."""
TWO_KINDS = (
    "the trials seem to be of two kinds: the interval holds the median of such trials less often than that "
    "of others, and no single number describes both kinds"
)


def of_trials(rows: pd.DataFrame, column: str = "value", *, signed: bool = False) -> Replicated | None:
    """The known values of `column` by trial; None where none is known.

    Args:
        rows: One row a value, with the column ``trial``.
        column: Where the values are.
        signed: Whether the quantity can be negative.
    """
    known = rows.loc[rows[column].notna(), ["trial", column]]
    if not len(known):
        return None
    return replicated([list(mine) for _, mine in known.groupby("trial", sort=False)[column]], signed=signed)


def interval(found: Replicated, write: Callable[[float], str]) -> str:
    """Such as ``3.30–3.52``; empty where there is none."""
    if found.interval_low is None or found.interval_high is None:
        return ""
    return f"{write(found.interval_low)}–{write(found.interval_high)}"


def doubts(found: Replicated, write: Callable[[float], str]) -> list[str]:
    """What speaks against the numbers of a cell, for its footnote.

    Args:
        found: The numbers.
        write: How they are written, with their unit.
    """
    said = []
    if found.without_one is not None:
        said.append(
            f"one value dominates the mean: without that value it is {write(found.without_one)}, and the "
            f"median of all is {write(found.median)}"
        )
    if found.two_modes:
        said.append(TWO_KINDS)
    return said


def counts(found: Replicated) -> str:
    """Such as ``10 in 1 trial``."""
    return f"{found.n} in {found.trials} {'trial' if found.trials == 1 else 'trials'}"


def methods(found: Iterable[Replicated]) -> str:
    """How the intervals were made, each way once, the fewest trials first."""
    ordered = sorted(found, key=lambda one: (one.trials, one.method))
    return "; ".join(dict.fromkeys(one.method for one in ordered)).replace(" %", "\u00a0%") or "none"
