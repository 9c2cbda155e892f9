"""The evidence of one attempt, read whole: events, clocks, series, and which migration is which.

Metrics are functions of the values made here and touch no file themselves. Reading never judges: what is
missing or damaged is kept as the reason why, and becomes a null with that reason where somebody asks for it.
Stamps stay in the clock they were taken in until :class:`Clocks` maps them.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd

from harness.clock import NS_PER_S
from harness.errors import RecordError
from harness.evidence import journal
from harness.evidence.clocks import Clocks
from harness.evidence.folder import RunFolder
from harness.evidence.journal import Event, Json
from harness.evidence.metric import NotMeasured
from harness.workloads.contract import Line, Timeline

SERIES: Mapping[str, tuple[str, ...]] = {
    "heartbeat.csv": ("seq", "sent_ns", "received_ns"),
    "wire-a.csv": ("t_ns", "out_bytes", "out_packets", "in_bytes", "in_packets"),
    "wire-b.csv": ("t_ns", "out_bytes", "out_packets", "in_bytes", "in_packets"),
    "host-a.csv": ("t_ns", "cpu_busy_s", "qemu_cpu_s"),
    "host-b.csv": ("t_ns", "cpu_busy_s", "qemu_cpu_s"),
    "controller.csv": ("t_ns", "cpu_self_s"),
}
"""The series of an attempt and the columns that metrics need of each (docs/journal.md)."""

Parse = Callable[[str, Mapping[str, Json], Sequence[Line]], Timeline]
"""A workload's name and its stored lines to its timeline; raises NotMeasured for an unknown workload."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Attempt:
    """One finished attempt.

    Attributes:
        trial: The trial's id.
        attempt: The attempt's number from 1.
        events: Its events in order of arrival.
        clocks: How the machines' stamps map to the controller's clock.
        series: The series that could be read, by file name.
        unread: Why the others could not.
        timeline: The workload's own view, or the reason why there is none.
    """

    trial: str
    attempt: int
    events: tuple[Event, ...]
    clocks: Clocks
    series: Mapping[str, pd.DataFrame] = field(default_factory=dict)
    unread: Mapping[str, str] = field(default_factory=dict)
    timeline: Timeline | NotMeasured = field(default_factory=lambda: NotMeasured("the output was not read"))

    @cached_property
    def _by_kind(self) -> Mapping[str, list[Event]]:
        found: dict[str, list[Event]] = {}
        for event in self.events:
            found.setdefault(event.kind, []).append(event)
        return found

    def all(self, kind: str) -> Sequence[Event]:
        """The events of that kind, in order."""
        return self._by_kind.get(kind, ())

    def first(self, kind: str) -> Event:
        """The first event of that kind; raises NotMeasured when there is none."""
        for event in self.all(kind):
            return event
        raise NotMeasured(f"the journal has no {kind} of this attempt")

    def fact(self, kind: str, key: str) -> Json:
        """What the first event of that kind says under `key`, or None."""
        return next((event.data.get(key) for event in self.all(kind)), None)

    def table(self, name: str) -> pd.DataFrame:
        """The series stored in the file `name`; raises NotMeasured with the reason when it was not read."""
        if name not in self.series:
            raise NotMeasured(self.unread.get(name, f"there is no {name}"))
        return self.series[name]

    @property
    def window_ns(self) -> int:
        """When the window opened: the trial's t = 0, the controller's ns."""
        return self.first("window.opened").t_ns

    @property
    def baseline_ns(self) -> int:
        """When the baseline before the window began, the controller's ns."""
        return self.first("baseline.opened").t_ns

    @property
    def closed_ns(self) -> int:
        """When the window closed, the controller's ns."""
        return self.first("window.closed").t_ns

    @property
    def heartbeat_hz(self) -> float:
        """The heartbeat's nominal rate."""
        rate = number(self.first("heartbeat.started").data, "rate_hz")
        if rate is None or rate <= 0:
            raise NotMeasured("the heartbeat's rate was not recorded")
        return rate

    def failed(self, observer: str, until_ns: int) -> str | None:
        """Why `observer` has nothing to say about what happened until `until_ns`, or None.

        A clock that could not be read takes nothing away from the samples of others, nor from its own
        earlier ones: a machine without any sample says so where one is needed.
        """
        if observer == "clocks":
            return None
        for event in self.all("observer.failed"):
            if event.data.get("observer") == observer and event.t_ns <= until_ns:
                return f"the observer {observer} failed: {event.data.get('reason') or 'no reason given'}"
        return None

    @cached_property
    def migrations(self) -> tuple[Migration, ...]:
        """Every planned migration that was started or skipped, by number."""
        numbers = {n for event in self.events if (n := migration_number(event)) is not None}
        return tuple(Migration(attempt=self, n=n) for n in sorted(numbers) if Migration.known(self, n))


