"""The mail server: smtp-sink in the guest receives what mstone, or locust in its place, sends.

smtp-sink (Postfix) discards every message, so that the measurement covers the guest's network and CPU and not
a spool on its disk. One message is one connection: HELO, MAIL, RCPT, DATA, QUIT.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal

from pydantic import BaseModel, Field

from harness.strict import Strict
from harness.workloads.contract import Process, Site, Step
from harness.workloads.generators import counter, locust, serving
from harness.workloads.generators.loaded import Loaded
from harness.workloads.generators.senders import Senders

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


class Mail(Loaded):
    """smtp-sink under SMTP load (Table IV: mail server, mstone)."""

    name: ClassVar[str] = "mail"
    title: ClassVar[str] = "Mail server"
    steady_test: ClassVar[str] = (
        f"{locust.STEADY_TEST}; with mstone, which is silent while it runs, "
        f"{counter.steady_test('the messages that smtp-sink counts')}"
    )
    Options: ClassVar[type[BaseModel]] = MailOptions

    def __init__(self, options: BaseModel) -> None:
        chosen = MailOptions.model_validate(options.model_dump())
        self._senders = Senders(
            generator=chosen.generator,
            clients=chosen.clients,
            rate=chosen.rate,
            size_kib=chosen.size_kib,
            error_limit=chosen.error_limit,
            port=PORT,
            counted=counter.messages(COUNTERS),
        )
        super().__init__(self._senders)

    def preparation(self, site: Site) -> Sequence[Step]:  # noqa: ARG002
        """smtp-sink as a unit of its own; its counters go to memory, not to the guest's disk."""
        sink = f"/usr/sbin/smtp-sink -u postfix -c 0.0.0.0:{PORT} 1000"
        output = f"-p StandardOutput=file:{COUNTERS} -p StandardError=journal"
        start = f"systemd-run --quiet --collect --unit={UNIT} {output} {sink}"
        command = f"{start} && {serving.listening(PORT, START_LIMIT_S - 10)}"
        return (Step(what="start smtp-sink", machine="guest", command=command, timeout_s=START_LIMIT_S),)

    def processes(self, site: Site) -> Sequence[Process]:
        """The senders, and with mstone what smtp-sink has counted."""
        return self._senders.processes(site)
