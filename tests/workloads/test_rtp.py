"""RTP's arithmetic: losses across a wrap, gaps, periods, and clocks that move."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.clock import NS_PER_S
from harness.workloads.packets.rtp import (
    MAX_DROPOUT,
    MAX_MISORDER,
    SEQUENCE,
    Packet,
    clock_change_ns,
    losses,
    samples,
)

MS = 1_000_000
OFFSET_NS = 5_000 * NS_PER_S
"""The controller's clock minus the capture's."""


def packets(stamps_ns: list[int], delays_ns: list[int] | None = None) -> list[Packet]:
    delays = delays_ns or [0] * len(stamps_ns)
    return [
        Packet(stamp_ns=stamp, arrival_ns=stamp + OFFSET_NS + delay, source="0x1", number=index % SEQUENCE)
        for index, (stamp, delay) in enumerate(zip(stamps_ns, delays, strict=True))
    ]


@pytest.mark.parametrize(
    ("numbers", "lost"),
    [
        ([], []),
        ([7], [0]),
        ([7, 8, 9], [0, 0, 0]),
        ([7, 9], [0, 1]),
        ([65534, 65535, 0, 1], [0, 0, 0, 0]),
        ([65533, 2], [0, 4]),
        # Late is not lost, twice is not more, and late before the first is nothing.
        ([7, 9, 8, 10], [0, 0, 0, 0]),
        ([7, 10, 8, 11], [0, 1, 0, 0]),
        ([7, 7, 8, 8, 9], [0, 0, 0, 0, 0]),
        ([65535, 1, 0, 2], [0, 0, 0, 0]),
        ([7, 6, 8], [0, 0, 0]),
    ],
)
def test_losses(numbers: list[int], lost: list[int]) -> None:
    assert losses(numbers) == (lost, [])


def test_a_jump_is_a_new_beginning_and_no_loss() -> None:
    assert losses([100, 100 + MAX_DROPOUT, 101 + MAX_DROPOUT]) == ([0, 0, 0], ["100 to 3100"])
    assert losses([100, 99 + MAX_DROPOUT])[0] == [0, MAX_DROPOUT - 2]
    assert losses([5000, 5000 - MAX_MISORDER])[1] == []
    assert losses([5000, 4999 - MAX_MISORDER])[1] == ["5000 to 4899"]


@given(
    first=st.integers(min_value=0, max_value=SEQUENCE - 1),
    kept=st.lists(st.booleans(), min_size=2, max_size=300),
)
def test_what_was_left_out_is_what_is_missing(first: int, kept: list[bool]) -> None:
    kept = [True, *kept, True]
    numbers = [(first + index) % SEQUENCE for index, keep in enumerate(kept) if keep]
    lost, jumps = losses(numbers)
    assert (sum(lost), jumps) == (kept.count(False), [])


@given(first=st.integers(min_value=0, max_value=SEQUENCE - 1), order=st.permutations(range(60)))
def test_no_order_of_arrival_loses_what_came(first: int, order: list[int]) -> None:
    numbers = [(first + index) % SEQUENCE for index in order]
    lost, jumps = losses([first, *numbers])
    assert (sum(lost), jumps) == (0, [])


@given(st.lists(st.integers(min_value=0, max_value=SEQUENCE - 1), max_size=50))
def test_losses_are_never_negative(numbers: list[int]) -> None:
    lost, _ = losses(numbers)
    assert len(lost) == len(numbers)
    assert all(count >= 0 for count in lost)


def test_periods_are_counted_from_the_first_packet_and_the_last_is_not_over() -> None:
    stamps = [0, 400 * MS, 900 * MS, 1_100 * MS, 4_200 * MS, 5_000 * MS]
    found = list(samples(packets(stamps), [0, 0, 1, 0, 3, 0], NS_PER_S))
    assert [sample.work for sample in found] == [3, 1, 0, 0, 1]
    assert [sample.lost for sample in found] == [1, 0, 0, 0, 3]
    # The gap of 3.1 s ended in the fifth period; nothing ended in those between.
    assert [sample.stall_s for sample in found] == [0.5, 0.2, None, None, 3.1]
    assert [sample.t_ns - OFFSET_NS for sample in found] == [period * NS_PER_S for period in range(1, 6)]


def test_a_single_packet_ends_no_period_and_no_gap() -> None:
    assert list(samples(packets([5]), [0], NS_PER_S)) == []
    (sample,) = samples(packets([0, 1_500 * MS]), [0, 0], NS_PER_S)
    assert (sample.work, sample.stall_s) == (1, None)


def test_the_delay_of_arrivals_does_not_move_the_periods() -> None:
    stamps = [index * 100 * MS for index in range(30)]
    delays = [0 if index == 17 else (index * 37 % 250) * MS + 1 for index in range(30)]
    assert list(samples(packets(stamps, delays), [0] * 30, NS_PER_S)) == list(
        samples(packets(stamps), [0] * 30, NS_PER_S)
    )


def test_stamps_that_are_no_times_give_no_periods() -> None:
    first, second = packets([0, 100 * NS_PER_S])
    nonsense = Packet(stamp_ns=9_999_999_999 * NS_PER_S, arrival_ns=second.arrival_ns, source="0x1", number=2)
    assert list(samples([first, second, nonsense], [0, 0, 0], NS_PER_S)) == []


@pytest.mark.parametrize("step_ms", [-400, -60, 60, 400, 90_000])
def test_a_clock_that_is_set_is_seen(step_ms: int) -> None:
    even = packets(
        [index * 20 * MS for index in range(1000)], [(index * 37 % 250) * MS for index in range(1000)]
    )
    moved = [
        packet
        if index < 500
        else Packet(
            stamp_ns=packet.stamp_ns + step_ms * MS,
            arrival_ns=packet.arrival_ns,
            source=packet.source,
            number=packet.number,
        )
        for index, packet in enumerate(even)
    ]
    assert clock_change_ns(even) <= 10 * MS
    assert clock_change_ns(moved) == pytest.approx(abs(step_ms) * MS, abs=10 * MS)


def test_few_packets_do_not_tell_of_the_clock() -> None:
    assert clock_change_ns(packets([0, 1, 2], [0, NS_PER_S, 0])) == 0


@given(st.lists(st.integers(min_value=0, max_value=60 * NS_PER_S), min_size=1, max_size=60))
def test_no_packet_is_counted_twice_or_left_out(stamps: list[int]) -> None:
    found = list(samples(packets(stamps), [1] * len(stamps), NS_PER_S))
    first = min(stamps)
    over = sum((stamp - first) // NS_PER_S < len(found) for stamp in stamps)
    assert sum(sample.work for sample in found) == over
    assert sum(sample.lost or 0 for sample in found) == over
    assert len(found) == (max(stamps) - first) // NS_PER_S
