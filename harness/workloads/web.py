"""The web server: Apache in the guest, with files and pages that PHP computes, loaded by Faban or locust.

The static files are 1 to 64 KiB, made with the image; a page takes PHP some work. Both are requested over
connections that are kept open.
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

PORT = 80
LOG = "/var/log/apache2/access.log"
START_LIMIT_S = 90.0


class WebOptions(Strict):
    """Who asks how often, and for what."""

    generator: Literal["locust", "faban"] = Field(
        default="locust", description="what asks; faban is the paper's and comes from an archive of its own"
    )
    clients: int = Field(default=10, ge=1, le=1000, description="visitors, each with one connection")
    rate: float = Field(
        default=50.0,
        gt=0,
        le=10_000,
        description="requests a second of all visitors together; 50 took half of an emulated CPU",
    )
    static_share: float = Field(
        default=0.7, ge=0, le=1, description="share of requests for static files; the rest is computed"
    )
    error_limit: float = Field(default=0.01, ge=0, le=1, description="share of failures that is still valid")


class Web(Loaded):
    """Apache under HTTP load (Table IV: web server, Faban)."""

    name: ClassVar[str] = "web"
    title: ClassVar[str] = "Web server"
    steady_test: ClassVar[str] = (
        f"{locust.STEADY_TEST}; with Faban, which is silent while it runs, "
        f"{counter.steady_test('the bytes that Apache has logged')}"
    )
    Options: ClassVar[type[BaseModel]] = WebOptions

    def __init__(self, options: BaseModel) -> None:
        self._options = WebOptions.model_validate(options.model_dump())
        chosen = self._options
        self._visitors = Visitors(
            generator=chosen.generator,
            clients=chosen.clients,
            rate=chosen.rate,
            error_limit=chosen.error_limit,
            port=PORT,
            counted=counter.size(LOG),
        )
        super().__init__(self._visitors)

    def preparation(self, site: Site) -> Sequence[Step]:  # noqa: ARG002
        """Apache started, and a page of PHP's computed once."""
        page = f"http://127.0.0.1:{PORT}/page.php?n=1"
        command = f"systemctl start apache2.service && {serving.answering(page, START_LIMIT_S - 20)}"
        return (Step(what="start Apache", machine="guest", command=command, timeout_s=START_LIMIT_S),)

    def processes(self, site: Site) -> Sequence[Process]:
        """The visitors, and with Faban how long Apache's log is."""
        return self._visitors.processes(site, self._targets())

    def _targets(self) -> Sequence[Target]:
        share = self._options.static_share
        files = Target(name="static", before="/static/0", after=".html", low=10, high=99, weight=share)
        pages = Target(name="page", before="/page.php?n=", low=0, high=999, weight=1 - share)
        return tuple(target for target in (files, pages) if target.weight > 0)
