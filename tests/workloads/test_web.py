"""The web workload: what it starts with either generator, and what is asked for."""

from __future__ import annotations

import json
import shlex

import pytest
from pydantic import ValidationError

from harness.workloads.contract import Workload
from harness.workloads.generators import counter
from harness.workloads.web import Web, WebOptions
from tests.workloads.generators.stamped import SITE, as_arrived, stamped, texts, well_formed


def test_locust_is_the_default_and_names_the_papers() -> None:
    found: Workload = Web(WebOptions())
    assert (found.generator, found.substitutes, list(found.needs)) == ("locust", "Faban", ["locust"])
    (process,) = found.processes(SITE)
    config = json.loads(shlex.split(process.command)[5])
    assert (config["kind"], config["port"]) == ("http", 80)
    assert [target["name"] for target in config["targets"]] == ["static", "page"]
    assert [target["weight"] for target in config["targets"]] == pytest.approx([0.7, 0.3])
    lines = as_arrived(texts("locust-2.47.0", "stall.txt"))
    assert (
        found.parse(lines).work_unit == "requests" and not found.parse(lines).problems and found.steady(lines)
    )


def test_faban_is_the_papers_and_comes_with_the_servers_log() -> None:
    found: Workload = Web(WebOptions(generator="faban"))
    assert (found.generator, found.substitutes, list(found.needs)) == ("Faban (fhb)", None, ["faban"])
    count, process = found.processes(SITE)
    assert count.source == "server" and "/var/log/apache2/access.log" in count.command
    assert process.finish_s > 0 and "</name><r>0.7</r>" in process.command
    assert found.steady(stamped([f"count {100 * second}" for second in range(7)], counter.SERVER))
    assert found.parse([]).problems


@pytest.mark.parametrize(("share", "names"), [(0.0, ["page"]), (1.0, ["static"])])
def test_what_is_never_asked_for_is_left_out(share: float, names: list[str]) -> None:
    (process,) = Web(WebOptions(static_share=share)).processes(SITE)
    config = json.loads(shlex.split(process.command)[5])
    assert [target["name"] for target in config["targets"]] == names


def test_apache_is_started_and_awaited() -> None:
    (step,) = Web(WebOptions()).preparation(SITE)
    assert step.machine == "guest" and well_formed(step.command)
    assert step.command.startswith("systemctl start apache2.service && python3 ")


@pytest.mark.parametrize(
    "wrong", [{"static_share": 1.1}, {"rate": -1}, {"generator": "mstone"}, {"server": "x"}]
)
def test_wrong_options_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        WebOptions.model_validate(wrong)
