"""What a case of the table is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeAlias

from harness.attest.evidence import KeyType
from harness.attest.reasons import Reason
from tests.attest.adversary.stage import WARNING, Scene, Stage

Group: TypeAlias = Literal["freshness", "keys", "structure", "pcrs", "logs", "clock", "guest", "policy"]

KINDS: tuple[KeyType, ...] = ("ecc-p256", "rsa-2048")


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One thing that a machine or a person sends, and what the answer must be.

    Attributes:
        id: Stable, in words.
        group: Which part of the suite.
        title: What is sent, in one sentence.
        expected: A reason's code; ``accepted`` for what is honest, ``warning:`` and a code where the policy
            only warns of it; the kind of an error where files are read.
        forge: Makes it from an honest platform.
        kinds: The key types it makes sense for.
    """

    id: str
    group: Group
    title: str
    expected: str
    forge: Callable[[Stage], Scene]
    kinds: tuple[KeyType, ...] = KINDS

    @property
    def honest(self) -> bool:
        """Whether it must be let through."""
        return self.expected == Reason.ACCEPTED.value or self.expected.startswith(WARNING)


def warned(reason: Reason) -> str:
    """What is said of evidence that is accepted with a warning."""
    return f"{WARNING}{reason.value}"


def grouped(group: Group, *rows: tuple[str, str, str, Callable[[Stage], Scene]]) -> tuple[Case, ...]:
    """Cases of one group: id, expected, title and forgery each."""
    return tuple(
        Case(id=name, group=group, title=title, expected=expected, forge=forge)
        for name, expected, title, forge in rows
    )
