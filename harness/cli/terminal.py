"""The one door through which the command line prints: plain text in, safe and complete text out.

What is printed comes from machines, tools, files and people, so nothing here is ever read as markup, and
nothing reaches a terminal that it would obey (:mod:`harness.legible`). In a pipe or a file nothing is folded
or cut: a row of a table is one line, whatever its width. On a terminal the columns fold between words; where
even that does not fit, a row becomes a paragraph with a line for each column. No other module may use rich,
which a test checks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import zip_longest
from typing import TypeAlias

from rich.cells import cell_len
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.text import Text

from harness.legible import legible

_GAP = "  "
_LONGEST_WORD = 24
"""A word up to this length is not broken by folding; a longer one, such as a path, may be."""


@dataclass(frozen=True, slots=True)
class Styled:
    """A text and how a terminal shows it, such as ``bold red``; elsewhere it is the text alone."""

    text: str
    style: str


Cell: TypeAlias = "str | Styled | Sequence[str | Styled]"
"""What stands at one place: a text, a styled one, or several of them without a gap."""


class Output:
    """Standard output, or the error output, of a verb."""

    def __init__(self, *, error: bool = False) -> None:
        self._console = Console(stderr=error, highlight=False, markup=False, emoji=False, soft_wrap=True)

    @property
    def is_terminal(self) -> bool:
        """Whether it goes to a terminal, whatever the environment says of colours."""
        return self._console.file.isatty()

    def say(self, *lines: Cell, style: str = "") -> None:
        """Print each of `lines` as one line; without any, an empty one. What is in a line cannot end it."""
        for line in lines or ("",):
            text = _text(line)
            text.stylize_before(style)
            self._console.print(text)

    def table(self, titles: Sequence[str], rows: Sequence[Sequence[Cell]], right: Sequence[str] = ()) -> None:
        """Print `rows` below `titles`; the columns named in `right` are aligned to the right.

        A row may be shorter than the titles: the rest of it is empty.
        """
        width = self._console.width if self.is_terminal else None
        whole = [[_text(Styled(title, "bold")) for title in titles]]
        whole += [[_text(cell) for cell in row] + [Text()] * (len(titles) - len(row)) for row in rows]
        widths = column_widths([[cell.plain for cell in row] for row in whole], width)
        if widths is None:
            lines = _paragraphs(whole)
        else:
            lines = _grid(self._console, whole, widths, [title in right for title in titles])
        for line in lines:
            line.rstrip()
            self._console.print(line)

    def error(self, kind: str, where: str, what: str, why: str = "", remedy: str = "") -> None:
        """Print what failed. Lines of `why` and `remedy` after their first are indented."""
        place = f"{where}: " if where else ""
        self.say((Styled("error", "bold red"), f" ({kind}): {place}", Styled(what, "bold")))
        for label, told in (("  why: ", why), ("  do:  ", remedy)):
            first, *more = told.split("\n")
            if told:
                self.say((Styled(label, "dim"), first))
            self.say(*(f"    {line.lstrip(' ')}" for line in more)) if more else None

    @contextmanager
    def status(self, text: str) -> Iterator[Callable[[str], None]]:
        """Show on a terminal what is under way; what is yielded replaces the text. Elsewhere say nothing."""
        with self._console.status(Text(legible(text))) as shown:
            yield lambda now: shown.update(Text(legible(now)))

    @contextmanager
    def bar(self, *, total: int, done: int) -> Iterator[Callable[[], None]]:
        """Show on a terminal how far a run is; what is yielded counts one more of `total`."""
        bar = Progress(
            TextColumn("run"),
            BarColumn(),
            TextColumn("{task.percentage:3.0f} %"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=self._console,
            disable=not self.is_terminal,
        )
        task = bar.add_task("run", total=total, completed=done)
        with bar:
            yield lambda: bar.advance(task)


def number_of(number: int, noun: str) -> str:
    """The number with its noun, such as ``1 trial`` and ``2 trials``."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def column_widths(rows: Sequence[Sequence[str]], width: int | None) -> list[int] | None:
    """The columns' widths in terminal cells so that `rows` fit into `width`; None for `width`: no limit.

    Returns:
        Widths at which words up to a certain length stay whole, or None where there are no such widths.
    """
    columns = list(zip(*rows, strict=True))
    natural = [max(cell_len(cell) for cell in column) for column in columns]
    if width is None:
        return natural
    room = width - len(_GAP) * (len(columns) - 1)
    least = [
        max(min(cell_len(word), _LONGEST_WORD) for cell in column for word in (*cell.split(), ""))
        for column in columns
    ]
    for widest in range(min(max(natural), room), 0, -1):
        fitted = [max(low, min(wanted, widest)) for low, wanted in zip(least, natural, strict=True)]
        if sum(fitted) <= room:
            return fitted
    return None


def _grid(
    console: Console, rows: Sequence[Sequence[Text]], widths: Sequence[int], right: Sequence[bool]
) -> Iterator[Text]:
    """The lines of a table whose cells fold at `widths`."""
    for row in rows:
        folded = [
            cell.wrap(console, max(1, width), overflow="fold", no_wrap=False)
            for cell, width in zip(row, widths, strict=True)
        ]
        for parts in zip_longest(*folded):
            line = Text()
            for part, width, aligned_right in zip(parts, widths, right, strict=True):
                shown = Text() if part is None else part.copy()
                shown.rstrip()
                shown.align("right" if aligned_right else "left", width)
                line.append_text(shown).append(_GAP)
            yield line


def _paragraphs(rows: Sequence[Sequence[Text]]) -> Iterator[Text]:
    """Each row as lines of their own, `title: value`, with an empty line between two rows.

    A row with only a first cell is a heading of those below it, and has no title.
    """
    titles, *rest = rows
    for number, row in enumerate(rest):
        if number:
            yield Text()
        heading = len(row) > 1 and not any(cell.plain for cell in row[1:])
        for title, cell in zip(titles, row, strict=True):
            begins = len(cell.plain) - len(cell.plain.lstrip())
            if cell.plain[begins:]:
                label = Text() if heading or not title.plain else Text.assemble(title, ": ")
                yield label.append_text(cell[begins:])


def _text(cell: Cell) -> Text:
    if isinstance(cell, str):
        return Text(legible(cell))
    if isinstance(cell, Styled):
        return Text(legible(cell.text), style=cell.style)
    whole = Text()
    for part in cell:
        whole.append_text(_text(part))
    return whole
