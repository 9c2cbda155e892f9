"""A run's folder made from known truths, so that tests can ask whether the numbers come out as injected.

``build(path)`` writes what a finished two-trial campaign (idle and file) leaves behind: stamps in the clocks
of four machines, samples at their own rates, arrival delays. It is pure arithmetic: no randomness, no clock,
the same bytes every time. Metrics must never be used to make it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from types import MappingProxyType

from harness.evidence.folder import SCHEMA_VERSION, RunFolder
from harness.evidence.journal import Event
from harness.files import write_json
from harness.json_types import Json
from tests.synthetic.load import output
from tests.synthetic.series import write_series
from tests.synthetic.truths import (
    AttemptTruth,
    ClockTruth,
    Layout,
    MigrationTruth,
    PauseTruth,
    Truths,
    job_stats,
    ns,
)

__all__ = [
    "AttemptTruth",
    "ClockTruth",
    "Journalist",
    "MigrationTruth",
    "PauseTruth",
    "Truths",
    "build",
    "events_of",
    "write_journal",
]

ARRIVAL_NS = 2_000_000
"""How long after their own stamp the QMP events reach the controller."""

OPTIONS: Mapping[str, Json] = MappingProxyType(
    {"mode": "pre-copy", "bandwidth_mib_s": 119, "downtime_limit_ms": 300}
)


@dataclass
class Journalist:
    """Collects events in any order; `events` are numbered by time."""

    found: list[Event] = field(default_factory=list)
    trial: str | None = None
    attempt: int | None = None

    def add(self, t_ns: int, observer: str, kind: str, /, **data: Json) -> None:
        event = Event(
            seq=0, t_ns=t_ns, observer=observer, kind=kind, trial=self.trial, attempt=self.attempt, data=data
        )
        self.found.append(event)

    def events(self) -> list[Event]:
        """In order of arrival, numbered without gaps."""
        ordered = sorted(self.found, key=lambda event: event.t_ns)
        return [replace(event, seq=number) for number, event in enumerate(ordered)]


def build(path: Path, truths: Truths | None = None) -> RunFolder:
    """Write the run's folder at `path` (made when missing) and return it."""
    truths = Truths() if truths is None else truths
    run = RunFolder(path)
    (path / "environment").mkdir(parents=True, exist_ok=True)
    write_json(run.manifest, _manifest(truths))
    write_json(run.plan, _plan(truths))
    run.campaign.write_text(f"name: {truths.campaign}\nrig: {truths.rig}\n", encoding="utf-8")
    for machine in ("a", "b", "client", "controller"):
        for when in ("before", "after"):
            write_json(run.environment(machine, when), {"machine": machine, "kernel": "6.1.0-30-amd64"})
    write_journal(run, events_of(truths))
    for index in range(len(truths.attempts)):
        layout = Layout(truths, index)
        write_series(run.attempt(layout.trial, layout.truth.attempt), layout)
    return run


def write_journal(run: RunFolder, events: Iterable[Event]) -> None:
    """Write `events` as the run's journal, numbered again: for tests that take some away or change them."""
    numbered = (replace(event, seq=number) for number, event in enumerate(events))
    lines = (json.dumps(asdict(event), separators=(",", ":")) + "\n" for event in numbered)
    run.journal.write_text("".join(lines), encoding="utf-8")


def events_of(truths: Truths) -> list[Event]:
    """The journal of the whole run."""
    book = Journalist()
    book.add(
        truths.start_ns, "runner", "run.started", plan_hash="0" * 64, seed=truths.seed, version="0.1.0",
        boot_id="controller-boot", realtime_ns=1_790_000_000_000_000_000, controller="controller",
    )  # fmt: skip
    for index in range(len(truths.attempts)):
        layout = Layout(truths, index)
        book.trial, book.attempt = layout.trial, layout.truth.attempt
        _attempt(book, layout)
    book.trial, book.attempt = None, None
    last = Layout(truths, max(0, len(truths.attempts) - 1))
    book.add(last.end_ns + ns(5), "runner", "run.finished")
    return book.events()


