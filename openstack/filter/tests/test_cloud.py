"""The filter and the weigher inside a real scheduler, asked through Nova's API."""

from __future__ import annotations

from cloud import KEY, KEY_NAME, Cloud, late, statement
from nova.tests.functional.api.client import OpenStackApiException

from harness.attest.reasons import Tier
from harness.policy.nova.statement import sealed

HYPERVISOR = {"sod_option_1": "true", "sod_option_2": "true"}


class TestPlacement(Cloud):
    def test_a_server_is_where_its_request_is_kept(self) -> None:
        self.state("a", statement("a", "TPM"))
        self.state("b", statement("b", "HyperWall"))
        server = self.launch(HYPERVISOR)  # its request is in the build request
        self.assertEqual("b", self.where(server))

        self.migrate(server, "error")  # its request is in the cell now
        self.assertEqual("b", self.where(server))
        self.assertTrue(any("no aggregate has a statement of it" in one for one in self.said), self.said)
        self.assertTrue(
            any("a (TPM): other_vms_c, other_vms_i, hyper" in one for one in self.said), self.said
        )
        self.migrate(server, "error", host="a")  # a named target is filtered, too
        self.assertEqual("b", self.where(server))

        self.state("c", statement("c", "H-SVM"))  # no restart: the next request sees it
        self.migrate(server, "completed")
        self.assertEqual("c", self.where(server))

        self.state("c", statement("c", "H-SVM", Tier.CONTRAINDICATED))
        other_image = self.glance.image2["id"]
        self.admin_api.post_server_action(server["id"], {"rebuild": {"imageRef": other_image}})
        self._wait_for_action_fail_completion(server, "rebuild", "rebuild_server")  # it must not stay there
        self._wait_for_state_change(server, "ERROR")  # as Nova calls it; what runs there still runs
        self.admin_api.post_server_action(server["id"], {"os-resetState": {"state": "active"}})

        self.admin_api.microversion = "2.67"
        self.migrate(server, "completed", host="a", force=True)
        self.assertEqual("a", self.where(server))  # `force` goes around every filter

    def test_what_cannot_be_kept_or_read_starts_nowhere(self) -> None:
        for host in ("a", "b", "c"):
            self.state(host, statement(host, "HyperWall"))
        for metadata in (
            {"sod_option_1": "true", "sod_option_3": "true"},
            {"sod_option_1": "1"},
            {"sod_option_1": "true", "SOD_Option_2": "true"},
            {"sod_option_4": "true"},
        ):
            self.launch(metadata, "ERROR")
        self.assertTrue(any("there is no key 'SOD_Option_2'" in one for one in self.said), self.said)
        self.launch({"name": "of another"})

        self.keys.chmod(0o644)
        self.launch(HYPERVISOR, "ERROR")
        self.assertIn("can be read or changed by others", self.said[-1])
        self.launch({})  # who asks for nothing is not concerned
        self.keys.chmod(0o640)
        self.launch(HYPERVISOR)

    def test_a_host_that_the_operator_forces_is_not_filtered(self) -> None:
        server = self.launch(HYPERVISOR, az="nova:a")
        self.assertEqual("a", self.where(server))
        self.launch(HYPERVISOR, "ERROR", host="a")  # a destination that is asked for, from API 2.74 on, is


