"""What is put in must come out: a pause of the guest of known length, as each observer sees it.

The guest is suspended and resumed by its hypervisor, so that what stops is exactly what a migration's
blackout stops. The truth is QEMU's own STOP and RESUME; the others are compared against it within their
stated resolutions.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from conftest import Lab
from harness.analysis import series
from harness.analysis import table as results
from harness.campaign import file as campaign_file
from harness.campaign import plan as plans
from harness.campaign.run import runner
from harness.clock import Clock, MonotonicClock, sleep
from harness.evidence import journal
from harness.evidence.folder import RunFolder
from harness.evidence.journal import Event
from harness.interrupt import Interrupt
from harness.registry import places
from harness.rig import pair as pairs
from harness.rig.guest import vtpm
from harness.rig.rig import Rig
from harness.rig.session import open_rig
from tests import tables

pytestmark = pytest.mark.lab

PAUSE_S = 2.0
SCHEDULE_JITTER_S = 0.35
"""How late an emulated, loaded guest may answer after it was resumed, on a shared machine of two cores."""

WALL_CLOCK_S = 0.005
"""What QEMU's stamps may be off over a pause: they are of the wall clock, which is slewed (adjtimex(2))."""

CAMPAIGN = """
name: pause
rig: lab
start: snapshot
control: 1
workloads: [file]
schedule: {points_s: [0], window_s: 12, baseline_s: 4}
"""


@dataclass(frozen=True, slots=True)
class Made:
    """How long the pause was for whoever made it: not less than the one, not more than the other."""

    least_s: float
    most_s: float


@dataclass(frozen=True, slots=True)
class Seen:
    """A run with a pause in its control trial, and what QEMU says of the pause's length."""

    run: RunFolder
    trial: str
    true_s: float
    made: Made


class _Pauser:
    """Suspends the guest once, five seconds into the window of the control trial."""

    def __init__(self, rig: Rig, clock: Clock) -> None:
        self._rig = rig
        self._clock = clock
        self._control = ""
        self.made: Made | None = None

    def on_event(self, event: Event) -> None:
        if event.kind == "attempt.started" and event.data["kind"] == "control":
            self._control = str(event.trial)
        if event.kind == "window.opened" and event.trial == self._control:
            threading.Thread(target=self._pause, daemon=True).start()

    def _pause(self) -> None:
        sleep(5.0)
        domain = self._rig.hypervisors.connect()["a"].domain(self._rig.subject.domain)
        asked = self._clock.now_ns()
        domain.suspend()
        stopped = self._clock.now_ns()
        sleep(PAUSE_S)
        ending = self._clock.now_ns()
        domain.resume()
        resumed = self._clock.now_ns()
        self.made = Made((ending - stopped) / 1e9, (resumed - asked) / 1e9)


@pytest.fixture(scope="module")
def seen(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Seen]:
    text = CAMPAIGN
    plan = plans.expand(campaign_file.loads(text, "pause.yml"))
    pair, clock = pairs.load(lab.inventory), MonotonicClock()
    key = vtpm.key(places.vtpm_key_file())
    with open_rig(pair, "the known-effects test", clock, vtpm_key=key) as rig:
        provenance = runner.Provenance(
            campaign_text=text.encode(), command_line=["pytest"], commit=None, inventory=pair.inventory
        )
        run = runner.begin(tmp_path_factory.mktemp("pause"), plan, rig, provenance)
        pauser = _Pauser(rig, clock)
        runner.carry_out(run, rig, clock, Interrupt(), listener=pauser.on_event)
    control = next(trial.id for trial in plan.trials if trial.kind == "control")
    assert pauser.made is not None
    yield Seen(run, control, _true_length_s(run, control), pauser.made)


def _true_length_s(run: RunFolder, trial: str) -> float:
    events = [one for one in journal.read(run.journal) if one.trial == trial and one.kind == "qmp.event"]
    stamps = {
        kind: [int(str(one.data["realtime_us"])) for one in events if one.data["event"] == kind]
        for kind in ("STOP", "RESUME")
    }
    assert len(stamps["STOP"]) == 1, stamps
    return (
        min(stamp for stamp in stamps["RESUME"] if stamp > stamps["STOP"][0]) / 1e6 - stamps["STOP"][0] / 1e6
    )


def metric(seen: Seen, name: str) -> tuple[float, float]:
    """The control trial's value of a metric and its resolution."""
    table = tables.read(seen.run)
    row = table[(table.trial == seen.trial) & (table.metric == name)].iloc[0]
    assert row.value == row.value, row.reason
    return float(row.value), float(row.resolution)


def test_qmp_sees_the_pause_that_was_made(seen: Seen) -> None:
    assert seen.made.least_s - WALL_CLOCK_S <= seen.true_s <= seen.made.most_s + WALL_CLOCK_S
    assert seen.made.least_s >= PAUSE_S
    value, _ = metric(seen, "paused")
    assert value == pytest.approx(seen.true_s, abs=0.001)


def test_the_heartbeat_sees_it_within_two_periods(seen: Seen) -> None:
    """No shorter than the pause, and longer only by how late this machine lets the guest answer.

    That is what the very same trial shows before its window: on a busy machine more than on a free one.
    """
    value, resolution = metric(seen, "heartbeat_window_gap")
    late_s, _ = metric(seen, "heartbeat_background_gap")
    assert resolution == pytest.approx(1 / 200)
    assert seen.true_s - 2 * resolution <= value
    assert value <= seen.true_s + 2 * resolution + SCHEDULE_JITTER_S + late_s


def test_the_workload_sees_it_within_one_report(seen: Seen) -> None:
    timeline = series.timelines(results.read_attempts(seen.run))
    spans = timeline[timeline.trial == seen.trial].sort_values("t_s").t_s.diff().dropna().sort_values()
    # dbench reports each second of its own time; a frozen guest's second lasts as much longer. What a report
    # may be late besides is what the latest of the others was.
    usual_s, longest_s = float(spans.iloc[-2]), float(spans.iloc[-1])
    assert usual_s < seen.true_s, "without the pause no two reports are so far apart"
    assert seen.true_s <= longest_s <= seen.true_s + 1.0 + max(1.0, usual_s)


def test_the_migration_of_the_other_trial_is_no_pause(seen: Seen) -> None:
    table = tables.read(seen.run)
    other = table[(table.trial != seen.trial) & (table.metric == "paused")]
    assert list(other.value) == [0.0]


def test_the_report_names_the_pause(seen: Seen, lab: Lab, tmp_path: Path) -> None:
    done = lab.sodbench("report", seen.run.root, "--out", tmp_path, "--format", "md")
    assert done.status == 0, done
    assert seen.trial in (tmp_path / "report.md").read_text()
