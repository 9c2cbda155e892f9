"""How long a guest has been up by its own clock, waited for where the campaign asks.

A restored guest goes on counting where it was saved, so that its own counter is asked and not the harness's.
"""

from __future__ import annotations

import re

from harness.clock import NS_PER_S
from harness.errors import WorkloadError
from harness.evidence.events import GuestAged
from harness.evidence.record import Record
from harness.interrupt import Interrupt
from harness.rig.contract import Machine

COMMAND = "cat /proc/uptime"
LINE = re.compile(r"^(?P<up_s>\d{1,10}\.\d{2}) \d{1,14}\.\d{2}$", re.ASCII | re.MULTILINE)
"""proc(5): seconds since the boot, and the idle time of all CPUs."""
_ROUNDS = 5
"""The guest's clock may run slower than ours, as an emulated one does under load."""
_LONGEST = 300


def reach(guest: Machine, record: Record, interrupt: Interrupt, asked_s: float) -> None:
    """Wait until the guest has been up for `asked_s`.

    Raises:
        InterruptedRunError: The user wants to stop.
        WorkloadError: The guest does not say how long it has been up, or its clock stands still.
    """
    begin_ns = record.clock.now_ns()
    up_s = _up_s(guest)
    for _ in range(_ROUNDS):
        end_ns = record.clock.now_ns() + round((asked_s - up_s) * NS_PER_S)
        while (left_s := (end_ns - record.clock.now_ns()) / NS_PER_S) > 0:
            interrupt.check()
            interrupt.pause(record.clock, left_s)
        interrupt.check()
        if up_s >= asked_s:
            waited_s = (record.clock.now_ns() - begin_ns) / NS_PER_S
            record.add(GuestAged(asked_s=asked_s, up_s=up_s, waited_s=waited_s))
            return
        up_s = _up_s(guest)
    raise WorkloadError(
        "the guest's clock is too slow for the age that the campaign asks for",
        where=guest.role,
        why=f"it counts {up_s:g} of {asked_s:g} s after {_ROUNDS} times the rest was waited for",
    )


def _up_s(guest: Machine) -> float:
    text = guest.run(COMMAND, limit="answer_s", root=False)
    found = LINE.search(text[:_LONGEST])
    if found is None:
        raise WorkloadError(
            "the guest does not say how long it has been up", where=guest.role, why=text[:_LONGEST]
        )
    return float(found["up_s"])
