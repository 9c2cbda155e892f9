"""The plane of a trend's chart: ticks at round values, nights of one day told apart."""

from __future__ import annotations

import pytest

from harness.analysis.trend.course import Point, Series, Stop
from harness.report.trend import chart


def drawn(values: list[float], began: list[str]) -> chart.Chart:
    stops = [
        Stop(run=f"r{n}", started_utc=at, root=f"r{n}", planned=3, valid=3, changed=())
        for n, at in enumerate(began)
    ]
    points = tuple(Point(night=n, value=value, trials=3, n=3) for n, value in enumerate(values))
    series = Series(
        workload="idle",
        variant=None,
        metric="total_time",
        unit="s",
        better="lower",
        points=points,
        changes=(),
    )
    return chart.of(series, stops, {stop.run: stop.run for stop in stops}, "total-time")


NIGHTS = [f"2026-11-0{n}T02:00:00+00:00" for n in range(1, 5)]
HOURS = [f"2026-11-28T1{n}:05:00+00:00" for n in range(1, 5)]


@pytest.mark.parametrize(
    ("values", "ticks"),
    [
        ([2.9, 3.02, 4.53, 3.34], ["3", "3.5", "4", "4.5"]),
        ([0.0612, 0.0655, 0.0601, 0.0633], ["0.06", "0.062", "0.064"]),
        ([3.0, 3.0, 3.0, 3.0], ["2.8", "3", "3.2"]),
    ],
)
def test_ticks_are_round_values_inside_the_plane(values: list[float], ticks: list[str]) -> None:
    made = drawn(values, NIGHTS)
    assert [one.text for one in made.across] == ticks
    assert all(chart.TOP <= one.y1 <= chart.HEIGHT - chart.BOTTOM for one in made.across)


def test_a_tick_is_where_a_mark_of_its_value_is() -> None:
    made = drawn([2.9, 3.0, 4.5, 3.5], NIGHTS)
    height = {one.text: one.y1 for one in made.across}
    assert [made.marks[n].y for n in (1, 3)] == [height["3"], height["3.5"]]


def test_nights_of_one_day_are_told_apart() -> None:
    values = [1.0, 2.0, 3.0, 4.0]
    assert [one.text for one in drawn(values, NIGHTS).along] == [at[:10] for at in NIGHTS]
    assert [one.text for one in drawn(values, HOURS).along] == [f"11-28 1{n}:05" for n in range(1, 5)]
