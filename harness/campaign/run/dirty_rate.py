"""A load's dirty rate as QEMU sees it: pages sampled before the baseline, next to what the load states.

QEMU samples as many pages as it can (:mod:`harness.analysis.sampled_rate` says when that is valid). The check
is an observer: where it fails the trial goes on, and the reason is recorded.
"""

from __future__ import annotations

from collections.abc import Mapping

from harness.analysis.sampled_rate import MOST_PAGES_PER_GIB
from harness.clock import NS_PER_S
from harness.errors import StorageError
from harness.evidence.events import DirtyRateSampled
from harness.evidence.record import Record
from harness.interrupt import Interrupt
from harness.json_types import Json
from harness.rig.contract import HypervisorError, Job
from harness.workloads.contract import Dirtying

OBSERVER = "dirty-rate"
PATIENCE_S = 15.0
"""For how long beyond the period QEMU may hash the pages, twice."""
_LOOK_S = 0.25
_MOST_MIB_S = 1 << 30


def sample(job: Job, record: Record, interrupt: Interrupt, dirtying: Dirtying, period_s: int) -> None:
    """Record the rate that QEMU sees within `period_s`, or why it sees none.

    Raises:
        InterruptedRunError: The user wants to stop.
        StorageError: It cannot be recorded.
    """
    try:
        job.qemu("calc-dirty-rate", {"calc-time": period_s, "sample-pages": MOST_PAGES_PER_GIB})
        found = _awaited(job, record, interrupt, period_s)
        record.add(
            DirtyRateSampled(
                period_s=period_s,
                sample_pages=_whole(found, "sample-pages"),
                rate_mib_s=_whole(found, "dirty-rate"),
                stated_mib_s=dirtying.rate_mib_s,
                working_set_mib=dirtying.size_mib,
            )
        )
    except StorageError:
        raise
    except HypervisorError as error:
        record.failed(OBSERVER, error.summary)


def _awaited(job: Job, record: Record, interrupt: Interrupt, period_s: int) -> Mapping[str, Json]:
    end_ns = record.clock.now_ns() + round((period_s + PATIENCE_S) * NS_PER_S)
    while record.clock.now_ns() < end_ns:
        interrupt.check()
        interrupt.pause(record.clock, _LOOK_S)
        found = job.qemu("query-dirty-rate")
        if isinstance(found, Mapping) and found.get("status") == "measured":
            return found
    raise HypervisorError(f"QEMU has no dirty rate {PATIENCE_S:g} s after a period of {period_s} s")


def _whole(found: Mapping[str, Json], name: str) -> int:
    value = found.get(name)
    if type(value) is not int or not 0 <= value < _MOST_MIB_S:
        raise HypervisorError(f"QEMU does not say its {name}", why=str(value)[:100])
    return value
