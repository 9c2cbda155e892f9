"""A cloud for tests: Nova's own API, conductor, scheduler, placement and computes, in one process.

It is what Nova's functional tests use (``nova.tests``). Only below the computes is anything played: the virt
driver of Nova's tests keeps no guest. The filter and the weigher are set as an operator sets them.
"""

from __future__ import annotations

import logging
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from nova.tests.fixtures import conf as conf_fixture
from nova.tests.functional import integrated_helpers
from sodbench_nova_filter.settings import CONF

from harness.attest.reasons import Reason, Tier
from harness.clock import NS_PER_S
from harness.policy.nova.statement import CODE, FIELDS, Statement, sealed

KEY_NAME, KEY = "k1", bytes(range(32))


def statement(host: str, architecture: str | None, tier: Tier = Tier.AFFIRMING) -> Statement:
    """What a trust monitor states now of a host; it holds for a minute."""
    now_ns = time.time_ns()
    return Statement(
        host=host,
        server=f"rack/{host}",
        architecture=architecture,
        tier=tier,
        reason=Reason.ACCEPTED if tier is Tier.AFFIRMING else Reason.MEMORY_VIOLATION,
        generated_ns=now_ns,
        expires_ns=now_ns + 60 * NS_PER_S,
    )


class Cloud(integrated_helpers.ProviderUsageBaseTestCase):
    """Three hosts, each in an aggregate of its own, and the filter."""

    compute_driver = "fake.MediumFakeDriver"

    def setUp(self) -> None:
        self.keys = Path(self._folder()) / "keys"
        self.keys.write_text(f"{KEY_NAME} {KEY.hex()}\n")
        self.keys.chmod(0o640)
        super().setUp()
        self.said = self._listen()
        self.aggregates: dict[str, int] = {}
        for host in ("a", "b", "c"):
            self._start_compute(host)
            body = {"aggregate": {"name": f"sod-{host}"}}
            self.aggregates[host] = self.admin_api.post_aggregate(body)["id"]
            self.admin_api.add_host_to_aggregate(self.aggregates[host], host)

    def useFixture(self, fixture: Any) -> Any:  # noqa: N802
        """Set nova.conf as soon as Nova's own test has its configuration, before the scheduler starts."""
        found = super().useFixture(fixture)
        if isinstance(fixture, conf_fixture.ConfFixture):
            self._configure(fixture.conf)
        return found

    def state(self, host: str, stated: dict[str, str] | Statement) -> None:
        """Write a statement, or anything else, into the metadata of a host's aggregate, through the API."""
        written = sealed(stated, KEY_NAME, KEY) if isinstance(stated, Statement) else stated
        now = self.admin_api.api_get(f"/os-aggregates/{self.aggregates[host]}").body["aggregate"]["metadata"]
        metadata = {name: None for name in (*FIELDS, CODE) if name in now} | written
        self.admin_api.post_aggregate_action(self.aggregates[host], {"set_metadata": {"metadata": metadata}})

    def launch(self, metadata: dict[str, str], expected: str = "ACTIVE", **more: Any) -> dict[str, Any]:
        """A new server with that metadata."""
        body = self._build_server(networks="none", **more) | {"metadata": metadata}
        return dict(self._wait_for_state_change(self.admin_api.post_server({"server": body}), expected))

    def where(self, server: dict[str, Any]) -> str:
        """The host that a server is on."""
        return str(self.admin_api.get_server(server["id"])["OS-EXT-SRV-ATTR:host"])

    def migrate(self, server: dict[str, Any], expected: str, host: str | None = None, **more: Any) -> None:
        """Ask for a live migration and wait until Nova says what became of it."""
        body = {"os-migrateLive": {"host": host, "block_migration": "auto", **more}}
        before = len(
            self.admin_api.api_get(f"/os-migrations?instance_uuid={server['id']}").body["migrations"]
        )
        self.admin_api.post_server_action(server["id"], body)
        deadline_s = time.monotonic() + 60
        while time.monotonic() < deadline_s:
            found = self.admin_api.api_get(f"/os-migrations?instance_uuid={server['id']}").body["migrations"]
            newest = max(found, key=lambda one: one["id"], default={"status": ""})
            if len(found) > before and newest["status"] in {"completed", "error", "failed", "cancelled"}:
                break
            time.sleep(0.1)
        self.assertEqual(expected, newest["status"])
        self._wait_for_state_change(server, "ACTIVE")

    def _folder(self) -> str:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        return folder.name

    def _configure(self, conf: Any) -> None:
        conf.set_default("api_paste_config", f"{sys.prefix}/etc/nova/api-paste.ini", group="wsgi")
        conf.set_override("notification_format", "versioned", group="notifications")
        conf.set_override("notify_on_state_change", "vm_and_task_state", group="notifications")
        ours = "sodbench_nova_filter"
        conf.set_override("statement_keys", str(self.keys), group="sodbench")
        schedule = "filter_scheduler"
        all_filters, all_weighers = (
            "nova.scheduler.filters.all_filters",
            "nova.scheduler.weights.all_weighers",
        )
        conf.set_override("available_filters", [all_filters, f"{ours}.filter.SodbenchFilter"], group=schedule)
        conf.set_override(
            "enabled_filters", [*CONF.filter_scheduler.enabled_filters, "SodbenchFilter"], group=schedule
        )
        conf.set_override("weight_classes", [all_weighers, f"{ours}.weigher.SodbenchWeigher"], group=schedule)

    def _listen(self) -> list[str]:
        """What the filter says in the log, from now on."""
        said: list[str] = []
        handler = logging.Handler()
        handler.emit = lambda record: said.append(record.getMessage())  # type: ignore[method-assign]
        logger = logging.getLogger("sodbench_nova_filter")
        logger.addHandler(handler)
        self.addCleanup(logger.removeHandler, handler)
        return said


def late(stated: Statement, by_s: float) -> Statement:
    """The same statement, made earlier."""
    by_ns = int(by_s * NS_PER_S)
    return replace(stated, generated_ns=stated.generated_ns - by_ns, expires_ns=stated.expires_ns - by_ns)
