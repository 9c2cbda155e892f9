"""The cost of each step of the verification alone, from benchmarks of the pure functions.

The benchmarks are not part of the run: no attester, no transport, one step after the other on one machine.
"""

from __future__ import annotations

from harness.report.attestation import rows as proofs
from harness.report.document.model import MISSING, Block, Cell, Column, Paragraph, Section, Table
from harness.report.enclosed import UNKNOWN, Benchmark, Benchmarks


def section(found: Benchmarks) -> Section:
    """The section on these benchmarks."""
    when = found.datetime or UNKNOWN
    text = (
        "The verifier's steps alone, on evidence that was prepared beforehand. "
        f"Not measured in this run; machine: {found.machine}; date: {when}."
    )
    blocks: list[Block] = [Paragraph(text=text), _table(found)]
    return Section(
        key="verification-cost",
        title="What each step of the verification costs",
        blocks=blocks,
        label="Verification",
    )


def _table(found: Benchmarks) -> Table:
    columns = [
        Column(label="Step", numeric=False),
        Column(label="Median", unit="µs"),
        Column(label="Quartiles", unit="µs"),
        Column(label="Fastest", unit="µs"),
        Column(label="Per second, in sequence"),
        Column(label="n"),
    ]
    ordered = sorted(found.benchmarks, key=lambda one: (one.group or "", one.name))
    rows = []
    group = ""
    for one in ordered:
        if one.group and one.group != group:
            group = one.group
            rows.append([Cell(text=group, tone="quiet"), *[Cell(text="")] * 5])
        rows.append(_row(one))
    return Table(
        key="verification-benchmarks",
        title="Steps of the verification, each timed alone",
        columns=columns,
        rows=rows,
        caption="Medians over n rounds; a round repeats a short step many times and divides. Fastest: the "
        f"shortest round. Machine: {found.machine}; date: {found.datetime or UNKNOWN}.",
    )


def _row(one: Benchmark) -> list[Cell]:
    stats = one.stats
    known = stats.q1 is not None and stats.q3 is not None
    spread = (
        f"{proofs.microseconds(stats.q1 or 0)}–{proofs.microseconds(stats.q3 or 0)}" if known else MISSING
    )
    rate = f"{1 / stats.median:,.0f}".replace(",", "\u202f") if stats.median else MISSING
    return [
        Cell(text=_name(one.name)),
        Cell(text=proofs.microseconds(stats.median)),
        Cell(text=spread, tone="quiet"),
        Cell(text=proofs.microseconds(stats.min), tone="quiet"),
        Cell(text=rate, tone="quiet"),
        Cell(text=str(stats.rounds), tone="quiet"),
    ]


def _name(name: str) -> str:
    """``test_parse_attest[ecc-p256]`` as ``parse attest, ecc-p256``."""
    plain, bracket, rest = name.removeprefix("test_").partition("[")
    words = plain.replace("_", " ")
    return f"{words}, {rest.removesuffix(']')}" if bracket else words
