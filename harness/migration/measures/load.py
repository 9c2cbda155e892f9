"""How busy the machines were: core-seconds a second over a stretch, from cumulative counters.

In the lab both hosts share one kernel, and their busy time is that of the whole machine; a report says so.
"""

from __future__ import annotations

import numpy as np

from harness.clock import NS_PER_S
from harness.evidence.attempt import Attempt
from harness.evidence.metric import NotMeasured, Value
from harness.migration.measures.transfer import around


def cores(attempt: Attempt, machine: str, column: str, first_ns: int, last_ns: int) -> Value:
    """Cores that `machine` kept busy from `first_ns` to `last_ns` (controller's), on average.

    Args:
        attempt: The attempt.
        machine: ``a``, ``b`` or ``controller``.
        column: The cumulative counter in seconds.
        first_ns: The stretch's start; the last reading at or before it is taken.
        last_ns: The stretch's end; the first reading at or after it is taken.

    A counter of processes falls when one of them ends, as the source's QEMU does: only increments count, and
    what was used after the ended process's last reading is not seen.

    Raises:
        NotMeasured: The series is missing or does not reach around the stretch.
    """
    name = "controller.csv" if machine == "controller" else f"host-{machine}.csv"
    frame = attempt.table(name)
    whole = (frame["t_ns"].notna() & frame[column].notna()).to_numpy()
    stamps = frame["t_ns"].to_numpy(dtype=np.int64, na_value=0)[whole]
    times = attempt.clocks.from_monotonic(machine, stamps)
    first, last = around(times, first_ns, last_ns, f"CPU counter of {machine}")
    if times[last] <= times[first]:
        raise NotMeasured(f"the CPU counter of {machine} has one reading only")
    used = np.diff(frame[column].to_numpy(dtype=np.float64)[whole][first : last + 1])
    return Value(value=float(np.sum(used[used > 0])) / (int(times[last] - times[first]) / NS_PER_S))
