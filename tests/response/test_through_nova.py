"""The whole response through Nova: the same decisions, the same audit, another way to move."""

from __future__ import annotations

from typing import Any, cast

from keystoneauth1.identity import v3

from harness.response.act.nova_mover import NovaMover, Patience
from harness.rig.openstack.cloud import Cloud
from harness.rig.openstack.session import Keystone
from tests.nova.played_api import SERVER, Api, served
from tests.nova.test_notifications import RECORDED
from tests.response.fleets import accused
from tests.response.played_stage import CLOCK, VM, Hands, Stage


def through_nova(stage: Stage, address: str) -> None:
    """Let the stage's guest be a server of the cloud at `address`; its host b is Nova's c."""
    auth = v3.Password(f"{address}/v3", username="u", password="p", user_domain_id="default", project_id="p")
    quick = Patience(look_s=0.01, server_s=0.2, most_s=5.0, unanswered_s=0.5)
    cloud, hosts = Cloud(Keystone(auth)), {"a": "b", "b": "c"}
    mover: Any = NovaMover(cloud, SERVER, hosts, lambda: (), stage.tell, CLOCK, quick)
    stage.hands = cast(Hands, mover)


def test_a_violation_moves_the_server_through_nova(stage: Stage) -> None:
    api = Api()
    with served(api) as address:
        through_nova(stage, address)
        stage.outlook.trusts["a"] = accused()
        stage.guard()
        (end,) = stage.await_ends(1)
    assert (end.state, end.host) == ("completed", "b")
    assert stage.states() == ["begun", "migrating", "arrived", "completed"]
    assert [kind for kind, _ in stage.said] == [
        "response.detected",
        "response.decided",
        "response.accepted",
        "response.arrived",
        "response.closed",
    ]
    assert (stage.placement(VM).host, api.orders) == ("b", 1)


def test_a_refusal_of_nova_is_the_responses_end_and_stands_in_the_audit(stage: Stage) -> None:
    said = RECORDED["vtpm"]["answer"]
    api = Api(order=lambda: (said["status"], said["body"]))
    with served(api) as address:
        through_nova(stage, address)
        stage.outlook.trusts["a"] = accused()
        stage.guard()
        end = stage.await_ends(1)[0]
    assert (end.state, end.host) == ("failed", "a")
    assert end.reason.startswith("vtpm: Operation 'live-migration' not supported for vTPM-enabled instance")
    steps = stage.registry.responses.steps(stage.registry.responses.of(VM)[-1].number)
    assert "vtpm" in str([step.detail for step in steps if step.state.value == "failed"])
    assert stage.placement(VM).host == "a"