def _attempt(book: Journalist, at: Layout) -> None:
    truth = at.truth
    book.add(
        at.begin_ns, "runner", "attempt.started",
        workload=truth.workload, repetition=truth.repetition, kind=truth.kind,
    )  # fmt: skip
    book.add(
        at.begin_ns + ns(1), "runner", "guest.started", host="a", start=truth.start, boot_s=47.5,
        address="198.18.0.100", uuid="6a2f4b1e-7a52-4b6f-9d0e-2f1d6c7b8a90", memory_bytes=1 << 30, vcpus=1,
        cpu_model="qemu64", machine="pc-i440fx-7.2", accelerator=at.run.accelerator,
    )  # fmt: skip
    usual = ("dbench", "4.00") if truth.workload == "file" else ("none", "")
    generator, version = (truth.generator, truth.version) if truth.generator else usual
    book.add(
        at.workload_ns, "runner", "workload.started",
        workload=truth.workload, generator=generator, version=version,
        substitutes=truth.substitutes, options={},
    )  # fmt: skip
    if truth.steady:
        book.add(at.workload_ns + ns(9), "runner", "workload.steady", after_s=9.0, test="as stated")
    else:
        book.add(
            at.workload_ns + ns(9),
            "runner",
            "workload.unsteady",
            after_s=9.0,
            test="as stated",
            reason="slow",
        )
    _observers(book, at)
    book.add(at.baseline_ns, "runner", "baseline.opened", baseline_s=at.run.baseline_s)
    points: dict[str, Json] = {"points_s": list(truth.points_s)} if truth.kind == "control" else {}
    book.add(at.window_ns, "runner", "window.opened", window_s=at.run.window_s, **points)
    for pause in truth.pauses:
        _pause(book, at, pause)
    for number, migration in enumerate(truth.migrations, start=1):
        _migration(book, at, number, migration)
    book.add(at.closed_ns, "runner", "window.closed", late_s=0.0)
    book.add(at.closed_ns + ns(1), "runner", "workload.stopped", exit_status=None)
    if truth.finished:
        book.add(
            at.end_ns, "runner", "attempt.finished", verdict=truth.verdict, reasons=list(truth.reasons)
        )  # fmt: skip


def _observers(book: Journalist, at: Layout) -> None:
    """What the observers say when they start and stop, and how clocks map."""
    start, stop = at.baseline_ns - ns(1), at.closed_ns + ns(1)
    for machine, clock in at.run.clocks.items():
        for t_ns in (start, stop):
            book.add(
                t_ns, "clocks", "clock.sampled", machine=machine, same_kernel=clock.same_kernel,
                monotonic_offset_ns=clock.monotonic_offset_ns, realtime_offset_ns=clock.realtime_offset_ns,
                uncertainty_ns=clock.uncertainty_ns,
            )  # fmt: skip
    book.add(start, "heartbeat", "heartbeat.started", rate_hz=at.run.heartbeat_hz, file="heartbeat.csv")
    sent, received = at.heartbeat_counts()
    book.add(stop, "heartbeat", "heartbeat.stopped", sent=sent, received=received, file="heartbeat.csv")
    for host in ("a", "b"):
        book.add(start, "wire", "wire.started", host=host, file=f"wire-{host}.csv")
        book.add(stop, "wire", "wire.stopped", host=host, file=f"wire-{host}.csv")
        book.add(start, "host-sampler", "sampler.started", machine=host, file=f"host-{host}.csv")
        book.add(stop, "host-sampler", "sampler.stopped", machine=host, file=f"host-{host}.csv")
    if at.truth.workload != "idle":
        book.add(at.workload_ns, "workload", "output.started", file="workload.log", lines=0)
        book.add(stop, "workload", "output.stopped", file="workload.log", lines=len(output(at)))
    for observer, after_s, reason in at.truth.failures:
        book.add(at.window_ns + ns(after_s), "runner", "observer.failed", observer=observer, reason=reason)


