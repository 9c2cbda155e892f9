"""RTP packets as a capture saw them: which never came, when they came, and whether the clock can be trusted.

A guest that is stopped sends nothing, so that its stream has a gap and no loss. Gaps are therefore taken
between packets, by the capturing kernel's stamps alone; only the place on the controller's time line needs
the controller's clock.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from harness.clock import NS_PER_S
from harness.workloads.contract import Sample

SEQUENCE = 1 << 16
MAX_DROPOUT = 3000
"""RFC 3550, A.1: a sequence number that jumps further ahead comes from a sender that started again."""

MAX_MISORDER = 100
"""RFC 3550, A.1: a packet that is at most this far behind came late or twice."""

MAX_CLOCK_CHANGE_NS = 50_000_000
_PARTS = 4
_PER_PART = 25
"""A quarter of a capture with fewer packets may hold none that arrived promptly."""

_SLACK_NS = 60 * NS_PER_S


@dataclass(frozen=True, slots=True)
class Packet:
    """A captured packet.

    Attributes:
        stamp_ns: The capturing kernel's wall clock.
        arrival_ns: The controller's clock when the packet's line arrived there.
        source: RTP's SSRC.
        number: RTP's sequence number, 16 bits.
    """

    stamp_ns: int
    arrival_ns: int
    source: str
    number: int


def losses(numbers: Sequence[int]) -> tuple[list[int], list[str]]:
    """How many packets are missing right before each one and never came, and where the sender started again.

    Args:
        numbers: The sequence numbers in the order of the capture; they wrap at 65536.
    """
    missing: dict[int, int] = {}
    jumps: list[str] = []
    highest = numbers[0] if numbers else 0
    for index, number in enumerate(numbers):
        ahead = (number - highest) % SEQUENCE
        if ahead < MAX_DROPOUT:
            missing.update((expected, index) for expected in range(highest + 1, highest + ahead))
            highest += ahead
        elif ahead >= SEQUENCE - MAX_MISORDER:
            missing.pop(highest + ahead - SEQUENCE, None)
        else:
            jumps.append(f"{highest % SEQUENCE} to {number}")
            highest += ahead
    count = Counter(missing.values())
    return [count[index] for index in range(len(numbers))], jumps


def repeats(numbers: Sequence[int]) -> list[bool]:
    """Which packets came before: captured on two interfaces, or sent twice.

    Args:
        numbers: The sequence numbers in the order of the capture; they wrap at 65536.
    """
    seen: set[int] = set()
    found: list[bool] = []
    highest = numbers[0] if numbers else 0
    for number in numbers:
        ahead = (number - highest) % SEQUENCE
        place = highest + ahead - (SEQUENCE if ahead >= SEQUENCE - MAX_MISORDER else 0)
        found.append(place in seen)
        seen.add(place)
        highest = max(highest, place)
    return found


def clock_change_ns(packets: Sequence[Packet]) -> int:
    """By how much the capture's clock and the controller's moved apart in the capture's course.

    An arrival is the stamp plus a delay that is never negative, so that the smallest difference of a stretch
    is the clocks' offset and a little more. The value is by how much those of the four quarters differ.
    """
    if len(packets) < _PARTS * _PER_PART:
        return 0
    size = len(packets) // _PARTS
    offsets = [_offset_ns(packets[part * size : (part + 1) * size]) for part in range(_PARTS)]
    return max(offsets) - min(offsets)


def _offset_ns(packets: Sequence[Packet]) -> int:
    return min(packet.arrival_ns - packet.stamp_ns for packet in packets)


def samples(packets: Sequence[Packet], lost: Sequence[int], period_ns: int) -> Iterator[Sample]:
    """Packets, losses and the longest gap of each period from the first packet on, empty ones included.

    The period that the last packet is in is not over and is left out. Nothing is yielded where stamps span a
    minute more than arrivals do: then they are no times.

    Args:
        packets: In the order of the capture, without any that is no packet of the stream.
        lost: What :func:`losses` says of them.
        period_ns: The length of a period.
    """
    if not packets:
        return
    offset_ns = _offset_ns(packets)
    order = sorted(zip(packets, lost, strict=True), key=lambda pair: pair[0].stamp_ns)
    first_ns, last_ns = order[0][0].stamp_ns, order[-1][0].stamp_ns
    arrivals = [packet.arrival_ns for packet in packets]
    if last_ns - first_ns > max(arrivals) - min(arrivals) + _SLACK_NS:
        return
    work, gone, stalls, before_ns = Counter[int](), Counter[int](), dict[int, int](), first_ns
    for packet, missing in order:
        period = (packet.stamp_ns - first_ns) // period_ns
        if work:
            stalls[period] = max(stalls.get(period, 0), packet.stamp_ns - before_ns)
        work[period] += 1
        gone[period] += missing
        before_ns = packet.stamp_ns
    for period in range((last_ns - first_ns) // period_ns):
        stall_ns = stalls.get(period)
        yield Sample(
            t_ns=first_ns + (period + 1) * period_ns + offset_ns,
            work=float(work[period]),
            stall_s=None if stall_ns is None else stall_ns / NS_PER_S,
            lost=gone[period],
        )
