"""Figures that cannot be are not measured: nulls with the reason, never in a mean and never clipped."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from harness.analysis import table as results
from harness.evidence.journal import Event
from harness.json_types import Json
from tests.migration.runs import ONE, SMALL, edited, reason, row, value
from tests.synthetic.evidence import ClockTruth, Truths

WRAPPED = 2**64 - 7
OF_LIBVIRT = ("total_time_libvirt", "downtime_libvirt", "downtime_libvirt_net", "data_sent", "ram_bytes")


def stats(path: Path, kind: str, change: dict[str, Json], truths: Truths = SMALL) -> pd.DataFrame:
    """The metrics of a run whose events of that kind say `change` in their statistics, or in themselves."""

    def edit(event: Event) -> Event:
        if event.kind != kind:
            return event
        if "stats" not in event.data:
            return replace(event, data={**event.data, **change})
        given = event.data["stats"]
        assert isinstance(given, dict)
        return replace(event, data={**event.data, "stats": {**given, **change}})

    return results.compute(edited(path, edit, truths))


def test_statistics_that_were_not_filled_are_not_measured(tmp_path: Path) -> None:
    times = ("time_elapsed", "downtime", "downtime_net", "setup_time")
    memory = ("memory_total", "memory_processed", "memory_constant", "memory_bps", "memory_iteration")
    names = (*times, *memory, "data_processed", "data_remaining")
    table = stats(tmp_path, "job.completed", dict.fromkeys(names, 0))
    for metric in (*OF_LIBVIRT, "setup_time", "zero_bytes", "bandwidth"):
        assert "not filled" in reason(table, metric)
    assert value(table, "total_time") == pytest.approx(ONE.total_s, abs=1e-5), (
        "the others see it all the same"
    )


def test_statistics_that_were_filled_are_taken_in_place_of_others(tmp_path: Path) -> None:
    def edit(event: Event) -> Event:
        if event.kind != "job.completed" or event.data.get("origin") != "event":
            return event
        given = event.data["stats"]
        assert isinstance(given, dict)
        return replace(event, data={**event.data, "stats": dict.fromkeys(given, 0)})

    assert value(results.compute(edited(tmp_path, edit)), "data_sent") == ONE.data_sent_bytes


@pytest.mark.parametrize("downtime", [-7, WRAPPED, 2**63])
@pytest.mark.parametrize(
    ("kind", "field", "metric"),
    [
        ("job.completed", "downtime", "downtime_libvirt"),
        ("job.completed", "downtime_net", "downtime_libvirt_net"),
        ("job.completed", "setup_time", "setup_time"),
        ("job.completed", "data_processed", "data_sent"),
        ("job.completed", "memory_constant", "zero_bytes"),
        ("qemu.completed", "downtime_ms", "downtime_qemu"),
        ("qemu.completed", "total_time_ms", "total_time_qemu"),
    ],
)
def test_a_negative_figure_is_not_measured(
    tmp_path: Path, downtime: int, kind: str, field: str, metric: str
) -> None:
    found = reason(stats(tmp_path, kind, {field: downtime}), metric)
    assert field in found
    assert "cannot be" in found


@pytest.mark.parametrize(
    ("kind", "field", "metric"),
    [
        ("job.completed", "downtime", "downtime_libvirt"),
        ("qemu.completed", "downtime_ms", "downtime_qemu"),
    ],
)
def test_a_downtime_longer_than_the_whole_is_not_measured(
    tmp_path: Path, kind: str, field: str, metric: str
) -> None:
    assert "cannot be" in reason(stats(tmp_path, kind, {field: 3_600_000}), metric)


def test_a_downtime_below_a_millisecond_is_one(tmp_path: Path) -> None:
    assert value(stats(tmp_path, "job.completed", {"downtime": 0}), "downtime_libvirt") == 0


def test_samples_that_cannot_be_are_left_out(tmp_path: Path) -> None:
    table = stats(tmp_path, "job.sampled", {"memory_dirty_rate": WRAPPED, "auto_converge_throttle": -1})
    assert "dirty rate" in reason(table, "dirty_rate")
    assert "auto_converge_throttle" in reason(table, "throttle")


def resumed(path: Path, after_stop_ns: int, uncertainty_ns: int) -> pd.DataFrame:
    """The metrics of a migration whose RESUME is stamped so long after its STOP, by clocks so uncertain."""
    clocks = {
        machine: ClockTruth(
            monotonic_offset_ns=0, realtime_offset_ns=-(10**18), uncertainty_ns=uncertainty_ns // 2
        )
        for machine in ("a", "b", "client")
    }
    stop_us: list[int] = []

    def edit(event: Event) -> Event:
        if event.kind != "qmp.event":
            return event
        stamp = event.data["realtime_us"]
        assert isinstance(stamp, int)
        if event.data["event"] == "STOP":
            stop_us.append(stamp)
        if event.data["event"] == "RESUME":
            return replace(event, data={**event.data, "realtime_us": stop_us[0] + after_stop_ns // 1000})
        return event

    return results.compute(edited(path, edit, replace(SMALL, clocks=clocks)))


@pytest.mark.parametrize("after_stop_ns", [-30_000_000, 0, 30_000_000])
def test_a_blackout_that_the_clocks_cannot_tell_is_not_measured(tmp_path: Path, after_stop_ns: int) -> None:
    """Were only the negative ones left out, the mean of the others would be too long."""
    assert "cannot tell" in reason(resumed(tmp_path, after_stop_ns, 40_000_000), "blackout")


def test_a_blackout_that_the_clocks_can_tell_has_their_uncertainty(tmp_path: Path) -> None:
    found = row(resumed(tmp_path, 60_000_000, 40_000_000), "blackout")
    assert found["value"] == pytest.approx(0.06)
    assert found["uncertainty"] == pytest.approx(0.04)


def skewed(path: Path, skew_s: float) -> pd.DataFrame:
    """The metrics of a run whose host b is ahead by so much."""
    clocks = dict(SMALL.clocks)
    wall_ns = clocks["a"].realtime_offset_ns
    clocks["b"] = replace(clocks["b"], realtime_offset_ns=wall_ns - round(skew_s * 1e9))
    return stats(path, "none", {}, replace(SMALL, clocks=clocks))


@pytest.mark.parametrize("metric", ["total_time_libvirt", "downtime_libvirt"])
def test_what_libvirt_takes_from_two_wall_clocks_is_as_uncertain_as_they_differ(
    tmp_path: Path, metric: str
) -> None:
    assert row(skewed(tmp_path / "far", 45.0), metric)["uncertainty"] == pytest.approx(45.0, abs=1e-3)
    assert row(skewed(tmp_path / "near", 0.0), metric)["uncertainty"] == pytest.approx(1e-4)
    (known,) = (one for one in results.METRICS if one.name == metric)
    assert "wall clock" in known.definition