def _qmp(book: Journalist, at: Layout, host: str, t_ns: int, event: str, **details: Json) -> None:
    book.add(
        t_ns + ARRIVAL_NS, "qmp", "qmp.event", host=host, event=event,
        realtime_us=at.realtime_us(host, t_ns), details=details,
    )  # fmt: skip


def _pause(book: Journalist, at: Layout, pause: PauseTruth) -> None:
    start = at.window_ns + ns(pause.at_s)
    host = at.host_at(start)
    book.add(start - ns(0.001), "runner", "fault.injected", fault="pause", seconds=pause.seconds)
    _qmp(book, at, host, start, "STOP")
    _qmp(book, at, host, start + ns(pause.seconds), "RESUME")


def _migration(book: Journalist, at: Layout, n: int, truth: MigrationTruth) -> None:
    source, destination = at.direction(n)
    if truth.skipped is not None:
        book.add(
            at.window_ns + ns(truth.planned_s), "runner", "migration.skipped",
            n=n, planned_s=truth.planned_s, reason=truth.skipped,
        )  # fmt: skip
        return
    span = at.span(n)
    book.add(
        span.start_ns, "runner", "migration.started",
        n=n, planned_s=truth.planned_s, source=source, destination=destination, options=dict(OPTIONS),
    )  # fmt: skip
    _qmp(book, at, source, span.start_ns + ns(0.02), "MIGRATION", status="active")
    for index in range(1, int((span.stop_ns - span.start_ns) / ns(0.2))):
        t_ns = span.start_ns + index * ns(0.2)
        book.add(t_ns, "libvirt-job", "job.sampled", n=n, stats=job_stats(truth, at.progress(n, t_ns)))
    _qmp(book, at, source, span.stop_ns, "STOP")
    if truth.ok:
        _completed(book, at, n, truth)
    else:
        _qmp(book, at, source, span.resume_ns, "RESUME")
    book.add(span.returned_ns, "runner", "migration.returned", n=n, ok=truth.ok, error=truth.error)


def _completed(book: Journalist, at: Layout, n: int, truth: MigrationTruth) -> None:
    source, destination = at.direction(n)
    span = at.span(n)
    _qmp(book, at, destination, span.resume_ns, "RESUME")
    _qmp(book, at, source, span.resume_ns + ns(0.001), "MIGRATION", status="completed")
    stats: dict[str, Json] = {
        **job_stats(truth, 1.0),
        "time_elapsed": round((truth.total_s - 0.01) * 1000),
        "downtime": round((truth.blackout_s - 0.008) * 1000),
        "downtime_net": round((truth.blackout_s - 0.010) * 1000),
        "setup_time": 12,
        "data_remaining": 0,
        "data_processed": truth.data_sent_bytes,
    }
    for origin in ("event", "kept"):
        book.add(span.returned_ns - ns(0.01), "libvirt-job", "job.completed", n=n, stats=stats, origin=origin)
    book.add(
        span.returned_ns - ns(0.005), "libvirt-job", "qemu.completed", n=n, setup_time_ms=11,
        total_time_ms=round((truth.total_s - 0.02) * 1000),
        downtime_ms=round((truth.blackout_s + 0.005) * 1000),
        ram={"transferred": truth.data_sent_bytes},
    )  # fmt: skip


def _manifest(truths: Truths) -> dict[str, Json]:
    return {
        "schema": SCHEMA_VERSION,
        "campaign": truths.campaign,
        "plan_hash": "0" * 64,
        "seed": truths.seed,
        "version": "0.1.0",
        "commit": None,
        "command": ["sodbench", "run", "campaigns/demo.yml"],
        "rig": truths.rig,
        "accelerator": truths.accelerator,
        "started_utc": "2026-09-21T14:13:20Z",
    }


def _plan(truths: Truths) -> dict[str, Json]:
    trials: list[Json] = [
        {
            "id": Layout(truths, index).trial,
            "workload": attempt.workload,
            "repetition": attempt.repetition,
            "kind": attempt.kind,
            "points_s": [migration.planned_s for migration in attempt.migrations],
        }
        for index, attempt in enumerate(truths.attempts)
    ]
    return {"campaign": truths.campaign, "seed": truths.seed, "trials": trials}