class TestOtherWays(Cloud):
    def test_resize_and_evacuation_keep_the_request(self) -> None:
        self.state("a", statement("a", "TPM"))
        self.state("b", statement("b", "HyperWall"))
        server = self.launch(HYPERVISOR)
        self.assertEqual("b", self.where(server))

        larger = self.api.get_flavors()[1]["id"]
        self.admin_api.post_server_action(server["id"], {"resize": {"flavorRef": larger}})
        self._wait_for_action_fail_completion(server, "resize", "cold_migrate")
        self.assertEqual("b", self.where(server))
        self.state("c", statement("c", "HyperWall"))
        self.admin_api.post_server_action(server["id"], {"resize": {"flavorRef": larger}})
        self._confirm_resize(self._wait_for_state_change(server, "VERIFY_RESIZE"))
        self.assertEqual("c", self.where(server))

        self.state("b", statement("b", "TPM"))
        down = self.admin_api.get_services(binary="nova-compute", host="c")[0]["id"]
        self.computes["c"].stop()
        self.admin_api.put_service_force_down(down, True)
        self.admin_api.post_server_action(server["id"], {"evacuate": {}})
        self._wait_for_migration_status(server, ["error"])
        self.assertEqual("c", self.where(server))
        self.admin_api.post_server_action(server["id"], {"os-resetState": {"state": "active"}})
        self.state("b", statement("b", "HyperWall"))
        self.admin_api.post_server_action(server["id"], {"evacuate": {}})
        self._wait_for_migration_status(server, ["done"])
        self.assertEqual("b", self.where(server))

    def test_several_servers_of_one_order_are_each_where_they_may_be(self) -> None:
        self.state("b", statement("b", "HyperWall"))
        self.state("c", statement("c", "H-SVM"))
        body = self._build_server(networks="none") | {"metadata": HYPERVISOR, "min_count": 4}
        self.admin_api.post_server({"server": body})
        self.notifier.wait_for_versioned_notifications("instance.create.end", 4, timeout=60)
        found = {self.where(one) for one in self.admin_api.get_servers(detail=False)}
        self.assertEqual({"b", "c"}, found)


class TestStatements(Cloud):
    def test_nothing_but_a_fresh_statement_of_the_host_itself_counts(self) -> None:
        good = sealed(statement("a", "HyperWall"), KEY_NAME, KEY)
        wrong = {
            "another key": sealed(statement("a", "HyperWall"), KEY_NAME, bytes(32)),
            "another host": sealed(statement("b", "HyperWall"), KEY_NAME, KEY),
            "an expired one": sealed(late(statement("a", "HyperWall"), 61), KEY_NAME, KEY),
            "one of the future": sealed(late(statement("a", "HyperWall"), -30), KEY_NAME, KEY),
            "an altered one": good | {"sod_architecture": "Bastion"},
            "a torn one": {name: value for name, value in good.items() if name != "sod_tier"},
            "one without a code": {"sod_architecture": "HyperWall", "sod_tier": "affirming"},
        }
        for stated in wrong.values():
            self.state("a", stated)
            self.launch(HYPERVISOR, "ERROR")
        self.state("a", statement("a", "HyperWall"))
        self.launch(HYPERVISOR)
        self.state("a", good)  # an older one that still holds, after a newer one was seen
        self.launch(HYPERVISOR, "ERROR")
        self.assertTrue(any("an older statement took a newer one's place" in one for one in self.said))

    def test_two_aggregates_that_differ_are_no_statement(self) -> None:
        self.state("a", statement("a", "HyperWall"))
        other = self.admin_api.post_aggregate({"aggregate": {"name": "of another"}})["id"]
        self.admin_api.add_host_to_aggregate(other, "a")
        self.admin_api.post_aggregate_action(
            other, {"set_metadata": {"metadata": {"sod_architecture": "Bastion"}}}
        )
        self.launch(HYPERVISOR, "ERROR")
        self.assertTrue(any("two aggregates differ in sod_architecture" in one for one in self.said))

    def test_a_tenant_writes_no_aggregate_and_moves_nothing(self) -> None:
        body = {"set_metadata": {"metadata": sealed(statement("a", "HyperWall"), KEY_NAME, KEY)}}
        server = self.launch({})
        for ask in (
            lambda: self.api_fixture.api.post_aggregate_action(self.aggregates["a"], body),
            lambda: self.api_fixture.api.post_server_action(
                server["id"],
                {"os-migrateLive": {"host": None, "block_migration": False, "disk_over_commit": False}},
            ),
        ):
            refused = self.assertRaises(OpenStackApiException, ask)
            self.assertEqual(403, refused.response.status_code)


class TestOrder(Cloud):
    def test_the_host_with_the_least_to_spare_comes_first(self) -> None:
        for host, architecture in (("a", "Bastion"), ("b", "NoHype"), ("c", "HyperWall")):
            self.state(host, statement(host, architecture))
        self.assertEqual("b", self.where(self.launch({"sod_option_1": "true"})))
        self.assertEqual("c", self.where(self.launch(HYPERVISOR)))
        self.state("a", statement("a", "NoHype"))
        self.assertEqual("a", self.where(self.launch({"sod_option_1": "true"})))  # fewer servers are on it
