"""Senders of mail: made by locust or by the paper's mstone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from harness.workloads.contract import Line, Process, Site, Step, Timeline
from harness.workloads.generators import counter, locust, mstone


@dataclass(frozen=True, slots=True, kw_only=True)
class Senders:
    """So many clients send `rate` messages a second, all together, to the guest's `port`.

    Attributes:
        generator: What sends.
        clients: How many senders there are.
        rate: Messages a second.
        size_kib: The size of a message, KiB.
        error_limit: The largest share of failures that is still valid.
        port: The server's.
        counted: What the guest counts while mstone, which is silent until it ends, sends.
    """

    generator: Literal["locust", "mstone"]
    clients: int
    rate: float
    size_kib: float
    error_limit: float
    port: int
    counted: Process

    @property
    def _paper(self) -> bool:
        return self.generator == "mstone"

    @property
    def name(self) -> str:
        """The tool that sends."""
        return mstone.NAME if self._paper else locust.NAME

    @property
    def substitutes(self) -> str | None:
        """Mstone, where locust sends."""
        return None if self._paper else mstone.NAME

    def version(self) -> Step:
        """The command that prints the tool's version."""
        return mstone.version() if self._paper else locust.version()

    def processes(self, site: Site) -> Sequence[Process]:
        """The senders, and with mstone what the guest counts."""
        if not self._paper:
            load = locust.Load(users=self.clients, rate=self.rate)
            return (locust.smtp(site, load, self.port, self.size_kib),)
        sent = mstone.Load(clients=self.clients, rate=self.rate, size_kib=self.size_kib)
        return (self.counted, mstone.process(site, sent))

    def steady(self, lines: Sequence[Line]) -> bool:
        """Whether the load is level, by the tool's reports or by what the guest counted."""
        return counter.steady(lines) if self._paper else locust.steady(lines)

    def parse(self, lines: Sequence[Line]) -> Timeline:
        """Messages a second, how long they took, and how many failed."""
        if self._paper:
            return mstone.parse(lines, clients=self.clients, error_limit=self.error_limit)
        return locust.parse(lines, work_unit="messages", error_limit=self.error_limit)
