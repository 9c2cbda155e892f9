"""A point that comes while another migration is under way: the stated policy happens, and is recorded."""

from __future__ import annotations

from pathlib import Path

import pytest

from conftest import Lab
from harness.evidence import folder as store
from harness.evidence import journal
from harness.evidence.journal import Event

pytestmark = pytest.mark.lab

CAMPAIGN = """
name: overlap
rig: lab
start: snapshot
workloads: [idle]
schedule: {{points_s: [0, 0.5], window_s: 10, baseline_s: 1, overlap: {overlap}}}
"""


def run(lab: Lab, folder: Path, overlap: str) -> list[Event]:
    path = folder / "overlap.yml"
    path.write_text(CAMPAIGN.format(overlap=overlap))
    done = lab.sodbench("run", path, "--results", folder / "r")
    assert done.status == 0, done
    events = journal.read(store.find(folder / "r").journal)
    return [one for one in events if one.kind.startswith("migration.")]


def shapes(events: list[Event]) -> list[tuple[str, object]]:
    return [(one.kind.removeprefix("migration."), one.data["n"]) for one in events]


def test_skip_leaves_the_second_out(lab: Lab, tmp_path: Path) -> None:
    events = run(lab, tmp_path, "skip")
    assert shapes(events) == [("started", 1), ("skipped", 2), ("returned", 1)]
    assert events[1].data["reason"] == "migration 1 was under way"
    assert events[2].data["ok"] is True


def test_delay_starts_the_second_when_the_first_is_over(lab: Lab, tmp_path: Path) -> None:
    events = run(lab, tmp_path, "delay")
    assert shapes(events) == [
        ("started", 1),
        ("delayed", 2),
        ("returned", 1),
        ("started", 2),
        ("returned", 2),
    ]
    assert events[3].t_ns > events[2].t_ns
    assert (events[3].data["source"], events[3].data["destination"]) == ("b", "a")
    assert events[3].data["planned_s"] == 0.5


def test_abort_stops_the_first_and_starts_the_second_from_where_the_guest_is(
    lab: Lab, tmp_path: Path
) -> None:
    events = run(lab, tmp_path, "abort")
    assert shapes(events) == [
        ("started", 1),
        ("aborted", 1),
        ("returned", 1),
        ("started", 2),
        ("returned", 2),
    ]
    assert events[2].data["ok"] is False
    # The first never arrived, so the second goes the same way: the source is where the guest is, not parity.
    assert (events[3].data["source"], events[3].data["destination"]) == ("a", "b")
    assert events[4].data["ok"] is True
