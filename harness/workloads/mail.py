"""The mail server: smtp-sink in the guest receives what mstone, or locust in its place, sends.

smtp-sink (Postfix) discards every message, so that the measurement covers the guest's network and CPU and not
a spool on its disk. One message is one connection: HELO, MAIL, RCPT, DATA, QUIT.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal

from pydantic import BaseModel, Field

from harness.strict import Strict
from harness.workloads.contract import Line, Process, Site, Step, Timeline
from harness.workloads.generators import counter, locust, mstone, serving

PORT = 25
UNIT = "sodbench-smtp-sink"
COUNTERS = f"/run/{UNIT}.counters"
START_LIMIT_S = 60.0


class MailOptions(Strict):
    """Who sends how much."""

    generator: Literal["locust", "mstone"] = Field(
        default="locust", description="what sends; mstone is the paper's and comes from an archive of its own"
    )
    clients: int = Field(default=10, ge=1, le=250, description="senders, each with one connection at a time")
    rate: float = Field(
        default=40.0,
        gt=0,
        le=10_000,
        description="messages a second of all senders together; 40 took half of an emulated CPU",
    )
    size_kib: float = Field(default=8.0, ge=1, le=1024, description="size of a message in KiB")
    error_limit: float = Field(default=0.01, ge=0, le=1, description="share of failures that is still valid")


class Mail:
    """smtp-sink under SMTP load (Table IV: mail server, mstone)."""

    name: ClassVar[str] = "mail"
    title: ClassVar[str] = "Mail server"
    steady_test: ClassVar[str] = (
        f"{locust.STEADY_TEST}; with mstone, which is silent while it runs, "
        f"{counter.steady_test('the messages that smtp-sink counts')}"
    )
    Options: ClassVar[type[BaseModel]] = MailOptions

    def __init__(self, options: BaseModel) -> None:
        self._options = MailOptions.model_validate(options.model_dump())
        self._paper = self._options.generator == "mstone"

    @property
    def generator(self) -> str:
        """The tool that sends."""
        return mstone.NAME if self._paper else locust.NAME

    @property
    def substitutes(self) -> str | None:
        """Mstone, where locust sends."""
        return None if self._paper else mstone.NAME

    @property
    def needs(self) -> Sequence[str]:
        """The tool, by its name in the client's facts."""
        return (self._options.generator,)

    def version(self) -> Step | None:
        """What prints the generator's version."""
        return mstone.version() if self._paper else locust.version()

    def preparation(self, site: Site) -> Sequence[Step]:  # noqa: ARG002
        """smtp-sink as a unit of its own; its counters go to memory, not to the guest's disk."""
        sink = f"/usr/sbin/smtp-sink -u postfix -c 0.0.0.0:{PORT} 1000"
        output = f"-p StandardOutput=file:{COUNTERS} -p StandardError=journal"
        start = f"systemd-run --quiet --collect --unit={UNIT} {output} {sink}"
        command = f"{start} && {serving.listening(PORT, START_LIMIT_S - 10)}"
        return (Step(what="start smtp-sink", machine="guest", command=command, timeout_s=START_LIMIT_S),)

    def processes(self, site: Site) -> Sequence[Process]:
        """The senders, and with mstone what smtp-sink has counted."""
        options = self._options
        if not self._paper:
            load = locust.Load(users=options.clients, rate=options.rate)
            return (locust.smtp(site, load, PORT, options.size_kib),)
        sent = mstone.Load(clients=options.clients, rate=options.rate, size_kib=options.size_kib)
        return (counter.messages(COUNTERS), mstone.process(site, sent))

    def steady(self, lines: Sequence[Line]) -> bool:
        """Whether `steady_test` holds for the output so far."""
        return counter.steady(lines) if self._paper else locust.steady(lines)

    def parse(self, lines: Sequence[Line]) -> Timeline:
        """Messages a second, how long they took, and how many failed."""
        limit = self._options.error_limit
        if self._paper:
            return mstone.parse(lines, clients=self._options.clients, error_limit=limit)
        return locust.parse(lines, work_unit="messages", error_limit=limit)
