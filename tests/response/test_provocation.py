"""What scenarios do to a guarded guest, and that the world is as before after it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from harness.campaign.scenarios.injector import Moment
from harness.campaign.scenarios.scenarios import COUNTER, OTHERS, Stage, check_playable, of_scenario
from harness.errors import PrerequisiteError
from harness.policy.known import withdrawn_cells
from harness.policy.request import Request, request
from harness.registry.registry import Registry, open_registry, sqlite_url
from tests.synthetic.clocks import SteppedClock

FIRST = request(["1", "2"])
VM = "guest"


@dataclass
class Provoker:
    """Remembers what was done; a moment is how often something was done so far."""

    name: str
    did: list[tuple[str, ...]] = field(default_factory=list)

    def count(self, path: str, number: int) -> Moment:
        self.did.append(("count", path, str(number)))
        return Moment(earliest_ns=len(self.did) - 1, latest_ns=len(self.did))

    def extend(self, pcr: int, bank: str, digest: bytes, tcti: str) -> Moment:
        self.did.append(("extend", str(pcr), bank, digest.hex(), tcti))
        return Moment(earliest_ns=0, latest_ns=1)


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[Registry]:
    with open_registry(sqlite_url(tmp_path / "registry.sqlite")) as opened:
        yield opened


@pytest.fixture
def stage(registry: Registry) -> Stage:
    provokers: Any = {name: Provoker(name) for name in ("a", "b")}
    nobody: Any = dict.fromkeys(("a", "b"))
    return Stage(
        hosts=nobody,
        attesters=nobody,
        alone=lambda _name: nullcontext(),
        provokers=provokers,
        registry=registry,
        vm=VM,
        keys=("ecc-p256",),
        accepted={"a": 0, "b": 0},
        clock=SteppedClock(),
        interval_s=1.0,
    )


def test_a_violation_counts_one_more_and_is_accepted_afterwards(stage: Stage) -> None:
    played = of_scenario("violation", stage, FIRST)
    assert played is not None
    assert played.provoke("a").server == "a"
    assert played.provoke("a").what.endswith("(simulated)")
    done: Any = stage.provokers
    assert done["a"].did == [("count", COUNTER, "1"), ("count", COUNTER, "2")]
    assert done["b"].did == []
    assert stage.accepted == {"a": 0, "b": 0}
    played.mend()
    assert stage.accepted == {"a": 2, "b": 0}


@pytest.mark.parametrize("scenario", ["suspend", "shut-down"])
def test_the_guests_own_server_is_violated_after_the_other_was_looked_at(stage: Stage, scenario: Any) -> None:
    played = of_scenario(scenario, stage, FIRST)
    assert played is not None
    done = played.provoke("b")
    others: Any = stage.provokers
    assert (len(others["a"].did), len(others["b"].did), done.server) == (1, 1, "b")
    assert stage.clock.now_ns() >= 1_000_000_000


def test_the_customer_asks_for_something_else_and_back_again(stage: Stage, registry: Registry) -> None:
    played = of_scenario("request", stage, FIRST)
    assert played is not None

    def asked() -> tuple[str, ...]:
        stored = registry.protection.current(VM)
        assert stored is not None
        return Request.from_json(stored.body).texts()

    played.provoke("a")
    assert asked() == OTHERS
    played.provoke("b")
    assert asked() == FIRST.texts()


def test_what_the_guest_asks_for_is_withdrawn_and_given_back(stage: Stage, registry: Registry) -> None:
    played = of_scenario("properties", stage, FIRST)
    assert played is not None
    played.provoke("a")
    assert withdrawn_cells(registry.properties("a")) == FIRST.cells
    assert withdrawn_cells(registry.properties("b")) == frozenset()
    played.mend()
    assert withdrawn_cells(registry.properties("a")) == frozenset()


def test_a_pcr_is_extended_with_something_new_each_time(stage: Stage) -> None:
    played = of_scenario("attestation", stage, FIRST)
    assert played is not None
    played.provoke("a")
    played.provoke("a")
    done: Any = stage.provokers["a"]
    assert [one[:3] for one in done.did] == [("extend", "4", "sha256")] * 2
    assert done.did[0] != done.did[1]


def test_a_moving_target_is_not_provoked(stage: Stage) -> None:
    assert of_scenario("moving-target", stage, FIRST) is None


def test_scenarios_are_not_played_on_hardware() -> None:
    check_playable({"a": "software", "b": "software"}, ("a", "b"))
    with pytest.raises(PrerequisiteError, match="host b"):
        check_playable({"a": "software", "b": "hardware"}, ("a", "b"))
