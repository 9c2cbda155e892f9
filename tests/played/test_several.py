"""Several guests on one played host: each with its own load and observers, moved in the policy's order."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from harness.analysis import table as results
from harness.errors import SodbenchError
from harness.evidence import journal
from harness.evidence.observers.contract import Scene
from harness.evidence.observers.heartbeat import Heartbeat
from harness.evidence.record import Record
from harness.migration.measures.evacuation import evacuations
from harness.report import build
from tests.played.campaigns import BRIEF, begin, carry_out
from tests.report import unpainted

SEVERAL = """\
name: several
workloads: [file]
guest: {memory_mib: 256}
guests:
  order: ORDER
  each:
    - {name: plain}
    - {name: strict, request: ["1", "2"]}
    - {name: middle, request: ["1", "2:c"]}
schedule: {window_s: 12, baseline_s: 2, points_s: [0]}
heartbeat: {rate_hz: 10}
"""
GUESTS = ("plain", "strict", "middle")
ORDERS = {"strictest-first": ["strict", "middle", "plain"], "name": ["middle", "plain", "strict"]}


@pytest.mark.parametrize("order", ORDERS)
def test_all_guests_leave_one_after_another_in_the_order_of_the_policy(tmp_path: Path, order: str) -> None:
    text = SEVERAL.replace("ORDER", order)
    run = begin(tmp_path, text)
    assert carry_out(run, text) is not None, (run.journal).read_text()[-2000:]
    events = journal.read(run.journal)
    started = [one for one in events if one.kind == "migration.started"]
    assert [one.data["guest"] for one in started] == ORDERS[order]
    assert {(one.data["source"], one.data["destination"]) for one in started} == {("a", "b")}
    ends = [one.t_ns for one in events if one.kind == "migration.returned"]
    assert all(end <= later.t_ns for end, later in zip(ends, started[1:], strict=False))


def test_guests_that_may_move_at_once_do_and_the_rest_follows_in_order(tmp_path: Path) -> None:
    text = SEVERAL.replace("ORDER", "strictest-first\n  concurrency: 2")
    run = begin(tmp_path, text)
    assert carry_out(run, text) is not None, (run.journal).read_text()[-2000:]
    events = journal.read(run.journal)
    started = {str(one.data["guest"]): one.t_ns for one in events if one.kind == "migration.started"}
    returned = {str(one.data["guest"]): one.t_ns for one in events if one.kind == "migration.returned"}
    assert list(started) == ORDERS["strictest-first"]
    assert started["middle"] < returned["strict"] <= started["plain"]
    (attempt,) = results.read_attempts(run)
    (found,) = evacuations(attempt)
    assert [one.readings["blackout"].value for one in found.departures] == pytest.approx([0.1] * 3, abs=0.01)


def test_the_others_leave_although_the_second_guests_move_fails(tmp_path: Path) -> None:
    text = SEVERAL.replace("ORDER", "strictest-first")
    # The third guest that is started is the second that is to leave.
    run = begin(tmp_path, text, BRIEF + "fail: [{n: 1, guest: 3, after_s: 0.2}]\n")
    carry_out(run, text, tmp_path / "script.yml")
    events = journal.read(run.journal)
    returned = [(one.data["guest"], one.data["ok"]) for one in events if one.kind == "migration.returned"]
    assert returned == [("strict", True), ("middle", False), ("plain", True)]
    (attempt,) = results.read_attempts(run)
    (found,) = evacuations(attempt)
    lacking = {one.guest: one.resumed.reason for one in found.departures if one.resumed.value is None}
    assert list(lacking) == ["middle"] and "played to fail" in str(lacking["middle"])
    assert found.total.value is None and "played to fail" in str(found.total.reason)


def test_each_guest_has_its_own_events_series_and_metrics(tmp_path: Path) -> None:
    text = SEVERAL.replace("ORDER", "strictest-first")
    run = begin(tmp_path, text)
    carry_out(run, text)
    folder = run.attempt("001-file", 1)
    for guest in GUESTS:
        assert (folder / f"heartbeat-{guest}.csv").stat().st_size > 100
        assert (folder / f"workload-{guest}.log").stat().st_size > 100
    (attempt,) = results.read_attempts(run)
    assert attempt.guests == GUESTS
    table = pd.read_parquet(run.metrics_parquet)
    found = {one.n: one.attempt for one in attempt.migrations}
    assert [found[n].guests for n in sorted(found)] == [("strict",), ("middle",), ("plain",)]
    moves = table[table["migration"].notna() & table["observer"].str.contains("heartbeat")]
    missing = moves[moves["value"].isna()]
    assert set(moves["migration"]) == {1, 2, 3}
    assert not len(missing), missing[["migration", "metric", "reason"]]


def test_an_observer_of_one_guest_that_does_not_start_leaves_the_others_figures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begins = Heartbeat.start

    def start(self: Heartbeat, scene: Scene, record: Record) -> None:
        if scene.guest.name == "strict":
            raise SodbenchError("heartbeat does not start", where="client")
        begins(self, scene, record)

    monkeypatch.setattr(Heartbeat, "start", start)
    text = SEVERAL.replace("ORDER", "strictest-first")
    run = begin(tmp_path, text)
    assert carry_out(run, text) is not None
    (failed,) = [one for one in journal.read(run.journal) if one.kind == "observer.failed"]
    assert (failed.data["guest"], failed.data["observer"]) == ("strict", "heartbeat")
    table = pd.read_parquet(run.metrics_parquet)
    moves = table[table["migration"].notna() & table["observer"].eq("heartbeat")]
    known = moves.groupby("migration")["value"].apply(lambda values: bool(values.notna().any()))
    assert known.to_dict() == {1: False, 2: True, 3: True}
    assert moves[moves["migration"].eq(1)]["reason"].str.contains("the observer heartbeat failed").all()


HEADS = (["Trial", "Total, s"], ["Guest", "Blackout, ms"])
"""How the report's tables of an evacuation begin: its cost is on the first screen, however narrow that is."""


def test_the_report_has_the_whole_evacuation_and_each_guests_blackout(tmp_path: Path) -> None:
    text = SEVERAL.replace("ORDER", "strictest-first")
    run = begin(tmp_path, text)
    carry_out(run, text)
    with unpainted.figures():
        build(run, tmp_path / "report", ("md",))
    page = (tmp_path / "report" / "report.md").read_text()
    assert "Several guests leave a host" in page
    lines = [[cell.strip() for cell in line.split("|")[1:-1]] for line in page.splitlines()]
    of_all, of_each = (next(at for at, cells in enumerate(lines) if cells[:2] == first) for first in HEADS)
    assert lines[of_all][1:3] == ["Total, s", "Share of the link, %"]
    assert lines[of_each][1:4] == ["Blackout, ms", "CPU, cores: source", "CPU, cores: destination"]
    (attempt,) = results.read_attempts(run)
    (found,) = evacuations(attempt)
    events = journal.read(run.journal)
    opened = next(one.t_ns for one in events if one.kind == "window.opened")
    last = max(one.t_ns for one in events if one.kind == "qmp.event" and one.data["event"] == "RESUME")
    assert found.total.value == pytest.approx((last - opened) / 1e9, abs=0.01)
    assert [one.guest for one in found.departures] == ORDERS["strictest-first"]
    assert [one.readings["blackout"].value for one in found.departures] == pytest.approx([0.1] * 3, abs=0.01)
    sent = sum(one.readings["data_sent"].value or 0 for one in found.departures)
    assert found.link_share(1e9).value == pytest.approx(8 * sent / 1e9 / (found.total.value or 1))
    assert found.link_share(None).value is None
