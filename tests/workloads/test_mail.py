"""The mail workload: what it starts with either generator, and whom it names."""

from __future__ import annotations

import json
import shlex

import pytest
from pydantic import ValidationError

from harness.workloads.contract import Workload
from harness.workloads.generators import counter
from harness.workloads.mail import Mail, MailOptions
from tests.workloads.generators.stamped import SITE, as_arrived, stamped, texts, well_formed


def test_locust_is_the_default_and_names_the_papers() -> None:
    found: Workload = Mail(MailOptions())
    assert (found.generator, found.substitutes, list(found.needs)) == ("locust", "mstone", ["locust"])
    (process,) = found.processes(SITE)
    config = json.loads(shlex.split(process.command)[5])
    assert (config["kind"], config["port"], config["users"], config["pacing_s"]) == ("smtp", 25, 10, 0.25)
    lines = as_arrived(texts("locust-2.47.0", "mail-stall.txt"))
    assert found.parse(lines).work_unit == "messages" and not found.parse(lines).problems


def test_mstone_is_the_papers_and_comes_with_the_servers_count() -> None:
    found: Workload = Mail(MailOptions(generator="mstone", clients=5))
    assert (found.generator, found.substitutes, list(found.needs)) == ("mstone", None, ["mstone"])
    count, process = found.processes(SITE)
    assert (count.machine, count.source, process.source) == ("guest", "server", "generator")
    assert process.finish_s > 0 and "-l 5 " in process.command
    level = stamped([f"count {10 * second}" for second in range(7)], counter.SERVER)
    assert found.steady(level) and not found.steady(level[:-1])
    assert found.parse([]).problems


def test_smtp_sink_is_started_and_awaited() -> None:
    (step,) = Mail(MailOptions()).preparation(SITE)
    assert (step.machine, step.what) == ("guest", "start smtp-sink")
    assert well_formed(step.command) and "smtp-sink -u postfix -c 0.0.0.0:25 1000 && python3" in step.command
    assert "StandardOutput=file:/run/" in step.command


@pytest.mark.parametrize("generator", ["locust", "mstone"])
def test_a_version_is_asked_for(generator: str) -> None:
    step = Mail(MailOptions.model_validate({"generator": generator})).version()
    assert step is not None and well_formed(step.command) and step.machine == "client"


@pytest.mark.parametrize(
    "wrong", [{"clients": 0}, {"rate": 0}, {"generator": "faban"}, {"error_limit": 2}, {"x": 1}]
)
def test_wrong_options_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        MailOptions.model_validate(wrong)
