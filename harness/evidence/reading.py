"""Reads finished attempts from a run's folder: events, clocks, series and the workload's output.

Reading never judges: what is missing or damaged is kept as the reason why.
"""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from harness import sums
from harness.errors import RecordError
from harness.evidence import journal
from harness.evidence.account import Account, accounts
from harness.evidence.attempt import Attempt
from harness.evidence.clocks import Clocks
from harness.evidence.events import AttemptFinished, GuestStarted
from harness.evidence.folder import OF_GUESTS, RunFolder, of_guest
from harness.evidence.journal import Event
from harness.evidence.metric import NotMeasured
from harness.json_types import Json
from harness.pair_name import ONLY_GUEST
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

MAX_BYTES = 512 * 1024 * 1024
"""A longer series, or a longer output of a workload, is not read: its metrics are null and say so."""


Parse = Callable[[str, Mapping[str, Json], Sequence[Line]], Timeline]
"""A workload's name and its stored lines to its timeline; raises NotMeasured for an unknown workload."""


def attempts(run: RunFolder, parse: Parse) -> Iterator[Attempt]:
    """Every finished attempt of the run, in order, each with its series.

    Raises:
        RecordError: The journal cannot be read or is damaged.
    """
    return attempts_of(journal.read(run.journal), run, parse)


def attempts_of(events: Sequence[Event], run: RunFolder, parse: Parse) -> Iterator[Attempt]:
    """The same for events already read; only with ``attempt.finished`` does an attempt count."""
    for account in accounts(events):
        if finish := account.all(AttemptFinished):
            yield _attempt(account, Clocks.of(events, finish[-1]), run, parse)


def _attempt(account: Account, clocks: Clocks, run: RunFolder, parse: Parse) -> Attempt:
    folder = run.attempt(account.trial, account.attempt)
    guests = [value.guest or ONLY_GUEST for _, value in account.told(GuestStarted)]
    several = guests if len(guests) > 1 else []
    series, unread = _series(folder, several)
    options = {} if account.load is None else account.load.options
    return Attempt(
        trial=account.trial,
        attempt=account.attempt,
        events=account.events,
        clocks=clocks,
        series=series,
        unread=unread,
        timeline=_timeline(folder / "workload.log", account.workload, options, parse),
        timelines={
            guest: _timeline(folder / of_guest("workload.log", guest), account.workload, options, parse)
            for guest in several
        },
    )


def _series(folder: Path, guests: Sequence[str]) -> tuple[dict[str, pd.DataFrame], dict[str, str]]:
    series: dict[str, pd.DataFrame] = {}
    unread: dict[str, str] = {}
    files = {name: columns for name, columns in SERIES.items() if not guests or name not in OF_GUESTS}
    files |= {of_guest(name, guest): SERIES[name] for name in OF_GUESTS for guest in guests}
    for name, columns in files.items():
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
        text = io.TextIOWrapper(io.BytesIO(sums.content(path, limit=MAX_BYTES)), encoding="utf-8").read()
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
        raw = sums.content(path, limit=MAX_BYTES) if os.path.lexists(path) else b""
        return parse(workload, options, parse_log(raw.decode("utf-8", errors="replace")))
    except RecordError as error:
        return NotMeasured(f"{path.name} cannot be read: {error.why}")
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
