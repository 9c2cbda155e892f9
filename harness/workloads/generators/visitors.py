"""Visitors of a site, the same for every workload over HTTP: made by locust or by the paper's Faban.

A workload of this kind has a server of its own, a list of targets, and something that the guest counts while
Faban, which is silent until it ends, runs. The rest is here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from harness.workloads.contract import Line, Process, Site, Step, Timeline
from harness.workloads.generators import counter, faban, locust
from harness.workloads.generators.targets import Target

Generator: TypeAlias = Literal["locust", "faban"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Visitors:
    """So many clients ask for `rate` pages a second, all together, of the guest's `port`.

    Attributes:
        generator: What asks.
        clients: How many visitors there are.
        rate: Requests a second.
        error_limit: The largest share of failures that is still valid.
        port: The server's.
        counted: What the guest counts while Faban asks.
        floor: The least of that a second which is work; see :func:`counter.steady`.
    """

    generator: Generator
    clients: int
    rate: float
    error_limit: float
    port: int
    counted: Process
    floor: float = 0.0

    @property
    def _paper(self) -> bool:
        return self.generator == "faban"

    @property
    def name(self) -> str:
        """The tool that makes the requests."""
        return faban.NAME if self._paper else locust.NAME

    @property
    def substitutes(self) -> str | None:
        """Faban, where locust makes the requests."""
        return None if self._paper else "Faban"

    def version(self) -> Step:
        """The command that prints the tool's version."""
        return faban.version() if self._paper else locust.version()

    def processes(self, site: Site, targets: Sequence[Target]) -> Sequence[Process]:
        """The visitors of `targets`, and with Faban what the guest counts."""
        if not self._paper:
            load = locust.Load(users=self.clients, rate=self.rate)
            return (locust.http(site, load, self.port, targets),)
        asked = faban.process(site, faban.Load(clients=self.clients, rate=self.rate), self.port, targets)
        return (self.counted, asked)

    def steady(self, lines: Sequence[Line]) -> bool:
        """Whether the load is level, by the tool's reports or by what the guest counted."""
        return counter.steady(lines, floor=self.floor) if self._paper else locust.steady(lines)

    def parse(self, lines: Sequence[Line]) -> Timeline:
        """Requests a second, how long they took, and how many failed."""
        parse = faban.parse if self._paper else locust.parse
        return parse(lines, work_unit="requests", error_limit=self.error_limit)
