"""Sums over the moves of several guests: the last RESUME with its uncertainty, and the link's share."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from harness.evidence.metric import Value
from harness.migration.measures.evacuation import Evacuation, last_of, sum_of


def resumed(value: float, uncertainty: float | None) -> Value:
    return Value(value=value, uncertainty=uncertainty)


@pytest.mark.parametrize(
    ("moments", "total", "uncertainty"),
    [
        ([resumed(3.0, 0.1), resumed(9.0, 0.2), resumed(6.0, 0.1)], 9.0, 0.2),
        ([resumed(8.9, 0.5), resumed(9.0, 0.2)], 9.0, 0.4),
        ([resumed(9.0, 0.0)], 9.0, 0.0),
        ([resumed(3.0, None), resumed(9.0, 0.2)], 9.0, None),
    ],
)
def test_the_last_guest_s_uncertainty_is_that_of_the_whole_evacuation(
    moments: list[Value], total: float, uncertainty: float | None
) -> None:
    found = last_of(moments)
    assert found.value == total
    assert found.uncertainty == (None if uncertainty is None else pytest.approx(uncertainty))


@pytest.mark.parametrize("come_to", [last_of, sum_of])
def test_one_guest_that_is_not_known_leaves_the_whole_unknown_for_its_reason(
    come_to: Callable[[Sequence[Value]], Value],
) -> None:
    found = come_to([resumed(3.0, 0.1), Value.missing("migration 2 failed")])
    assert (found.value, found.reason) == (None, "migration 2 failed")


@pytest.mark.parametrize("total_s", [0.0, -0.01])
def test_an_evacuation_that_took_no_time_by_the_clocks_has_no_share_of_the_link(total_s: float) -> None:
    one = evacuation(total_s)
    assert one.link_share(1e9).value is None
    assert "by the hosts' clocks" in str(one.link_share(1e9).reason)


def test_the_share_is_what_was_sent_of_what_the_link_carries() -> None:
    assert evacuation(2.0).link_share(1e9).value == pytest.approx(0.5)


def evacuation(total_s: float) -> Evacuation:
    return Evacuation(
        trial="001-idle",
        attempt=1,
        planned_s=0.0,
        departures=(),
        total=Value(value=total_s),
        sent_bytes=Value(value=125e6),
    )
