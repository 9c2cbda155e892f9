"""The test of steadiness that most workloads use: a stretch's rate agrees with that of the stretch before."""

from __future__ import annotations

from collections.abc import Sequence

SPAN = 3
"""Reports in each of the two stretches: with fewer one odd second decides, with more every trial waits."""

DRIFT = 0.25
"""How far the two stretches may differ, as a share of their mean."""


def level(work: Sequence[float], *, span: int = SPAN, drift: float = DRIFT) -> bool:
    """Whether the last `span` reports of work and the `span` before differ by at most `drift` of their mean.

    Neither stretch may be without work; fewer than two stretches are not steady.
    """
    last = work[-2 * span :]
    if len(last) < 2 * span:
        return False
    before, after = sum(last[:span]), sum(last[span:])
    return min(before, after) > 0 and abs(after - before) <= drift * (before + after) / 2
