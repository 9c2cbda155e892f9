"""Which attacks were tried on the verifier, and which check refused each.

An attack that is refused for another reason than its own is shown as one that was not held: a check that
never runs would hide behind its neighbour.
"""

from __future__ import annotations

from collections.abc import Sequence

from harness.report.attestation import rows as proofs
from harness.report.document.model import MISSING, Block, Callout, Cell, Column, Paragraph, Section, Table
from harness.report.enclosed import UNKNOWN, Adversary, Case, Sweep


def section(found: Adversary) -> Section:
    """The section on these attacks."""
    keys = ", ".join(proofs.KEYS.get(key, key) for key in found.key_types)
    blocks: list[Block] = [
        Paragraph(
            text="Each attack is evidence that the verifier must refuse or, where the table says accepted, "
            "unusual evidence that it must accept. Expected is the reason code of the one check that must "
            f"decide; a refusal by another check does not count. Keys: {keys}. Not measured in this run; "
            f"machine: {found.machine or UNKNOWN}; date: {found.date or UNKNOWN}."
        ),
        *_verdict(found),
        _cases(found),
    ]
    blocks += [_sweeps(found)] if found.sweeps else []
    return Section(key="attacks", title="Attacks tried", blocks=blocks, label="Attacks")


def _verdict(found: Adversary) -> list[Block]:
    held = sum(1 for case in found.cases if case.held)
    tried = sum(sweep.tried for sweep in found.sweeps)
    wrong = sum(sweep.false_accepts for sweep in found.sweeps)
    attacks = len({case.id for case in found.cases})
    said = f"{held} of {len(found.cases)} cases ({attacks} attacks) were decided by the check that must"
    if found.sweeps:
        said += f"; of {_many(tried)} variants in sweeps {_many(wrong)} were wrongly accepted"
    well = held == len(found.cases) and not wrong
    blocks: list[Block] = [Callout(tone="good" if well else "warning", text=f"{said}.")]
    if found.mutants is None:
        text = "Whether these attacks notice a removed check was not tested."
        return [*blocks, Callout(tone="note", text=text)]
    caught, of = found.mutants.caught, found.mutants.tried
    text = f"Of {of} verifiers with one check removed, the attacks caught {caught}."
    return [*blocks, Callout(tone="good" if caught == of else "warning", text=text)]


def _many(number: int) -> str:
    return f"{number:,}".replace(",", "\u202f")


def _cases(found: Adversary) -> Table:
    columns = [Column(label=label, numeric=False) for label in ("Attack", "Expected", "Verdict")]
    columns += [Column(group="time, ms", label=proofs.KEYS.get(key, key)) for key in found.key_types]
    columns.append(Column(label="n"))
    rows: list[list[Cell]] = []
    for group in dict.fromkeys(case.group for case in found.cases):
        mine = [case for case in found.cases if case.group == group]
        held = sum(1 for case in mine if case.held)
        count = Cell(text=f"{held} of {len(mine)}", tone="good" if held == len(mine) else "bad")
        blank = [Cell(text="")] * (len(found.key_types) + 1)
        rows.append([Cell(text=group, tone="quiet"), Cell(text=""), count, *blank])
        rows += [
            _case([case for case in mine if case.id == name], found.key_types)
            for name in dict.fromkeys(case.id for case in mine)
        ]
    return Table(
        key="attacks-tried",
        detail=True,
        title="Each attack and the check that decided it",
        columns=columns,
        rows=rows,
        caption="Verdict: what the verifier answered, in red where it differs from what was expected. "
        "Time: how long the verifier took. n: how often each was tried, with all keys. Machine: "
        f"{found.machine or UNKNOWN}; date: {found.date or UNKNOWN}.",
    )


def _case(cases: Sequence[Case], keys: Sequence[str]) -> list[Cell]:
    """One attack with all its keys."""
    first, held = cases[0], all(case.held for case in cases)
    expected = ", ".join(dict.fromkeys(case.expected for case in cases))
    wrong = [f"{case.got} ({proofs.KEYS.get(case.key, case.key)})" for case in cases if not case.held]
    words = ", ".join(dict.fromkeys(case.verdict for case in cases))
    verdict = words if held else f"{words}: {', '.join(wrong)}"
    times = {case.key: case.ms for case in cases}
    return [
        Cell(text=first.title),
        Cell(text=expected),
        Cell(text=verdict, tone="plain" if held else "bad"),
        *(_time(times.get(key)) for key in keys),
        Cell(text=str(sum(case.n for case in cases)), tone="quiet"),
    ]


def _time(ms: float | None) -> Cell:
    return Cell(text=MISSING, tone="quiet") if ms is None else Cell(text=proofs.milliseconds(ms / 1e3))


def _sweeps(found: Adversary) -> Table:
    return Table(
        key="attacks-sweeps",
        detail=True,
        title="Sweeps: every variant of an attack",
        columns=[
            Column(label="Sweep", numeric=False),
            Column(label="Key", numeric=False),
            Column(label="Tried"),
            Column(label="Wrongly accepted"),
            Column(label="Time each", unit="µs"),
        ],
        rows=[_sweep(sweep) for sweep in found.sweeps],
        caption="For example, every bit of the signed structure flipped, one at a time. "
        "None may be accepted.",
    )


def _sweep(sweep: Sweep) -> list[Cell]:
    each = MISSING
    if sweep.ms_total is not None and sweep.tried:
        each = proofs.microseconds(sweep.ms_total / sweep.tried / 1e3)
    return [
        Cell(text=sweep.id),
        Cell(text=proofs.KEYS.get(sweep.key, sweep.key)),
        Cell(text=_many(sweep.tried)),
        Cell(text=_many(sweep.false_accepts), tone="bad" if sweep.false_accepts else "good"),
        Cell(text=each, tone="quiet"),
    ]
