"""`sodbench gate`: a run against a baseline, by what its campaign declared before the run."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import typer

from harness.analysis.gate import documents, known_bad, rows, sides
from harness.analysis.gate.known_bad import Entry
from harness.analysis.gate.rows import Result, Row
from harness.analysis.gate.sides import Pairing
from harness.cli.signing import Key, Unsigned, signers_key
from harness.cli.terminal import Output, number_of
from harness.clock import realtime_ns
from harness.errors import InconclusiveError, RegressedError
from harness.evidence import archive, played
from harness.evidence import folder as store
from harness.evidence.folder import RunFolder
from harness.files import write_atomic


def gate(
    run: Annotated[
        Path,
        typer.Argument(
            help="The run's folder, or a folder above it: then the newest run below.", metavar="RUN"
        ),
    ],
    against: Annotated[
        Path,
        typer.Option(help="The baseline: another run's folder, or an archive of it.", metavar="BASELINE"),
    ],
    known: Annotated[
        Path | None,
        typer.Option("--known-bad", help="A file of what is known to be worse, with reason, owner and date."),
    ] = None,
    accept: Annotated[
        list[str] | None,
        typer.Option(help="A key that may differ, as the refusal names it; several times.", metavar="KEY"),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the outcome as JSON.")] = False,
    junit: Annotated[Path | None, typer.Option(help="Also write the outcome there as JUnit XML.")] = None,
    key: Key = None,
    unsigned: Unsigned = False,
) -> None:
    """Judge RUN against a baseline by its campaign's `gate`: passed, regressed or inconclusive.

    Ends with 0 where it passed, 23 where it regressed and 24 where that is inconclusive. Runs that differ in
    machines or plan are refused with 22, and a run or baseline that has not finished with 12. A packed
    baseline is unpacked for this, its signature checked. Touches no machine (docs/gate.md).
    """
    mine = store.find(run)
    with opened_baseline(against, key, unsigned=unsigned) as baseline:
        pairing = sides.pair(baseline, mine, accept or [])
        entries = () if known is None else known_bad.load(known, pairing.gate, today())
        result = rows.judge(pairing.cells, entries)
        names = (baseline.root.name, mine.root.name)
    if junit is not None:
        write_atomic(junit, documents.as_junit(names, result))
    if as_json:
        document = documents.as_json(names, pairing.gate, pairing.accepted, result)
        typer.echo(json.dumps(document, indent=2, sort_keys=True))
    else:
        _show(names, pairing, result, is_played=played.is_played(mine))
    _end(names, result)


@contextmanager
def opened_baseline(named: Path, key: Path | None, *, unsigned: bool) -> Iterator[RunFolder]:
    """The baseline's folder; that of an archive is there for as long as it is looked at."""
    if not store.is_packed(named):
        yield store.find(named)
        return
    signer = signers_key(key, unsigned=unsigned)
    with TemporaryDirectory(prefix="sodbench-gate-") as scratch:
        yield archive.unpack(named, Path(scratch) / named.resolve().name, key=signer)


def today() -> date:
    """The day by which known-bad entries expire, in UTC."""
    return datetime.fromtimestamp(realtime_ns() / 1e9, tz=UTC).date()


def _show(names: tuple[str, str], pairing: Pairing, result: Result, *, is_played: bool) -> None:
    output = Output()
    output.say(f"{names[1]} against {names[0]}")
    if is_played:
        output.say(f"{played.SAYS}.")
    output.say(*(f"accepted: {line}" for line in pairing.accepted))
    titles = (
        "workload", "metric", "baseline", "run", "worse by", "90 % interval", "matters from", "trials", "",
    )  # fmt: skip
    output.table(titles, [_cells(row) for row in result.rows], right=titles[2:8])
    notes = [f"{documents.place_of(row)} {row.metric}: {row.reason}" for row in result.rows if row.reason]
    excuses = [_excuse(row.excused) for row in result.rows if row.excused is not None]
    unused = [f"known-bad entry not used: {entry.name}" for entry in result.unused]
    output.say(*notes, *dict.fromkeys(excuses), *unused)
    output.say(f"outcome: {result.outcome}")


def _cells(row: Row) -> tuple[str, ...]:
    return (
        documents.place_of(row),
        row.metric,
        documents.median(row, 0),
        documents.median(row, 1),
        documents.change(row),
        documents.interval(row),
        documents.amount(row, row.smallest),
        f"{row.trials[0]} / {row.trials[1]}",
        row.outcome if row.excused is None else f"{row.outcome}, known bad",
    )


def _excuse(entry: Entry) -> str:
    return f"known bad until {entry.expires}: {entry.name}: {entry.reason}"


def _end(names: tuple[str, str], result: Result) -> None:
    """Raise what the outcome is as an exit code."""
    found = [
        f"{documents.place_of(row)} {row.metric}: {documents.sentence_of(row)}"
        for row in result.rows
        if row.outcome == result.outcome and row.excused is None
    ]
    why = "".join(f"\n    {line}" for line in found)
    if result.outcome == "regressed":
        raise RegressedError(
            f"{names[1]} is worse than {names[0]} in {number_of(len(found), 'metric')}",
            why=why,
            remedy="find what changed; what is accepted for now has an entry in a --known-bad file",
        )
    if result.outcome == "inconclusive":
        needed = result.further
        more = "" if needed is None else f": needs about {number_of(needed, 'more trial')}"
        raise InconclusiveError(
            f"whether {names[1]} is worse than {names[0]} was not shown{more}",
            why=why,
            remedy="run the campaign with more repetitions, or remove what is missing",
        )
