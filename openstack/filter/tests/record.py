"""Record what Nova says of live migrations: versioned notifications, and answers of the API.

Run it in Nova's environment (``.venv/nova/bin/python -m unittest record`` in this folder, with the folder to
write to in ``RECORD``); the files in ``tests/nova/recorded`` are its output. Everything but the guest is
Nova's own; what the virt driver does is played by that of Nova's tests.
"""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any
from unittest import mock

from cloud import Cloud, statement
from fixtures import MonkeyPatch
from nova import context as nova_context
from nova import exception, objects
from nova.tests.fixtures.notifications import FakeVersionedNotifier
from nova.tests.functional.api.client import OpenStackApiException
from oslo_messaging._drivers.amqp import pack_context
from oslo_utils import timeutils

HYPERVISOR = {"sod_option_1": "true", "sod_option_2": "true"}


KEPT = ("request_id", "global_request_id", "user_id", "project_id", "is_admin")
"""What is kept of a message's context; tokens and catalogs are not."""


def stamped(notify: Callable[..., None]) -> Callable[..., None]:
    """What Nova's test leaves out of a message, as oslo.messaging adds it."""

    def both(notifier: Any, priority: str, ctxt: Any, event_type: str, payload: Any) -> None:
        message: dict[str, Any] = {}
        pack_context(message, {name: ctxt.to_dict().get(name) for name in KEPT})
        message |= {"message_id": str(uuid.uuid4()), "timestamp": str(timeutils.utcnow())}
        notify(notifier, priority, ctxt, event_type, payload)
        notifier.versioned_notifications[-1] |= message

    return both


class Recorded(Cloud):
    def setUp(self) -> None:
        super().setUp()
        kept = stamped(FakeVersionedNotifier._notify)
        self.useFixture(
            MonkeyPatch(f"{FakeVersionedNotifier.__module__}.FakeVersionedNotifier._notify", kept)
        )
        self.state("b", statement("b", "HyperWall"))
        self.server = self.launch(HYPERVISOR)
        self.notifier.reset()

    def keep(self, name: str, **answers: Any) -> None:
        """Write what was said since the server was launched."""
        ident = self.server["id"]
        found = self.admin_api.api_get(f"/os-migrations?instance_uuid={ident}").body
        actions = [] if "gone" in answers else self.admin_api.get_instance_actions(ident)
        moves = [one["request_id"] for one in actions if one["action"] == "live-migration"]
        packages = ("nova", "oslo.messaging", "oslo.versionedobjects")
        said = {
            "recorded_with": {one: metadata.version(one) for one in packages},
            "microversion": self.admin_api.microversion,
            "server": answers.pop("server", None) or self.admin_api.get_server(ident),
            "migrations": found["migrations"],
            "action": self.admin_api.get_instance_action_details(ident, moves[0]) if moves else None,
            "notifications": [*self.notifier.versioned_notifications],
            **answers,
        }
        path = Path(os.environ["RECORD"]) / f"{name}.json"
        path.write_text(json.dumps(said, indent=1, sort_keys=True, default=str) + "\n")

    def ask(self, host: str | None = None, **more: Any) -> dict[str, Any]:
        """What Nova answers at once."""
        body = {"os-migrateLive": {"host": host, "block_migration": "auto", **more}}
        try:
            found = self.admin_api.post_server_action(self.server["id"], body)
        except OpenStackApiException as refused:
            return {"status": refused.response.status_code, "body": refused.response.json()}
        return {"status": 202, "body": found}

    def test_completed(self) -> None:
        self.state("c", statement("c", "HyperWall"))
        self.migrate(self.server, "completed", host="c")
        self.keep("completed")

    def test_no_valid_host(self) -> None:
        self.migrate(self.server, "error", host="a")
        self.keep("no-valid-host")

    def test_rolled_back(self) -> None:
        self.state("c", statement("c", "HyperWall"))

        def fails(
            context: Any, instance: Any, dest: str, post: Any, recover: Any, block: bool, migrate_data: Any
        ) -> None:
            recover(context, instance, dest, migrate_data)  # as libvirt's driver does

        with mock.patch("nova.virt.fake.FakeDriver.live_migration", side_effect=fails):
            self.migrate(self.server, "failed", host="c")
        self.keep("rolled-back")

    def test_refused_before_it_begins(self) -> None:
        self.state("c", statement("c", "HyperWall"))
        with mock.patch(
            "nova.virt.fake.FakeDriver.check_can_live_migrate_source",
            side_effect=exception.MigrationPreCheckError(reason="Unsafe migration"),
        ):
            self.migrate(self.server, "error", host="c")
        self.keep("pre-check-failed")

    def test_vtpm(self) -> None:
        # No host of Nova's test driver offers a vTPM: the server's flavor gets one after the launch.
        with nova_context.target_cell(nova_context.get_admin_context(), self.cell_mappings["cell1"]) as cell:
            stored = objects.Instance.get_by_uuid(cell, self.server["id"], expected_attrs=["flavor"])
            stored.flavor.extra_specs |= {"hw:tpm_model": "tpm-tis", "hw:tpm_version": "2.0"}
            stored.save()
        self.keep("vtpm", answer=self.ask())

    def test_states_and_rights(self) -> None:
        ident = self.server["id"]
        unknown = self.ask(host="nowhere")
        self.admin_api.post_server_action(ident, {"lock": {}})
        self.admin_api.post_server_action(ident, {"os-stop": {}})
        self._wait_for_state_change(self.server, "SHUTOFF")
        stopped = self.ask()
        body = {"os-migrateLive": {"host": None, "block_migration": False, "disk_over_commit": False}}
        refused = self.assertRaises(
            OpenStackApiException, self.api_fixture.api.post_server_action, ident, body
        )
        denied = {"status": refused.response.status_code, "body": refused.response.json()}
        self.keep("refused-at-once", stopped=stopped, denied=denied, unknown_host=unknown)

    def test_metadata_changed(self) -> None:
        ident = self.server["id"]
        self.admin_api.post_server_metadata(ident, {"sod_option_3": "true"})
        self.admin_api.delete_server_metadata(ident, "sod_option_2")
        self.keep("metadata-changed")

    def test_deleted(self) -> None:
        last = self.admin_api.get_server(self.server["id"])
        self.admin_api.delete_server(self.server["id"])
        self._wait_until_deleted(self.server)
        self.keep("deleted", server=last, gone=self.ask())
