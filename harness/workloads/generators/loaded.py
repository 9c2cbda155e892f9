"""What a workload states where a generator, the paper's or locust in its place, makes its load."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from harness.workloads.contract import Line, Step, Timeline


class GeneratedLoad(Protocol):
    """A load as its generator makes it."""

    @property
    def generator(self) -> str:
        """The tool, by its name in the client's facts."""
        ...

    @property
    def name(self) -> str:
        """The tool, by its name in reports."""
        ...

    @property
    def substitutes(self) -> str | None:
        """The paper's tool that it stands in for; None for the paper's own."""
        ...

    def version(self) -> Step:
        """The command that prints the tool's version."""
        ...

    def steady(self, lines: Sequence[Line]) -> bool:
        """Whether the load is level."""
        ...

    def parse(self, lines: Sequence[Line]) -> Timeline:
        """The stored output as a timeline."""
        ...


class Loaded:
    """The part of a workload that its load decides; the server and the processes are the workload's own."""

    def __init__(self, load: GeneratedLoad) -> None:
        self._load = load

    @property
    def generator(self) -> str:
        """The tool that makes the load."""
        return self._load.name

    @property
    def substitutes(self) -> str | None:
        """The paper's tool, where locust stands in for it."""
        return self._load.substitutes

    @property
    def needs(self) -> Sequence[str]:
        """The tool, by its name in the client's facts."""
        return (self._load.generator,)

    def version(self) -> Step | None:
        """What prints the generator's version."""
        return self._load.version()

    def steady(self, lines: Sequence[Line]) -> bool:
        """Whether `steady_test` holds for the output so far."""
        return self._load.steady(lines)

    def parse(self, lines: Sequence[Line]) -> Timeline:
        """What was completed in a second, how long it took, and how much failed."""
        return self._load.parse(lines)
