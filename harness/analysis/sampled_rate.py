"""What QEMU's page sampling says of a dirty rate: when it is valid, and how far chance alone moves it.

QEMU hashes some pages of the guest's memory, waits for a period, and hashes them again: it counts which pages
differ, not how often they were written (qemu, migration/dirtyrate.c, mode page-sampling). The rate is the
share that differs times the memory over the period.
"""

from __future__ import annotations

import math

MOST_PAGES_PER_GIB = 16384
"""The most that QEMU samples: one page of sixteen (MAX_SAMPLE_PAGE_COUNT in migration/dirtyrate.h there)."""
_MIB_PER_GIB = 1024


def valid(size_mib: float, rate_mib_s: float, period_s: float) -> bool:
    """Whether a working set of `size_mib` is not written through within the period.

    Beyond that a page is written again, which sampling cannot see, and the rate seems lower than it is.

    >>> valid(64, 45, 1), valid(64, 45, 2)
    (True, False)
    """
    return size_mib > rate_mib_s * period_s


def chance(memory_mib: float, rate_mib_s: float, period_s: float) -> float:
    """The relative standard error by the choice of the pages alone, of a guest with `memory_mib`.

    As many pages as QEMU samples at most are drawn, each of which was dirtied with the same probability.

    >>> round(chance(256, 4, 1), 3)
    0.124
    """
    pages = memory_mib / _MIB_PER_GIB * MOST_PAGES_PER_GIB
    share = min(1.0, rate_mib_s * period_s / memory_mib)
    return math.sqrt((1 - share) / (pages * share))
