"""Measured migrations next to the model of pre-copy, for loads that state how fast they dirty memory.

The model is given what was known before the run: the load's stated rate and working set, the link's rate and
the limits. Of the evidence it takes the memory that was not zero. Its error is stated for each row.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from statistics import median

from matplotlib.figure import Figure as Canvas
from pydantic import ValidationError

from harness import workloads
from harness.analysis import sampled_rate
from harness.analysis.precopy_model import Load, Precopy, precopy
from harness.evidence.account import Account, Move
from harness.evidence.events import DirtyRateSampled, GuestStarted, LinkHeld, MigrationStarted
from harness.report.document.drawing import GROUND, MEASURED, PAPER, QUIET, Sketch
from harness.report.document.model import MISSING, Block, Cell, Column, Section, Table
from harness.report.material import Material
from harness.workloads.contract import Dirtying, StatesDirtying

MIB = 1 << 20
QEMU_LIMIT_MS = 300
"""QEMU's own downtime limit, where the campaign sets none."""
NEVER = "by the model it never ends: a pass leaves as much as the one before"
_CAPTION = (
    "Ratio: the stated dirty rate over the rate that the link and the campaign allow. Dirtied: the rate "
    "that the migration itself saw in its last pass but one, next to the stated one. Model: pre-copy with"
    " constant rates, from the memory that was not zero, the working set and the downtime limit; it knows"
    " neither set-up nor protocol. Error: measured over modelled, less one. Passes are the hypervisor's "
    "count of looks at the dirty pages, and the model's count of passes, the last one included."
)
_SAMPLED = (
    " Sampled: the rate that QEMU's page sampling saw before the baseline, below it its error against the "
    "stated rate, and the standard error by the choice of the pages alone."
)
_INVALID = (
    "the working set is written through within the period, and a page that is written twice counts once"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One migration and what the model says of it.

    Attributes:
        name: The workload, under its variant.
        dirtying: What the load was to dirty.
        bandwidth_bytes_s: What the migration could send.
        limit_s: For how long the guest could be stopped.
        measured: Metric to value, those that are known.
        model: What the model says, or None where the migration never ends.
        sampled: What QEMU's page sampling saw before the baseline; None where it was not asked for.
        memory_mib: The guest's.
    """

    name: str
    dirtying: Dirtying
    bandwidth_bytes_s: float
    limit_s: float
    measured: Mapping[str, float]
    model: Precopy | None
    sampled: DirtyRateSampled | None
    memory_mib: float

    @property
    def ratio(self) -> float:
        """Dirty rate over bandwidth."""
        return self.dirtying.rate_mib_s * MIB / self.bandwidth_bytes_s


def points(material: Material) -> list[Point]:
    """The completed pre-copy migrations of valid trials whose load states what it dirties."""
    return [
        point
        for attempt in material.attempts
        if attempt.counts and (dirtying := _stated(attempt)) is not None
        for move in attempt.moves
        if move.outcome == "completed" and (point := _point(material, attempt, move, dirtying)) is not None
    ]


def _stated(attempt: Account) -> Dirtying | None:
    load = attempt.load
    if load is None or load.workload not in workloads.available():
        return None
    try:
        made = workloads.make(load.workload, load.options)
    except (ValidationError, ValueError):  # options of an older version
        return None
    return made.dirtying if isinstance(made, StatesDirtying) else None


def _point(material: Material, attempt: Account, move: Move, dirtying: Dirtying) -> Point | None:
    began = move.last(MigrationStarted)
    if began is None or len(attempt.all(GuestStarted)) > 1:  # several guests may share the link
        return None
    if began.options.get("mode") == "post-copy" or began.options.get("auto_converge"):
        return None
    values = material.of_migration(attempt, move.n)
    bandwidth = _bandwidth_bytes_s(material, attempt, began)
    full = values.get("ram_bytes", 0.0) - values.get("zero_bytes", 0.0)
    if bandwidth is None or not {"ram_bytes", "zero_bytes"} <= set(values):
        return None
    limit_ms = began.options.get("downtime_limit_ms")
    limit_s = (limit_ms if isinstance(limit_ms, int) else QEMU_LIMIT_MS) / 1000
    load = Load(
        memory_bytes=full,
        dirty_bytes_s=dirtying.rate_mib_s * MIB,
        working_set_bytes=dirtying.size_mib * MIB,
    )
    return Point(
        name=attempt.workload,
        dirtying=dirtying,
        bandwidth_bytes_s=bandwidth,
        limit_s=limit_s,
        measured=values,
        model=precopy(load, bandwidth_bytes_s=bandwidth, limit_s=limit_s),
        sampled=attempt.value(DirtyRateSampled),
        memory_mib=values["ram_bytes"] / MIB,
    )


def _bandwidth_bytes_s(material: Material, attempt: Account, began: MigrationStarted) -> float | None:
    """What the link and the campaign let a migration send; None where neither states a rate."""
    cap = began.options.get("bandwidth_mib_s")
    rates: list[float] = [cap * MIB] if isinstance(cap, int) and cap > 0 else []
    held = attempt.value(LinkHeld)
    link_bit_s = material.link_bit_s if held is None else held.rate_bit_s
    rates += [link_bit_s / 8] if link_bit_s else []
    return min(rates, default=None)


def sections(material: Material) -> list[Section]:
    """The section, for a run with such loads."""
    found = points(material)
    if not found:
        return []
    blocks: list[Block] = [_table(found), _sketch(found).drawn()]
    title = "Where pre-copy stops ending by itself"
    return [Section(key="model", title=title, blocks=blocks, label="Model")]


def _table(found: Sequence[Point]) -> Table:
    return Table(
        key="precopy-model",
        title="Total time and downtime, measured and by the model",
        columns=[
            Column(label="Load", numeric=False),
            Column(label="Migrations"),
            Column(label="Ratio"),
            Column(group="Dirtied, MB/s", label="stated"),
            Column(group="Dirtied, MB/s", label="seen"),
            *((Column(group="Dirtied, MB/s", label="sampled"),) if _any_sampled(found) else ()),
            *(
                Column(group=group, label=label)
                for group in ("Total, s", "Downtime, ms", "Passes")
                for label in ("measured", "model")
            ),
            Column(group="Error, %", label="total"),
            Column(group="Error, %", label="downtime"),
        ],
        rows=[_row(mine, sampled=_any_sampled(found)) for mine in _by_name(found).values()],
        caption=f"{_CAPTION}{_SAMPLED if _any_sampled(found) else ''}",
        dense=True,
    )


def _by_name(found: Sequence[Point]) -> Mapping[str, list[Point]]:
    groups: dict[str, list[Point]] = {}
    for point in sorted(found, key=lambda one: one.ratio):
        groups.setdefault(point.name, []).append(point)
    return groups


def _any_sampled(found: Sequence[Point]) -> bool:
    return any(one.sampled is not None for one in found)


def _sampled(mine: Sequence[Point]) -> Cell:
    """QEMU's median rate of the trials, its error against the stated one, and the error by chance alone."""
    known = {id(one.sampled): one for one in mine if one.sampled is not None}
    rate = _median([float(one.sampled.rate_mib_s) for one in known.values() if one.sampled is not None])
    if rate is None:
        return Cell(text=MISSING, reason="QEMU was not asked, or did not say")
    first = next(iter(known.values()))
    stated, period_s = first.dirtying.rate_mib_s, 0 if first.sampled is None else first.sampled.period_s
    by_chance = sampled_rate.chance(first.memory_mib, stated, period_s)
    below = f"{100 * (rate / stated - 1):+.0f} % (chance: ±{100 * by_chance:.0f} %)"
    if not sampled_rate.valid(first.dirtying.size_mib, stated, period_s):
        return Cell(text=f"{rate * MIB / 1e6:.1f}", below=below, tone="quiet", reason=_INVALID)
    return Cell(text=f"{rate * MIB / 1e6:.1f}", below=below)


def _row(mine: Sequence[Point], *, sampled: bool) -> list[Cell]:
    first = mine[0]
    return [
        Cell(text=first.name),
        Cell(text=str(len(mine))),
        Cell(text=f"{first.ratio:.2f}"),
        Cell(text=f"{first.dirtying.rate_mib_s * MIB / 1e6:.1f}"),
        _text(_median(one.measured.get("dirty_rate") for one in mine), 1e-6, 1),
        *((_sampled(mine),) if sampled else ()),
        *_both(mine, "total_time", "total_s", 1.0, 2),
        *_both(mine, "blackout", "downtime_s", 1e3, 0),
        *_both(mine, "iterations", "passes", 1.0, 0),
        _error(mine, "total_time", "total_s"),
        _error(mine, "blackout", "downtime_s"),
    ]


def _modelled(one: Point, name: str) -> float | None:
    return None if one.model is None else float(getattr(one.model, name))


def _both(mine: Sequence[Point], metric: str, name: str, factor: float, places: int) -> Iterator[Cell]:
    yield _text(_median(one.measured.get(metric) for one in mine), factor, places)
    yield _text(_median(_modelled(one, name) for one in mine), factor, places, NEVER)


def _error(mine: Sequence[Point], metric: str, name: str) -> Cell:
    pairs = [(one.measured.get(metric), _modelled(one, name)) for one in mine]
    shares = [got / said - 1 for got, said in pairs if got is not None and said]
    return _text(_median(shares), 100.0, 0, "there is nothing to compare")


def _median(values: Iterator[float | None] | Sequence[float]) -> float | None:
    known = [value for value in values if value is not None]
    return median(known) if known else None


def _text(value: float | None, factor: float, places: int, why: str = "it was not measured") -> Cell:
    return Cell(text=MISSING, reason=why) if value is None else Cell(text=f"{value * factor:.{places}f}")


def _sketch(found: Sequence[Point]) -> Sketch:
    return Sketch(
        "precopy-model",
        "Downtime and total time over the ratio of dirty rate to bandwidth",
        "Dots are measured migrations, diamonds the model's. Where a pass leaves as much as the one before, "
        "the model has no end and there is no diamond. The line is the downtime limit.",
        2.8,
        partial(_paint, found=found),
    )


def _paint(canvas: Canvas, *, found: Sequence[Point]) -> None:
    panels = canvas.subplots(1, 2, sharex=True)
    for axes, metric, name, factor, label in (
        (panels[0], "blackout", "downtime_s", 1e3, "downtime, ms"),
        (panels[1], "total_time", "total_s", 1.0, "total time, s"),
    ):
        for one in found:
            got, said = one.measured.get(metric), _modelled(one, name)
            if got is not None:
                axes.plot([one.ratio], [got * factor], "o", color=MEASURED, markersize=4, alpha=0.8)
            if said is not None:
                axes.plot(
                    [one.ratio], [said * factor], "D", color=PAPER, markersize=5, markerfacecolor=GROUND
                )
        axes.set_ylim(bottom=0)
        axes.set_xlabel("dirty rate over bandwidth", color=QUIET)
        axes.set_ylabel(label)
    for limit_s in {one.limit_s for one in found}:
        panels[0].axhline(limit_s * 1e3, color=QUIET, linewidth=0.8)
