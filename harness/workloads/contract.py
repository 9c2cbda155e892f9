"""What a workload is: a load on the guest that knows nothing of migrations.

A workload starts its tool, says when the load is steady, and parses the tool's stored output. A new one is
one file here and one line under ``sodbench.workloads`` in pyproject.toml; ``docs/new-workload.md`` walks
through it. Parsing is pure: bytes in, samples and validity out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Protocol

from pydantic import BaseModel


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One line of a tool's output and the controller's CLOCK_MONOTONIC (ns) when it arrived."""

    t_ns: int
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """The work of one reporting interval that ended at `t_ns` (controller's clock, ns).

    Attributes:
        t_ns: When the report arrived.
        work: Work completed in the interval, in the timeline's `work_unit` (bytes, requests, transactions).
        latency_s: The interval's latency in seconds as the tool defines it, or None where it says none.
    """

    t_ns: int
    work: float
    latency_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeline:
    """A workload's own view of a trial.

    Attributes:
        work_unit: Unit of :attr:`Sample.work`, such as ``MB`` or ``operations``; empty for no workload.
        period_s: Nominal distance of reports in seconds: the resolution of what is derived from it.
        samples: In order of arrival.
        problems: Why the output is not valid, in words; empty when it is.
        summary: The tool's own final figures, name (with its unit) to value.
    """

    work_unit: str
    period_s: float
    samples: Sequence[Sample] = ()
    problems: Sequence[str] = ()
    summary: Mapping[str, float] = field(default_factory=dict)


class Workload(Protocol):
    """A load on the guest.

    `command` is what runs, in the guest (`runs_in` = guest) or on the client; its output lines are stamped on
    arrival and stored. None means that there is nothing to run (the idle guest).
    """

    name: ClassVar[str]
    title: ClassVar[str]
    generator: ClassVar[str]
    substitutes: ClassVar[str | None]
    runs_in: ClassVar[str]
    steady_test: ClassVar[str]
    Options: ClassVar[type[BaseModel]]

    def command(self, options: BaseModel, *, guest_address: str, duration_s: float) -> str | None:
        """The shell command that keeps the load going for at least `duration_s`."""
        ...

    def version_command(self) -> str | None:
        """A command that prints the generator's version where it runs, or None."""
        ...

    def steady(self, lines: Sequence[Line]) -> bool:
        """Whether the load is steady, judged by its output so far: the test that `steady_test` states."""
        ...

    def parse(self, lines: Sequence[Line]) -> Timeline:
        """The stored output as a timeline. Never raises for bad output: says so in `problems`."""
        ...
