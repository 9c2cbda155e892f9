"""The contract of a workload: a load on the guest that knows nothing of migrations.

A workload states which processes must be started and where, judges when the load is steady, and parses the
stored output. A new one is one file here and one line under ``sodbench.workloads`` in pyproject.toml;
``docs/new-workload.md`` walks through it. It touches no machine: commands out, lines in. Parsing is pure:
lines in, samples and validity out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Literal, Protocol, TypeAlias, runtime_checkable

from pydantic import BaseModel

from harness.workloads import problems

Machine: TypeAlias = Literal["guest", "client"]
"""The machine of a part of a workload: the guest, or the client on the network."""

GENERATOR = "generator"
"""The source of the lines of the process that makes the load, unless it says otherwise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """Where and for how long a workload is to run.

    Attributes:
        guest_address: The guest's address, as the client reaches it.
        client_address: The client's address, as the guest reaches it.
        baseline_s: Undisturbed work that is measured once the load is steady.
        window_s: The measured window after it.
        limit_s: What a process that is ended from outside must outlast, however slowly all goes.
    """

    guest_address: str
    client_address: str
    baseline_s: float
    window_s: float
    limit_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One command that has to succeed before the load starts, such as the start of a server.

    Attributes:
        what: What it does, as in "cannot start MariaDB": a verb and its object.
        machine: Where it runs.
        command: The shell command; it returns once what it starts can be used.
        timeout_s: After so many seconds it has failed.
    """

    what: str
    machine: Machine
    command: str
    timeout_s: float = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """One standing command whose lines are the workload's evidence.

    Attributes:
        machine: Where it runs.
        command: The shell command. Its error output is part of its output.
        source: What its lines are marked with: :attr:`Line.source`.
        finish_s: 0 for one that is ended when the window closes. A generator that prints its results only
            when it ends by itself is awaited so many seconds after the window.
    """

    machine: Machine
    command: str
    source: str = GENERATOR
    finish_s: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One line of a process's output and the controller's CLOCK_MONOTONIC (ns) when it arrived."""

    t_ns: int
    text: str
    source: str = GENERATOR


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """The work of one reporting interval that ended at `t_ns` (controller's clock, ns).

    Attributes:
        t_ns: When the report arrived.
        work: Work completed in the interval, in the timeline's `work_unit` (operations, requests, packets).
        latency_s: The interval's latency in seconds as the tool defines it, or None where it says none.
        latency_least_s: The end of the tool's scale in seconds, where the latency lies beyond it: it is then
            at least this and `latency_s` is None. None elsewhere.
        stall_s: The longest time in seconds between two consecutive completions that ended in the interval,
            where the tool knows each completion; None where it does not, or none ended.
        lost: Requests that failed or packets that never came in the interval; None where the tool cannot
            know.
    """

    t_ns: int
    work: float
    latency_s: float | None = None
    stall_s: float | None = None
    lost: int | None = None
    latency_least_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeline:
    """A workload's own view of a trial.

    Attributes:
        work_unit: Unit of :attr:`Sample.work`, such as ``requests`` or ``operations``; empty for no workload.
        period_s: Nominal distance of reports in seconds: the resolution of what is derived from it.
        samples: In order of arrival.
        problems: Why the output is not valid, in words; empty when it is. Equal ones are counted, and of many
            different ones only the first are kept: :func:`harness.workloads.problems.bounded`.
        summary: The tool's own final figures, name (with its unit) to value.
        latency: What :attr:`Sample.latency_s` is, in words such as ``99th percentile``; empty without any.
        unobserved: Stretches, from and to in the controller's ns, in which a report is missing for a reason
            of the tool's own, or could not be read; in order. Whether work was completed in them is unknown.
            One that ends at a sample is covered by that sample's work; the work of any other is unknown.
    """

    work_unit: str
    period_s: float
    samples: Sequence[Sample] = ()
    problems: Sequence[str] = ()
    summary: Mapping[str, float] = field(default_factory=dict)
    latency: str = ""
    unobserved: Sequence[tuple[int, int]] = ()

    def __post_init__(self) -> None:
        # Here and not in each parser: a workload of another package quotes its tool as well.
        object.__setattr__(self, "problems", problems.bounded(self.problems))


@dataclass(frozen=True, slots=True, kw_only=True)
class Dirtying:
    """What a load does to its guest's memory.

    Attributes:
        rate_mib_s: MiB that it dirties in a second.
        size_mib: MiB among which these are: its working set.
    """

    rate_mib_s: float
    size_mib: float


@runtime_checkable
class StatesDirtying(Protocol):
    """A workload that states what it dirties; a campaign with several guests at once is judged by it."""

    @property
    def dirtying(self) -> Dirtying:
        """What it dirties in the guest."""
        ...


class Workload(Protocol):
    """A load on the guest, made with its options: an instance of :attr:`Options`.

    Attributes:
        name: Its name in a campaign.
        title: Its name in reports.
        steady_test: The test that :meth:`steady` makes, in words.
        Options: A pydantic model; ``extra="forbid"``, frozen, strict, every field with a default and a
            description. A campaign's values are never converted to it: ``true`` is no 1.
        generator: The tool that makes the load.
        substitutes: The paper's generator that this one stands in for, or None where it is the paper's own.
        needs: Tools that the client must have, by their names in the facts of ``verify.yml``.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    steady_test: ClassVar[str]
    Options: ClassVar[type[BaseModel]]

    def __init__(self, options: BaseModel) -> None: ...

    @property
    def generator(self) -> str: ...  # noqa: D102 - described above
    @property
    def substitutes(self) -> str | None: ...  # noqa: D102
    @property
    def needs(self) -> Sequence[str]: ...  # noqa: D102

    def version(self) -> Step | None:
        """The command that prints the generator's version on its first line, or None without a generator."""
        ...

    def preparation(self, site: Site) -> Sequence[Step]:
        """The steps before the load, in this order; the attempt is invalid when one of them fails."""
        ...

    def processes(self, site: Site) -> Sequence[Process]:
        """The processes that then run until the window closes, in starting order; none for the idle guest."""
        ...

    def steady(self, lines: Sequence[Line]) -> bool:
        """Whether the load is steady, judged by all output so far: the test that `steady_test` states."""
        ...

    def parse(self, lines: Sequence[Line]) -> Timeline:
        """The stored output as a timeline. Never raises for bad output: reports it in `problems`."""
        ...
