"""The truths a synthetic run is made from, and when and where everything happens in it.

All times are the controller's. Nothing here reads evidence: it is the other side of every comparison.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from types import MappingProxyType

from harness.json_types import Json

RTT_NS = 300_000
PAGE_BYTES = 4096


def ns(seconds: float) -> int:
    """Seconds as integer nanoseconds."""
    return round(seconds * 1_000_000_000)


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockTruth:
    """controller = machine + offset."""

    monotonic_offset_ns: int
    realtime_offset_ns: int
    uncertainty_ns: int = 50_000
    same_kernel: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class MigrationTruth:
    """One migration: `total_s` from the call to RESUME, `outage_s` of heartbeat silence from STOP on."""

    planned_s: float
    lateness_s: float = 0.003
    total_s: float = 3.0
    command_s: float = 3.1
    blackout_s: float = 0.220
    outage_s: float = 0.260
    data_sent_bytes: int = 217_000_000
    wire_bytes: int = 221_340_000
    iterations: int = 4
    dirty_pages_s: int = 1000
    slowdown: float = 0.6
    ok: bool = True
    error: str | None = None
    skipped: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PauseTruth:
    """A suspend and resume of the guest, nothing to do with a migration."""

    at_s: float
    seconds: float


def _five() -> tuple[MigrationTruth, ...]:
    return tuple(
        MigrationTruth(
            planned_s=12.0 * index,
            total_s=3.0 + 0.1 * index,
            command_s=3.1 + 0.1 * index,
            blackout_s=0.220 + 0.010 * index,
            outage_s=0.260 + 0.020 * index,
            data_sent_bytes=217_000_000 + 1_000_000 * index,
            wire_bytes=round((217_000_000 + 1_000_000 * index) * 1.02),
        )
        for index in range(5)
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptTruth:
    """One attempt at a trial. `failures` are (observer, seconds after t = 0, reason).

    `points_s` cut a control trial; `lost` is what every stall of a client's load costs; `jitter` is how far
    that load swings around `work_per_s`.
    """

    workload: str = "idle"
    repetition: int = 1
    attempt: int = 1
    trial: str | None = None
    kind: str = "migrations"
    start: str = "boot"
    steady: bool = True
    verdict: str = "valid"
    reasons: tuple[str, ...] = ()
    finished: bool = True
    generator: str | None = None
    version: str = ""
    substitutes: str | None = None
    work_per_s: float = 600.0
    latency_s: float = 0.05
    jitter: float = 0.0
    lost: int = 0
    points_s: tuple[float, ...] = ()
    migrations: tuple[MigrationTruth, ...] = field(default_factory=_five)
    pauses: tuple[PauseTruth, ...] = ()
    failures: tuple[tuple[str, float, str], ...] = ()


def _clocks() -> Mapping[str, ClockTruth]:
    wall = -1_789_995_000_000_000_000
    return MappingProxyType(
        {
            "a": ClockTruth(monotonic_offset_ns=-7_200_123_456_789, realtime_offset_ns=wall + 37_000_000),
            "b": ClockTruth(monotonic_offset_ns=93_000_987_654, realtime_offset_ns=wall - 1_250_000_000),
            "client": ClockTruth(monotonic_offset_ns=4_321_000_000_001, realtime_offset_ns=wall + 5_000),
        }
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Truths:
    """The whole run. The defaults are the demo's: idle and file, five migrations each, 60 s at 200 Hz."""

    campaign: str = "demo"
    rig: str = "lab"
    accelerator: str = "tcg"
    seed: int = 1
    start_ns: int = 5_000_000_000_000
    baseline_s: float = 10.0
    window_s: float = 60.0
    heartbeat_hz: float = 200.0
    clocks: Mapping[str, ClockTruth] = field(default_factory=_clocks)
    attempts: tuple[AttemptTruth, ...] = (AttemptTruth(), AttemptTruth(workload="file"))


@dataclass(frozen=True, slots=True)
class Span:
    """When one migration's moments are, controller's ns."""

    start_ns: int
    stop_ns: int
    resume_ns: int
    returned_ns: int


