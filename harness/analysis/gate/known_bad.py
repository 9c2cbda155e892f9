"""What is known to be worse, why, who looks after it, and until when: a file next to the campaign.

An entry excuses a metric, in one workload or all, under one variant or all. It ends by its date: one that has
expired is refused by name, so that no excuse outlives its reason.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any

from pydantic import Field, field_validator

from harness.analysis.gate.declared import Gate
from harness.errors import InputFileError
from harness.nearest import nearest
from harness.strict import Strict
from harness.yaml_model import file_schema, refusal, validated
from harness.yaml_source import Problem, parse, read_text


class KnownBadError(InputFileError):
    """A file of known-bad entries is wrong, or an entry of it has expired; nothing was judged."""

    kind = "known-bad"


class Entry(Strict):
    """One excuse.

    Attributes:
        metric: A primary metric of the gate.
        workload: In which workload; None for all.
        variant: Under which variant; None for all.
        reason: Why it is worse, such as the address of a bug report.
        owner: Who looks after it.
        expires: The last day on which it excuses, in UTC.
    """

    metric: str = Field(min_length=1, max_length=200, description="a primary metric of the gate")
    workload: str | None = Field(default=None, max_length=200, description="a workload; left out: all")
    variant: str | None = Field(default=None, max_length=32, description="a variant; left out: all")
    reason: str = Field(min_length=1, max_length=500, description="why it is worse, in words")
    owner: str = Field(min_length=1, max_length=200, description="who looks after it")
    expires: str = Field(description="the last day on which it excuses, as YYYY-MM-DD")

    @field_validator("expires")
    @classmethod
    def _day(cls, text: str) -> str:
        try:
            if len(text) != len("2026-01-31"):
                raise ValueError(text)
            date.fromisoformat(text)
        except ValueError as error:
            raise ValueError("a day as YYYY-MM-DD") from error
        return text

    @property
    def name(self) -> str:
        """Such as ``total_time of file under post-copy (owner)``."""
        workload = f" of {self.workload}" if self.workload else ""
        variant = f" under {self.variant}" if self.variant else ""
        return f"{self.metric}{workload}{variant} ({self.owner})"

    def covers(self, metric: str, workload: str, variant: str | None) -> bool:
        """Whether it excuses this metric there."""
        return (
            self.metric == metric
            and self.workload in {None, workload}
            and (self.variant is None or self.variant == variant)
        )


class KnownBad(Strict):
    """The file."""

    known_bad: tuple[Entry, ...] = Field(strict=False, max_length=1000, description="entries")


def load(path: Path, gate: Gate, today: date) -> tuple[Entry, ...]:
    """The entries stored at `path`, all of metrics of `gate` and none expired on `today` (UTC).

    Raises:
        InputFileError: The file cannot be read; as :class:`KnownBadError`: something in it is wrong.
    """
    source = parse(read_text(path))
    found, problems = validated(KnownBad, source)
    if found is not None:
        problems = tuple(
            Problem(line=source.line(("known_bad", at)), path=f"known_bad[{at}]", text=text, hint=hint)
            for at, entry in enumerate(found.known_bad)
            for text, hint in _wrong(entry, gate, today)
        )
    if found is None or problems:
        raise refusal(problems, str(path), KnownBadError, "nothing was judged")
    return found.known_bad


def _wrong(entry: Entry, gate: Gate, today: date) -> Sequence[tuple[str, str]]:
    if entry.metric not in gate.names:
        hint = nearest(entry.metric, gate.names) or f"the gate has {', '.join(gate.names)}"
        return ((f"{entry.metric!r} is no primary metric of the gate", hint),)
    if date.fromisoformat(entry.expires) < today:
        return (
            (
                f"{entry.name} expired on {entry.expires}",
                "take the entry out, or have its owner set another date and say why",
            ),
        )
    return ()


def schema() -> dict[str, Any]:
    """The JSON Schema (2020-12) of such a file, for editors."""
    return file_schema(KnownBad)
