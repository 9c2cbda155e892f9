"""The application server: GlassFish, or Tomcat, runs a small shop, loaded by Faban or locust.

Visitors search a catalogue (a query and an allocation per request) and put items into the cart of their
session. The shop is the same in both servers; it was deployed and warmed when the image was made.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal

from pydantic import BaseModel, Field

from harness.strict import Strict
from harness.workloads.contract import Process, Site, Step
from harness.workloads.generators import counter, locust, serving
from harness.workloads.generators.loaded import Loaded
from harness.workloads.generators.targets import Target
from harness.workloads.generators.visitors import Visitors

PORT = 8080
UNITS = {"glassfish": "glassfish.service", "tomcat": "tomcat10.service"}
NAMES = {"glassfish": "GlassFish", "tomcat": "Tomcat"}
START_LIMIT_S = 330.0
"""GlassFish needs more than 100 s where its CPU is emulated, and more than 240 s where that CPU is shared.
Its unit gives up after 300 s and then says why."""

WORDS = ("amber", "copper", "granite", "maple", "pearl", "silver", "velvet", "wool")
"""Words of the catalogue: each is found in some of the descriptions."""


class AppOptions(Strict):
    """Which server, and who asks it how often."""

    server: Literal["glassfish", "tomcat"] = Field(
        default="glassfish", description="what runs the application; tomcat is lighter, and not the paper's"
    )
    generator: Literal["locust", "faban"] = Field(
        default="locust", description="what asks; faban is the paper's and comes from an archive of its own"
    )
    clients: int = Field(default=10, ge=1, le=1000, description="visitors, each with a session of its own")
    rate: float = Field(
        default=8.0,
        gt=0,
        le=10_000,
        description="requests a second of all visitors together; 8 took 60 % of an emulated CPU",
    )
    error_limit: float = Field(default=0.01, ge=0, le=1, description="share of failures that is still valid")


class App(Loaded):
    """A Jakarta EE application under HTTP load (Table IV: application server, Faban)."""

    name: ClassVar[str] = "app"
    title: ClassVar[str] = "Application server"
    # The servers write their logs in blocks, so that it is the guest's kernel that counts.
    steady_test: ClassVar[str] = (
        f"{locust.STEADY_TEST}; with Faban, which is silent while it runs, "
        + counter.steady_test(
            "the TCP segments that the guest receives", "below one for two requests asked for"
        )
    )
    Options: ClassVar[type[BaseModel]] = AppOptions

    def __init__(self, options: BaseModel) -> None:
        self._options = AppOptions.model_validate(options.model_dump())
        chosen = self._options
        self._visitors = Visitors(
            generator=chosen.generator,
            clients=chosen.clients,
            rate=chosen.rate,
            error_limit=chosen.error_limit,
            port=PORT,
            counted=counter.segments(),
            floor=chosen.rate / 2,
        )
        super().__init__(self._visitors)

    def preparation(self, site: Site) -> Sequence[Step]:  # noqa: ARG002
        """The server started, and the application answering."""
        unit, name = UNITS[self._options.server], NAMES[self._options.server]
        health = f"http://127.0.0.1:{PORT}/shop/health"
        command = f"systemctl start {unit} && {serving.answering(health, START_LIMIT_S - 20)}"
        return (Step(what=f"start {name}", machine="guest", command=command, timeout_s=START_LIMIT_S),)

    def processes(self, site: Site) -> Sequence[Process]:
        """The visitors, and with Faban what the guest's kernel has counted."""
        return self._visitors.processes(site, self._targets())

    def _targets(self) -> Sequence[Target]:
        """Three searches to one item put into the cart."""
        share = 3 / len(WORDS)
        searches = (
            Target(name=f"browse_{word}", before=f"/shop/browse?q={word}", weight=share) for word in WORDS
        )
        return (*searches, Target(name="cart", before="/shop/cart?item=", low=0, high=3999))