def number(data: Mapping[str, Json], key: str) -> float | None:
    """The number under `key`, or None where there is none."""
    value = data.get(key)
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def migration_number(event: Event) -> int | None:
    """Which migration the event belongs to, or None."""
    n = event.data.get("n")
    return n if isinstance(n, int) else None


@dataclass(frozen=True, kw_only=True, eq=False)
class Migration:
    """One migration of an attempt: what the journal says about the number `n`."""

    attempt: Attempt
    n: int

    @staticmethod
    def known(attempt: Attempt, n: int) -> bool:
        """Whether the journal says that migration `n` was started or skipped."""
        kinds = {event.kind for event in attempt.events if migration_number(event) == n}
        return bool(kinds & {"migration.started", "migration.skipped"})

    def all(self, kind: str) -> list[Event]:
        """The events of that kind about this migration."""
        return [event for event in self.attempt.all(kind) if migration_number(event) == self.n]

    def _one(self, kind: str) -> Event | None:
        found = self.all(kind)
        return found[-1] if found else None

    @property
    def planned_s(self) -> float | None:
        """When it was to start, seconds after t = 0."""
        event = self._one("migration.started") or self._one("migration.skipped")
        return None if event is None else number(event.data, "planned_s")

    @property
    def started_ns(self) -> int:
        """Right before the call; raises NotMeasured for one that never was called."""
        event = self._one("migration.started")
        if event is None:
            raise NotMeasured("the migration was never started")
        return event.t_ns

    @property
    def returned_ns(self) -> int:
        """Right after the call returned; raises NotMeasured when that was not seen."""
        event = self._one("migration.returned")
        if event is None:
            raise NotMeasured("the journal does not say that the call returned")
        return event.t_ns

    def overlaps(self, start_ns: int, end_ns: int) -> bool:
        """Whether a stretch and the call, from right before it to its return, have a moment in common.

        False for a migration that was never called; a call that was not seen to return has no end.
        """
        started, returned = self._one("migration.started"), self._one("migration.returned")
        if started is None:
            return False
        return start_ns < (end_ns if returned is None else returned.t_ns) and end_ns > started.t_ns

    def owns(self, start_ns: int, end_ns: int, due_ns: int) -> bool:  # noqa: ARG002
        """Whether a gap is this migration's own, as :meth:`.Interval.owns` says."""
        return self.overlaps(start_ns, end_ns)

    @property
    def source(self) -> str:
        """The host it left."""
        return self._side("source")

    @property
    def destination(self) -> str:
        """The host it went to."""
        return self._side("destination")

    def _side(self, key: str) -> str:
        event = self._one("migration.started")
        side = None if event is None else event.data.get(key)
        if not isinstance(side, str):
            raise NotMeasured(f"the journal does not name the {key}")
        return side

    @property
    def direction(self) -> str | None:
        """``a->b`` or ``b->a``; None where the journal does not name both hosts: it never started."""
        try:
            return f"{self.source}->{self.destination}"
        except NotMeasured:
            return None

    @property
    def until_ns(self) -> int:
        """The end of its interval: the next migration's start, else the window's end."""
        started = self.started_ns
        later = [event.t_ns for event in self.attempt.all("migration.started") if event.t_ns > started]
        return min(later) if later else max(self.attempt.closed_ns, self.returned_ns)

    @property
    def first_after_boot(self) -> bool:
        """Whether the guest was started and not moved since: its pages and the switches are cold."""
        starts = self.attempt.all("migration.started")
        return bool(starts) and migration_number(starts[0]) == self.n

    @property
    def failure(self) -> str | None:
        """Why it has no metrics, or None for one that succeeded."""
        skipped = self._one("migration.skipped")
        if self._one("migration.started") is None and skipped is not None:
            return f"skipped: {skipped.data.get('reason') or 'no reason given'}"
        returned = self._one("migration.returned")
        if returned is None:
            return "the journal does not say that the call returned"
        if returned.data.get("ok") is not True:
            aborted = self._one("migration.aborted")
            why = returned.data.get("error") or (aborted and aborted.data.get("reason"))
            return f"{'aborted' if aborted else 'failed'}: {why or 'no reason given'}"
        return None


def seconds(span_ns: float) -> float:
    """Nanoseconds as seconds."""
    return span_ns / NS_PER_S


