"""The application workload: either server, either generator."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest
from pydantic import ValidationError

from harness.workloads.app import App, AppOptions
from harness.workloads.contract import Workload
from harness.workloads.generators import counter
from tests.workloads.generators.stamped import SITE, as_arrived, stamped, texts, well_formed


def test_locust_is_the_default_and_names_the_papers() -> None:
    found: Workload = App(AppOptions())
    assert (found.generator, found.substitutes, list(found.needs)) == ("locust", "Faban", ["locust"])
    (process,) = found.processes(SITE)
    config = json.loads(shlex.split(process.command)[5])
    assert (config["kind"], config["port"]) == ("http", 8080)
    searches = [target for target in config["targets"] if target["before"].startswith("/shop/browse?q=")]
    (cart,) = [target for target in config["targets"] if target["before"] == "/shop/cart?item="]
    assert sum(target["weight"] for target in searches) == pytest.approx(3 * cart["weight"])
    lines = as_arrived(texts("locust-2.47.0", "stall.txt"))
    assert not found.parse(lines).problems and found.steady(lines)


def test_faban_is_steady_only_above_half_of_what_it_asks_for() -> None:
    found: Workload = App(AppOptions(generator="faban", rate=10))
    assert (found.generator, found.substitutes, list(found.needs)) == ("Faban (fhb)", None, ["faban"])
    count, process = found.processes(SITE)
    assert count.source == "server" and "/proc/net/snmp" in count.command and process.finish_s > 0
    for a_second, steady in ((5, True), (4, False)):
        lines = stamped([f"count {a_second * second}" for second in range(7)], counter.SERVER)
        assert found.steady(lines) is steady
    assert found.parse([]).problems


@pytest.mark.parametrize(
    ("server", "unit"), [("glassfish", "glassfish.service"), ("tomcat", "tomcat10.service")]
)
def test_the_server_is_started_and_awaited(server: str, unit: str) -> None:
    (step,) = App(AppOptions.model_validate({"server": server})).preparation(SITE)
    assert well_formed(step.command) and step.command.startswith(f"systemctl start {unit} && python3 ")
    assert "/shop/health" in step.command and step.timeout_s == 330


def test_the_servers_own_unit_gives_up_first_and_says_why() -> None:
    unit = Path(__file__).parents[2] / "playbooks/roles/guest_image/files/servers/etc/glassfish.service"
    own = re.search(r"^TimeoutStartSec=(\d+)$", unit.read_text(), re.MULTILINE)
    assert own is not None
    (step,) = App(AppOptions()).preparation(SITE)
    assert step.timeout_s > int(own[1])


@pytest.mark.parametrize("wrong", [{"server": "jetty"}, {"generator": "mstone"}, {"clients": 0}])
def test_wrong_options_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        AppOptions.model_validate(wrong)
