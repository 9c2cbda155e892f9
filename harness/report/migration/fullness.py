"""How full each guest's memory was: its own counters, and what its first migration left out as zero."""

from __future__ import annotations

from collections.abc import Iterator

from harness.evidence.account import Account
from harness.evidence.events import GuestMemory, MigrationStarted, PageCacheFilled
from harness.report.document.model import MISSING, Cell, Column, Section, Table
from harness.report.material import Material

_MB = 1e6
_OWN = "Guest's own counters, MB"
_FIRST = "First migration, MB"
_CAPTION = (
    "Right before each window the guest counted its memory (/proc/meminfo). Asked is the page cache that the "
    "campaign wants, which the guest fills by reading its disk; it is an input and no finding. A page that "
    "holds what was read is hardly ever zero, so that what the first migration found not to be zero is at "
    "least the page cache; where it is less, the two contradict each other."
)
_CAPTION_UP = " Up is for how long the guest had been running, by its own clock (/proc/uptime)."


def sections(material: Material) -> list[Section]:
    """The section, for a run whose guests counted their memory; older runs have none, or no uptimes."""
    told = [value for attempt in material.attempts for _, value in attempt.told(GuestMemory)]
    if not told:
        return []
    with_up = any(memory.up_s is not None for memory in told)
    rows = [row for attempt in material.attempts for row in _rows(material, attempt, with_up=with_up)]
    table = Table(
        key="guest-memory",
        title="How full the guest's memory was in each trial",
        columns=[
            Column(label="Trial", numeric=False),
            *(Column(group=_OWN, label=label) for label in ("memory", "asked", "page cache", "free")),
            *([Column(label="Up", unit="s")] if with_up else []),
            *(Column(group=_FIRST, label=label) for label in ("zero", "not zero", "sent")),
            Column(label="Agree", numeric=False),
        ],
        rows=rows,
        caption=_CAPTION + (_CAPTION_UP if with_up else ""),
        dense=True,
    )
    title = "How full the guests' memory was"
    return [Section(key="memory", title=title, blocks=[table], label="Memory", folded=True)]


def _rows(material: Material, attempt: Account, *, with_up: bool) -> Iterator[list[Cell]]:
    asked = {value.guest: value.asked_bytes for _, value in attempt.told(PageCacheFilled)}
    told = [value for _, value in attempt.told(GuestMemory)]
    for memory in told:
        name = attempt.trial if len(told) == 1 else f"{attempt.trial}, {memory.guest}"
        yield [
            Cell(text=name, tone="plain" if attempt.counts else "quiet"),
            _shown(memory.total_bytes),
            _shown(asked.get(memory.guest), "the campaign asks for no page cache"),
            _shown(memory.cached_bytes),
            _shown(memory.free_bytes),
            *([_up(memory)] if with_up else []),
            *_first(material, attempt, memory),
        ]


def _first(material: Material, attempt: Account, memory: GuestMemory) -> list[Cell]:
    """What the first migration of that guest found, and whether it agrees with what the guest said."""
    moves = ((one, one.last(MigrationStarted)) for one in attempt.moves)
    move = next((one for one, began in moves if began is not None and began.guest == memory.guest), None)
    if move is None:
        return [*(_shown(None, "the guest was not migrated") for _ in range(3)), Cell(text=MISSING)]
    values = material.of_migration(attempt, move.n)
    ram, zero, sent = (values.get(name) for name in ("ram_bytes", "zero_bytes", "data_sent"))
    full = None if ram is None or zero is None else ram - zero
    why = "the migration's statistics do not say"
    agree = Cell(text=MISSING, reason=why)
    if full is not None:
        holds = full >= memory.cached_bytes
        agree = Cell(text="yes" if holds else "no", tone="good" if holds else "bad")
    return [_shown(zero, why), _shown(full, why), _shown(sent, why), agree]


def _up(memory: GuestMemory) -> Cell:
    if memory.up_s is None:
        return Cell(text=MISSING, reason="the guest did not say how long it had been up")
    return Cell(text=f"{memory.up_s:.0f}")


def _shown(value: float | None, why: str = "") -> Cell:
    return Cell(text=MISSING, reason=why) if value is None else Cell(text=f"{value / _MB:.0f}")
