"""The model of pre-copy against cases that were worked out by hand."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.analysis.precopy_model import Load, Precopy, precopy

MB = 1e6


def moved(
    memory_mb: float, dirty_mb_s: float, working_set_mb: float, *, bandwidth_mb_s: float, limit_s: float
) -> Precopy | None:
    load = Load(
        memory_bytes=memory_mb * MB,
        dirty_bytes_s=dirty_mb_s * MB,
        working_set_bytes=working_set_mb * MB,
    )
    return precopy(load, bandwidth_bytes_s=bandwidth_mb_s * MB, limit_s=limit_s)


@pytest.mark.parametrize(
    ("load", "limit_s", "passes", "total_s", "downtime_s", "sent_mb"),
    [
        # An idle guest: all memory in 8 s, then nothing is left to be sent with the guest stopped.
        ((800, 0, 0), 0.03, 2, 8.0, 0.0, 800),
        # 10 s; 500 MB: 5 s; 2.5; 1.25; 0.625; 0.3125; then 15.625 MB fit into 0.3 s.
        ((1000, 50, 10_000), 0.3, 7, 19.84375, 0.15625, 1984.375),
        # The working set bounds what the first pass leaves: 10 s; 400 MB: 4 s; 2; 1; 0.5; then 25 MB.
        ((1000, 50, 400), 0.3, 6, 17.75, 0.25, 1775),
        # Faster than the link, but the working set of 20 MB fits into the limit: 10 s, then 0.2 s.
        ((1000, 500, 20), 0.3, 2, 10.2, 0.2, 1020),
        # All of it fits into the limit.
        ((20, 50, 400), 0.3, 1, 0.2, 0.2, 20),
    ],
)
def test_the_model_is_what_is_worked_out_by_hand(
    load: tuple[float, float, float],
    limit_s: float,
    passes: int,
    total_s: float,
    downtime_s: float,
    sent_mb: float,
) -> None:
    found = moved(*load, bandwidth_mb_s=100, limit_s=limit_s)
    assert found is not None
    assert found.passes == passes
    assert found.total_s == pytest.approx(total_s)
    assert found.downtime_s == pytest.approx(downtime_s)
    assert found.sent_bytes == pytest.approx(sent_mb * MB)


@pytest.mark.parametrize("dirty_mb_s", [100, 101, 1000])
def test_a_guest_that_dirties_as_fast_as_the_link_sends_never_ends(dirty_mb_s: float) -> None:
    assert moved(1000, dirty_mb_s, 400, bandwidth_mb_s=100, limit_s=0.3) is None


def test_the_paced_writer_leaves_its_limit_at_the_ratio_of_one() -> None:
    below = moved(180, 99, 32, bandwidth_mb_s=100, limit_s=0.03)
    assert below is not None
    assert below.downtime_s <= 0.03
    assert moved(180, 101, 32, bandwidth_mb_s=100, limit_s=0.03) is None


@given(
    memory_mb=st.floats(1, 4000),
    ratio=st.floats(0, 0.98),
    working_set_mb=st.floats(0, 4000),
    limit_s=st.floats(0.001, 2),
)
def test_below_the_link_it_ends_within_the_limit_and_sends_for_its_whole_time(
    memory_mb: float, ratio: float, working_set_mb: float, limit_s: float
) -> None:
    found = moved(memory_mb, ratio * 100, working_set_mb, bandwidth_mb_s=100, limit_s=limit_s)
    assert found is not None
    assert found.downtime_s <= limit_s
    assert found.sent_bytes == pytest.approx(found.total_s * 100 * MB)
    assert found.total_s >= memory_mb / 100 * (1 - 1e-9)