@dataclass(frozen=True)
class Layout:
    """When and where everything of the attempt number `index` of `run` happens."""

    run: Truths
    index: int

    @property
    def truth(self) -> AttemptTruth:
        return self.run.attempts[self.index]

    @property
    def trial(self) -> str:
        return self.truth.trial or f"{self.index + 1:03d}-{self.truth.workload}"

    @property
    def begin_ns(self) -> int:
        return self.run.start_ns + ns(10 + self.index * (self.run.window_s + self.run.baseline_s + 60))

    @property
    def workload_ns(self) -> int:
        return self.begin_ns + ns(2)

    @cached_property
    def baseline_ns(self) -> int:
        return self.workload_ns + ns(10)

    @cached_property
    def window_ns(self) -> int:
        return self.baseline_ns + ns(self.run.baseline_s)

    @cached_property
    def closed_ns(self) -> int:
        return self.window_ns + ns(self.run.window_s)

    @property
    def end_ns(self) -> int:
        return self.closed_ns + ns(3)

    def direction(self, n: int) -> tuple[str, str]:
        """Source and destination of the migration `n`: the guest is where the last good one left it."""
        moved = sum(1 for one in self.truth.migrations[: n - 1] if one.ok and one.skipped is None)
        return ("a", "b") if moved % 2 == 0 else ("b", "a")

    def span(self, n: int) -> Span:
        return self._spans[n - 1]

    @cached_property
    def _spans(self) -> tuple[Span, ...]:
        """Every migration's: each row of a series asks for them."""
        return tuple(map(self._span, self.truth.migrations))

    def _span(self, truth: MigrationTruth) -> Span:
        start = self.window_ns + ns(truth.planned_s + truth.lateness_s)
        resume = start + ns(truth.total_s)
        return Span(start, resume - ns(truth.blackout_s), resume, start + ns(truth.command_s))

    def progress(self, n: int, t_ns: int) -> float:
        """0 at the call, 1 at STOP."""
        span = self.span(n)
        return min(1.0, max(0.0, (t_ns - span.start_ns) / (span.stop_ns - span.start_ns)))

    @cached_property
    def moves(self) -> tuple[int, ...]:
        """The numbers of the migrations that were really started."""
        return tuple(n for n, one in enumerate(self.truth.migrations, start=1) if one.skipped is None)

    def host_at(self, t_ns: int) -> str:
        done = [n for n in self.moves if self.truth.migrations[n - 1].ok and self.span(n).resume_ns <= t_ns]
        return "ab"[len(done) % 2]

    @cached_property
    def freezes(self) -> tuple[tuple[int, int], ...]:
        """When the guest executes nothing."""
        spans = [(self.span(n).stop_ns, self.span(n).resume_ns) for n in self.moves]
        return tuple(sorted(spans + self._pauses()))

    @cached_property
    def silences(self) -> tuple[tuple[int, int], ...]:
        """When a heartbeat request gets no reply."""
        spans = [
            (self.span(n).stop_ns, self.span(n).stop_ns + ns(self.truth.migrations[n - 1].outage_s))
            for n in self.moves
        ]
        return tuple(sorted(spans + self._pauses()))

    def _pauses(self) -> list[tuple[int, int]]:
        starts = [(self.window_ns + ns(pause.at_s), ns(pause.seconds)) for pause in self.truth.pauses]
        return [(start, start + length) for start, length in starts]

    def realtime_us(self, host: str, t_ns: int) -> int:
        return (t_ns - self.run.clocks[host].realtime_offset_ns) // 1000

    def heartbeat(self) -> list[tuple[int, int | None]]:
        """Every request: when it was sent and when its reply came, controller's ns."""
        period = ns(1 / self.run.heartbeat_hz)
        start, stop = self.baseline_ns - ns(1), self.closed_ns + ns(1)
        silent: set[int] = set()
        for first, last in self.silences:
            silent.update(range(-((start - first) // period), -((start - last) // period)))
        rows: list[tuple[int, int | None]] = []
        for number in range((stop - start) // period):
            sent = start + number * period
            rows.append((sent, None if number in silent else sent + RTT_NS + number % 7 * 1000))
        return rows

    def heartbeat_counts(self) -> tuple[int, int]:
        rows = self.heartbeat()
        return len(rows), sum(1 for _, received in rows if received is not None)

    def dbench(self) -> list[tuple[int, str]]:
        """Dbench's lines and when they arrive: a report a second of the guest's own running time."""
        lines: list[tuple[int, str]] = [(self.workload_ns, "dbench version 4.00 - Copyright")]
        done, t_ns, second = 0.0, self.workload_ns, 0
        while True:
            second += 1
            before, t_ns = t_ns, self._run_for(t_ns, ns(1))
            if t_ns > self.closed_ns + ns(1):
                return lines
            done += self.truth.work_per_s * self.speed(before, t_ns)
            lines.append((t_ns, self._report(second, round(done))))

    @staticmethod
    def _report(second: int, done: int) -> str:
        word, shown = ("warmup", second) if second < 3 else ("execute", second - 2)
        rate = done * 0.03 / second
        return f"{4:4d}  {done:8d}  {rate:7.2f} MB/sec  {word} {shown:3d} sec  latency {31.4:.3f} ms"

    def _run_for(self, t_ns: int, length_ns: int) -> int:
        """When the guest has executed `length_ns` more, from `t_ns` on."""
        end = t_ns + length_ns
        for first, last in self.freezes:
            if t_ns <= first < end:
                end += last - first
        return end

    def speed(self, first_ns: int, last_ns: int) -> float:
        """Mean speed of the guest's work: slowed while a migration copies."""
        speed = 1.0
        for n in self.moves:
            span = self.span(n)
            overlap = max(0, min(last_ns, span.stop_ns) - max(first_ns, span.start_ns))
            speed -= (1 - self.truth.migrations[n - 1].slowdown) * overlap / (last_ns - first_ns)
        return speed


def job_stats(truth: MigrationTruth, progress: float) -> dict[str, Json]:
    """libvirt's statistics at a fraction of the copying: each pass sends three tenths of the one before."""
    total = (1 << 30) + 33_554_432
    sizes = [0.3**number for number in range(truth.iterations)]
    position, number = progress * sum(sizes), 0
    while number < truth.iterations - 1 and position > sizes[number]:
        position -= sizes[number]
        number += 1
    first = truth.data_sent_bytes / sum(sizes)
    processed = round(truth.data_sent_bytes * progress)
    remaining = round(max(0.0, sizes[number] - position) * first)
    return {
        "time_elapsed": round(truth.total_s * progress * 1000),
        "downtime": 300,
        "data_total": total,
        "data_processed": processed,
        "data_remaining": remaining,
        "memory_total": total,
        "memory_processed": processed,
        "memory_remaining": remaining,
        "memory_bps": round(truth.data_sent_bytes / truth.total_s),
        "memory_constant": 200_000,
        "memory_normal": processed // PAGE_BYTES,
        "memory_normal_bytes": processed // PAGE_BYTES * PAGE_BYTES,
        "memory_dirty_rate": truth.dirty_pages_s + 100 * number,
        "memory_page_size": PAGE_BYTES,
        "memory_iteration": number + 1,
    }
