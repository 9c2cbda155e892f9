"""Whether an attempt's evidence can be used and, where not, why: the cause first, each reason its own line.

A tool's complaints can be thousands of lines; what becomes a reason is bounded here, once for the journal,
the terminal and the report.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from harness.errors import SodbenchError
from harness.evidence.events import Validity
from harness.workloads import problems as complaints
from harness.workloads.problems import LENGTH

MOST_REASONS = 12
MOST_CHARACTERS = LENGTH
"""Of one reason."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """Whether an attempt's evidence can be used: ``valid``, ``invalid`` or ``skipped``.

    Attributes:
        verdict: One of the three.
        reasons: Why not. The first is the cause in one sentence; the others are what is known of it.
    """

    verdict: Validity
    reasons: tuple[str, ...] = ()


def of_error(error: SodbenchError) -> Judgement:
    """The judgement of an attempt that `error` ended: what failed, then each line of why."""
    what = f"{error.where}: {error.what}" if error.where else error.what
    return Judgement("invalid", bounded([what, *error.why.splitlines()]))


def of_output(problems: Sequence[str], ended_early: str | None) -> Judgement:
    """The judgement of an attempt that went through.

    Args:
        problems: Why the workload's output is not valid, the cause first.
        ended_early: The process of the workload that did not run until the window closed, and its last words.
    """
    early = [] if ended_early is None else [f"before the window closed {ended_early}"]
    reasons = bounded([*problems, *early])
    return Judgement("invalid" if reasons else "valid", reasons)


def unsteady(reason: str, problems: Sequence[str], test: str, *, ended: bool) -> tuple[str, ...]:
    """Why an attempt's load did not become steady, the cause first.

    Args:
        reason: What was seen: a process that ended, or the time that passed.
        problems: Why the output so far is not valid. Where a process ended this says why it did; where all
            run it is what can be said of a result that is not there yet.
        test: The test of steadiness, in words.
        ended: Whether a process ended by itself.
    """
    known = [*problems[:3], reason] if ended else [reason, *problems[:3]]
    return bounded([*known, f"the test of steadiness: {test}"])


def bounded(reasons: Iterable[str]) -> tuple[str, ...]:
    """Each different reason in one line of bounded length, with how often it was given, and how many more."""
    lines = (" ".join(reason.split()) for reason in reasons if reason.strip())
    return complaints.bounded(lines, kept=MOST_REASONS)
