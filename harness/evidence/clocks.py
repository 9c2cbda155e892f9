"""How stamps of the machines' clocks map to the controller's, from the ``clock.sampled`` evidence.

Nothing here reads a clock. A machine whose clock was never compared has no mapping, and what it stamped is
not measured: an offset is never assumed to be zero.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from harness.clock import ClockOffset
from harness.evidence.events import ClockSampled, Opening, RunResumed, RunStarted
from harness.evidence.journal import Event
from harness.evidence.metric import NotMeasured


@dataclass(frozen=True, slots=True)
class Clocks:
    """The offsets known for each machine: (when sampled, controller's ns; offset), by time."""

    samples: Mapping[str, tuple[tuple[int, ClockOffset], ...]] = field(default_factory=dict)

    @classmethod
    def of(cls, events: Sequence[Event], near: Event) -> Clocks:
        """The samples that hold for the time of `near`.

        A resumed run may go on under another boot of the controller, whose clock started again: samples from
        before such a restart say nothing about stamps after it.
        """
        found: dict[str, list[tuple[int, ClockOffset]]] = {}
        boots = _boots(events)
        for event in events:
            if event.kind == ClockSampled.KIND and boots[event.seq] == boots[near.seq]:
                offset = _offset(event)
                if offset is not None:
                    found.setdefault(offset.machine, []).append((event.t_ns, offset))
        return cls(
            {machine: tuple(sorted(pairs, key=lambda pair: pair[0])) for machine, pairs in found.items()}
        )

    def nearest(self, machine: str, t_ns: int) -> ClockOffset:
        """The offset of `machine` sampled nearest to `t_ns` (controller's).

        Machines on the controller's own kernel share both of its clocks, so that any sample of one of them
        holds for all: two stamps mapped near the same moment then differ by exactly what they differed in
        their own clock.

        Raises:
            NotMeasured: The machine's clock was never compared with the controller's.
        """
        own = self.samples.get(machine, ())
        if own and all(offset.same_kernel for _, offset in own):
            own = tuple(
                pair for name in sorted(self.samples) for pair in self.samples[name] if pair[1].same_kernel
            )
        if not own:
            raise NotMeasured(f"the clock of {machine} was never compared with the controller's")
        return min(own, key=lambda pair: abs(pair[0] - t_ns))[1]

    def from_monotonic(self, machine: str, stamps_ns: NDArray[np.int64]) -> NDArray[np.int64]:
        """Monotonic stamps of `machine` in the controller's ns, each by the sample nearest to it."""
        if machine == "controller" or not len(stamps_ns):
            return stamps_ns
        own = self.samples.get(machine, ())
        if not own:
            raise NotMeasured(f"the clock of {machine} was never compared with the controller's")
        offsets = np.array([offset.monotonic_offset_ns for _, offset in own], dtype=np.int64)
        times = np.array([t_ns for t_ns, _ in own], dtype=np.int64)
        middles = times[:-1] + np.diff(times) // 2
        mapped: NDArray[np.int64] = stamps_ns + offsets[np.searchsorted(middles, stamps_ns + offsets[0])]
        return mapped

    def apart_ns(self, one: str, other: str, near_ns: int) -> int:
        """By how much the wall clocks of two machines may differ: as sampled, and the samples' uncertainty.

        Raises:
            NotMeasured: One of them was never compared with the controller's.
        """
        samples = self.nearest(one, near_ns), self.nearest(other, near_ns)
        between_ns = abs(samples[0].realtime_offset_ns - samples[1].realtime_offset_ns)
        return between_ns + sum(0 if each.same_kernel else each.uncertainty_ns for each in samples)

    def uncertainty_ns(self, machine: str, near_ns: int) -> int:
        """Within what a mapped stamp of `machine` is certain; 0 on the controller's own kernel."""
        offset = self.nearest(machine, near_ns)
        return 0 if offset.same_kernel else offset.uncertainty_ns


def _boots(events: Sequence[Event]) -> list[str]:
    """Under which boot of the controller each event was stamped."""
    boot = ""
    boots = []
    for event in events:
        if event.kind in (RunStarted.KIND, RunResumed.KIND):
            opening = event.says(Opening)
            boot = (opening and opening.boot_id) or f"unknown, from event {event.seq} on"
        boots.append(boot)
    return boots


def _offset(event: Event) -> ClockOffset | None:
    """What a ``clock.sampled`` event says, or None when it is not whole."""
    said = event.says(ClockSampled)
    if said is None:
        return None
    return ClockOffset(
        machine=said.machine,
        monotonic_offset_ns=said.monotonic_offset_ns,
        realtime_offset_ns=said.realtime_offset_ns,
        uncertainty_ns=said.uncertainty_ns,
        same_kernel=said.same_kernel,
    )
