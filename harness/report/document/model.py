"""The report as a value: sections of paragraphs, tables and figures, before it is HTML, Markdown or LaTeX.

Every format is rendered from the same :class:`Document`, so no format can say what another does not. Text in
here is plain text; escaping belongs to the templates and never happens here.
"""

from __future__ import annotations

import string
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import groupby
from typing import ClassVar, TypeAlias

MISSING = "–"
"""What a table shows where there is no value; a footnote has the reason."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A column's head.

    Attributes:
        label: What the column holds.
        unit: Unit of its numbers as rendered, or empty.
        group: The head above it, shared by neighbours with the same one, or empty.
        numeric: Whether it is set flush right in tabular figures.
    """

    label: str
    unit: str = ""
    group: str = ""
    numeric: bool = True

    @property
    def head(self) -> str:
        """Label and unit in one line."""
        return f"{self.label}, {self.unit}" if self.unit else self.label

    @property
    def flat(self) -> str:
        """The head for formats without grouped columns."""
        return f"{self.group}: {self.head}" if self.group else self.head


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One cell.

    Attributes:
        text: The value as rendered.
        below: Smaller lines below it, such as an interval; separated by line feeds.
        reason: Why there is no value, or what to know of it; becomes a footnote.
        tone: ``plain``, ``quiet``, ``good`` or ``bad``.
    """

    text: str
    below: str = ""
    reason: str = ""
    tone: str = "plain"

    @property
    def lines(self) -> list[str]:
        """The smaller lines, none of them empty."""
        return [line for line in self.below.split("\n") if line]


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """A footnote of a table."""

    marker: str
    text: str


def marker(position: int) -> str:
    """The footnote marker at `position` from 0: a, b, ... z, aa, ab, ..."""
    letters = string.ascii_lowercase
    return letters[position] if position < 26 else marker(position // 26 - 1) + letters[position % 26]


@dataclass(frozen=True, kw_only=True)
class Table:
    """A table; its footnotes are the cells' reasons in order of appearance.

    Attributes:
        key: Its anchor.
        title: What it shows.
        columns: Their heads, in order.
        rows: One cell a column each.
        caption: How to read it.
        dense: Whether it is set smaller, for many columns.
        detail: Whether it belongs in the appendix (:func:`apart`): single values, of which another table
            has the summary.
    """

    shape: ClassVar[str] = "table"
    key: str
    title: str
    columns: Sequence[Column]
    rows: Sequence[Sequence[Cell]]
    caption: str = ""
    dense: bool = False
    detail: bool = False

    @cached_property
    def notes(self) -> list[Note]:
        """The footnotes, one for each different reason."""
        reasons = dict.fromkeys(cell.reason for row in self.rows for cell in row if cell.reason)
        return [Note(marker=marker(at), text=reason) for at, reason in enumerate(reasons)]

    def mark(self, cell: Cell) -> str:
        """The marker of `cell`'s footnote, or empty."""
        return self._markers.get(cell.reason, "")

    @cached_property
    def _markers(self) -> Mapping[str, str]:
        return {note.text: note.marker for note in self.notes}

    def width(self, at: int) -> float:
        """The share of a line for the text column `at`, where a format cannot find it by itself."""
        numbers = sum(1 for column in self.columns if column.numeric)
        room = 0.98 - 0.012 * len(self.columns) - 0.07 * numbers
        return (
            room
            * self._weight(at)
            / sum(self._weight(index) for index, column in enumerate(self.columns) if not column.numeric)
        )

    def _weight(self, at: int) -> int:
        lengths = [len(row[at].text) for row in self.rows]
        return min(60, max(11, len(self.columns[at].head), *lengths, 0))

    @property
    def groups(self) -> list[tuple[str, int]]:
        """The upper head: text and number of columns, or empty when no column has a group."""
        if not any(column.group for column in self.columns):
            return []
        return [(group, len(list(of))) for group, of in groupby(column.group for column in self.columns)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """A figure: what it shows in one sentence, how to read it, and its drawing.

    Attributes:
        key: Name of its file and anchor.
        title: What is seen.
        caption: What the marks mean.
        svg: The drawing as a whole SVG file.
        pdf: The same drawing as PDF; None where no LaTeX was asked for.
    """

    shape: ClassVar[str] = "figure"
    key: str
    title: str
    caption: str
    svg: bytes
    pdf: bytes | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Paragraph:
    """Running text."""

    shape: ClassVar[str] = "paragraph"
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """The short answer for one workload: its name and a sentence."""

    shape: ClassVar[str] = "answer"
    subject: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Callout:
    """A sentence that must not be missed. `tone` is ``note``, ``warning`` or ``good``."""

    shape: ClassVar[str] = "callout"
    text: str
    tone: str = "note"


@dataclass(frozen=True, slots=True, kw_only=True)
class Code:
    """Lines to type or a file's content, verbatim."""

    shape: ClassVar[str] = "code"
    text: str


Block: TypeAlias = Table | Figure | Paragraph | Answer | Callout | Code


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """A titled sequence of blocks.

    Attributes:
        key: Its anchor.
        title: Its head.
        blocks: What it holds, in order.
        label: What the list of sections calls it; empty for its title.
        folded: Whether it is of the appendix: closed on a page until it is asked for, last in print.
    """

    key: str
    title: str
    blocks: Sequence[Block]
    label: str = ""
    folded: bool = False


def apart(sections: Sequence[Section]) -> list[Section]:
    """The sections without the tables of single values, and behind each a folded one with these."""
    found = []
    for section in sections:
        details = [block for block in section.blocks if isinstance(block, Table) and block.detail]
        if section.folded or not details:
            found.append(section)
            continue
        rest = [block for block in section.blocks if not (isinstance(block, Table) and block.detail)]
        title = f"{section.label or section.title}: in detail"
        found.append(replace(section, blocks=rest))
        found.append(Section(key=f"{section.key}-detail", title=title, blocks=details, folded=True))
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """A whole report.

    Attributes:
        title: Its name.
        subtitle: Which run it is of.
        banner: Rig and accelerator, and what they forbid; repeated at every section.
        sections: In the order a reader wants them. What of them is folded is shown behind all others.
    """

    title: str
    subtitle: str
    banner: str
    sections: Sequence[Section]

    @property
    def body(self) -> list[Section]:
        """The sections that everyone reads."""
        return [section for section in apart(self.sections) if not section.folded]

    @property
    def appendix(self) -> list[Section]:
        """The folded sections: what the numbers are made of, for those who check them."""
        return [section for section in apart(self.sections) if section.folded]

    @property
    def figures(self) -> list[Figure]:
        """Every figure, in order."""
        return [block for section in self.sections for block in section.blocks if isinstance(block, Figure)]