def attempts(run: RunFolder, parse: Parse) -> Iterator[Attempt]:
    """Every finished attempt of the run, in order, each with its series.

    Raises:
        RecordError: The journal cannot be read or is damaged.
    """
    return attempts_of(journal.read(run.journal), run, parse)


def attempts_of(events: Sequence[Event], run: RunFolder, parse: Parse) -> Iterator[Attempt]:
    """The same for events already read; only with ``attempt.finished`` does an attempt count."""
    for finish in events:
        if finish.kind == "attempt.finished" and finish.trial is not None and finish.attempt is not None:
            yield _attempt(events, finish, run.attempt(finish.trial, finish.attempt), parse)


def _attempt(events: Sequence[Event], finish: Event, folder: Path, parse: Parse) -> Attempt:
    trial, attempt = str(finish.trial), int(finish.attempt or 0)
    own = tuple(event for event in events if (event.trial, event.attempt) == (trial, attempt))
    series, unread = _series(folder)
    workload = next((event.data.get("workload") for event in own if event.kind == "attempt.started"), None)
    chosen = next((event.data.get("options") for event in own if event.kind == "workload.started"), None)
    options = chosen if isinstance(chosen, Mapping) else {}
    return Attempt(
        trial=trial,
        attempt=attempt,
        events=own,
        clocks=Clocks.of(events, finish),
        series=series,
        unread=unread,
        timeline=_timeline(folder / "workload.log", str(workload), options, parse),
    )


def _series(folder: Path) -> tuple[dict[str, pd.DataFrame], dict[str, str]]:
    series: dict[str, pd.DataFrame] = {}
    unread: dict[str, str] = {}
    for name, columns in SERIES.items():
        try:
            series[name] = read_series(folder / name, columns)
        except RecordError as error:
            # The name alone, with the line where there is one: a reason does not change where the run lies.
            unread[name] = f"{Path(error.where or name).name}: {error.what}: {error.why}"
    return series, unread


def read_series(path: Path, columns: Sequence[str]) -> pd.DataFrame:
    """The rows of a series file; a torn last line is left out, an empty field is missing.

    Raises:
        RecordError: The file is missing, damaged, or lacks one of `columns`; a row has too few fields or too
            many, and its line is named.
    """
    try:
        text = path.read_text(encoding="utf-8")
        whole = text[: text.rfind("\n") + 1]
        _require_whole_rows(path, whole)
        # Nullable integers: a float64 would round stamps of a clock that has run for a hundred days.
        types = {name: "float64" if name.endswith("_s") else "Int64" for name in columns}
        frame = pd.read_csv(io.StringIO(whole), dtype=types, usecols=list(columns))
    except (OSError, ValueError, TypeError) as error:
        raise RecordError("cannot be read", where=str(path), why=str(error)) from error
    if np.isinf(frame.select_dtypes("float64").to_numpy(dtype=np.float64)).any():
        raise RecordError("cannot be read", where=str(path), why="a number in it has no end")
    return frame


def _require_whole_rows(path: Path, text: str) -> None:
    """Raise RecordError at the first row that has not as many fields as the header.

    pandas reads the first so many fields of a longer row, and takes what a shorter one lacks for missing:
    either is a row of which nothing is known.
    """
    rows = text.split("\n")[:-1]
    commas = rows[0].count(",") if rows else 0
    for number, row in enumerate(rows, start=1):
        if row.count(",") != commas:
            why = f"this row has {row.count(',') + 1} fields and the header has {commas + 1}"
            raise RecordError("cannot be read", where=f"{path}:{number}", why=why)


def _timeline(path: Path, workload: str, options: Mapping[str, Json], parse: Parse) -> Timeline | NotMeasured:
    try:
        text = path.read_bytes().decode("utf-8", errors="replace") if path.exists() else ""
        return parse(workload, options, parse_log(text))
    except OSError as error:
        return NotMeasured(f"{path.name} cannot be read: {error.strerror}")
    except NotMeasured as why:
        return why


def parse_log(text: str) -> list[Line]:
    """The lines of a ``workload.log``; a torn last row is left out.

    Raises:
        NotMeasured: A row is without stamp or source: what it said, and when, is lost, and the stretch around
            it would look as if nothing had been reported.
    """
    lines = []
    for number, row in enumerate(text.split("\n")[:-1], start=1):
        stamp, _, rest = row.partition("\t")
        source, tab, said = rest.partition("\t")
        if not (tab and source and stamp.isascii() and stamp.isdigit()):
            raise NotMeasured(f"workload.log:{number}: cannot be read: this row has no stamp and source")
        lines.append(Line(t_ns=int(stamp), text=said, source=source))
    return lines
