"""What pre-copy costs by its model: from memory, dirty rate, bandwidth and limit to passes, times and data.

Memory is sent once while the guest runs; what the guest dirtied meanwhile is sent next, and so on. Once what
is left can be sent within the downtime limit, the guest is stopped for it (Clark et al., Live Migration of
Virtual Machines, NSDI 2005, sections 2 and 3). The model knows neither set-up, nor protocol, nor the state of
devices, and takes dirty rate and bandwidth as constant: a report states its error.
"""

from __future__ import annotations

from dataclasses import dataclass

MOST_PASSES = 100_000
"""A guest that dirties almost as fast as the link sends ends after many passes, and the sum must end too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What a guest does to its memory.

    Attributes:
        memory_bytes: What is sent once: the memory that is not zero.
        dirty_bytes_s: What it dirties in a second.
        working_set_bytes: The memory among which that is: what one pass leaves to be sent again at most.
    """

    memory_bytes: float
    dirty_bytes_s: float
    working_set_bytes: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Precopy:
    """What a migration costs by the model.

    Attributes:
        passes: Passes over memory, the last one with the guest stopped included.
        total_s: From the first byte to the last.
        downtime_s: The last pass.
        sent_bytes: What all passes send.
    """

    passes: int
    total_s: float
    downtime_s: float
    sent_bytes: float


def precopy(load: Load, *, bandwidth_bytes_s: float, limit_s: float) -> Precopy | None:
    """What moving a guest with `load` costs; None where it never ends.

    It never ends once a pass leaves as much as the one before and that does not fit into the limit.

    Args:
        load: The guest's.
        bandwidth_bytes_s: What the migration can send, above 0.
        limit_s: For how long the guest may be stopped.

    >>> busy = Load(memory_bytes=1000e6, dirty_bytes_s=50e6, working_set_bytes=400e6)
    >>> found = precopy(busy, bandwidth_bytes_s=100e6, limit_s=0.3)
    >>> found.passes, found.total_s, found.downtime_s
    (6, 17.75, 0.25)
    """
    left, running_s, sent = load.memory_bytes, 0.0, 0.0
    for passes in range(1, MOST_PASSES + 1):
        took_s = left / bandwidth_bytes_s
        sent += left
        if took_s <= limit_s:
            return Precopy(passes=passes, total_s=running_s + took_s, downtime_s=took_s, sent_bytes=sent)
        running_s += took_s
        again = min(load.working_set_bytes, load.dirty_bytes_s * took_s)
        if again >= left:
            return None
        left = again
    return None
