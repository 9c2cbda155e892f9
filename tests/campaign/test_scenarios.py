"""What scenarios do to a guarded guest, and that everything is as before after it."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, cast

import pytest

from harness.campaign.scenarios import injector, scenarios
from harness.campaign.scenarios.injector import Moment
from harness.campaign.scenarios.scenarios import (
    COUNTER,
    OTHERS,
    Stage,
    Staged,
    check_playable,
    of_scenario,
    set_up,
)
from harness.clock import MonotonicClock
from harness.errors import PrerequisiteError
from harness.policy.known import WITHDRAWN, withdrawn_cells
from harness.policy.request import Request, request
from harness.registry.registry import Registry, open_registry
from harness.rig.host import Host
from tests.registry.blank import blank
from tests.synthetic.clocks import SteppedClock

FIRST = request(["1", "2"])
VM = "guest"


@dataclass
class PlayedInjector:
    """Remembers what was done; a moment is how often something was done so far."""

    name: str
    did: list[tuple[str, ...]] = field(default_factory=list)

    def count(self, path: str, number: int) -> Moment:
        self.did.append(("count", path, str(number)))
        return Moment(earliest_ns=len(self.did) - 1, latest_ns=len(self.did))

    def close(self) -> None:
        self.did.append(("closed",))

    def extend(self, pcr: int, bank: str, digest: bytes, tcti: str) -> Moment:
        self.did.append(("extend", str(pcr), bank, digest.hex(), tcti))
        return Moment(earliest_ns=0, latest_ns=1)


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[Registry]:
    with open_registry(blank(tmp_path)) as opened:
        yield opened


@pytest.fixture
def stage(registry: Registry) -> Stage:
    injectors: Any = {name: PlayedInjector(name) for name in ("a", "b")}
    nobody: Any = dict.fromkeys(("a", "b"))
    return Stage(
        hosts=nobody,
        attesters=nobody,
        alone=lambda _name: nullcontext(),
        injectors=injectors,
        registry=registry,
        vm=VM,
        keys=("ecc-p256",),
        accepted={"a": 0, "b": 0},
        clock=SteppedClock(),
        interval_s=1.0,
    )


def test_a_violation_counts_one_more_and_is_accepted_afterwards(stage: Stage) -> None:
    staged = Staged(stage, of_scenario("violation", FIRST))
    assert staged.invoke("a").server == "a"
    assert staged.invoke("a").what.endswith("(simulated)")
    done: Any = stage.injectors
    assert done["a"].did == [("count", COUNTER, "1"), ("count", COUNTER, "2")]
    assert done["b"].did == []
    assert stage.accepted == {"a": 0, "b": 0}
    assert staged.standing
    staged.teardown()
    assert stage.accepted == {"a": 2, "b": 0}
    assert not staged.standing


def test_each_server_has_violations_of_its_own(stage: Stage) -> None:
    staged = Staged(stage, of_scenario("violation", FIRST))
    for here in ("a", "b", "a"):
        staged.invoke(here)
        staged.teardown()
    done: Any = stage.injectors
    assert [one[2] for one in done["a"].did] == ["1", "2"]
    assert [one[2] for one in done["b"].did] == ["1"]
    assert stage.accepted == {"a": 2, "b": 1}


def test_a_teardown_has_nothing_to_do_the_second_time(stage: Stage, registry: Registry) -> None:
    staged = Staged(stage, of_scenario("properties", FIRST))
    staged.teardown()
    staged.invoke("a")
    staged.teardown()
    registry.set_property("a", WITHDRAWN, ["1:c"], source="provider", simulated=False)
    staged.teardown()
    assert withdrawn_cells(registry.properties("a")) != frozenset()


def test_no_violation_is_counted_before_and_after_a_trial(monkeypatch: pytest.MonkeyPatch) -> None:
    lines: list[PlayedInjector] = []

    def connected(host: str, _clock: object) -> PlayedInjector:
        lines.append(PlayedInjector(host))
        return lines[-1]

    monkeypatch.setattr(scenarios, "Injector", connected)
    hosts: Any = {"a": "a", "b": "b"}
    with set_up(hosts, SteppedClock()) as injectors:
        injectors["b"].count(COUNTER, 3)
    zero = ("count", COUNTER, "0")
    assert [one.did for one in lines] == [
        [zero, zero, ("closed",)],
        [zero, ("count", COUNTER, "3"), zero, ("closed",)],
    ]


@pytest.mark.parametrize("scenario", ["suspend", "shut-down"])
def test_the_guests_own_server_is_violated_after_the_other_was_looked_at(stage: Stage, scenario: Any) -> None:
    staged = Staged(stage, of_scenario(scenario, FIRST))
    done = staged.invoke("b")
    others: Any = stage.injectors
    assert (len(others["a"].did), len(others["b"].did), done.server) == (1, 1, "b")
    assert stage.clock.now_ns() >= 1_000_000_000


def test_the_customer_asks_for_something_else_and_back_again(stage: Stage, registry: Registry) -> None:
    staged = Staged(stage, of_scenario("request", FIRST))

    def asked() -> tuple[str, ...]:
        stored = registry.protection.current(VM)
        assert stored is not None
        return Request.from_json(stored.body).texts()

    staged.invoke("a")
    assert asked() == OTHERS
    staged.invoke("b")
    assert asked() == FIRST.texts()


class Near:
    """A host whose programs run here."""

    role = "a"

    def __init__(self) -> None:
        self.process: subprocess.Popen[str] | None = None

    def python(self, program: Path) -> str:
        return program.read_text()

    def stream(self, source: str, on_line: Callable[[int, str], None]) -> Near:
        argv = [sys.executable, "-u", "-c", source]
        self.process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        threading.Thread(target=self._read, args=(self.process.stdout, on_line), daemon=True).start()
        return self

    def _read(self, lines: IO[str], on_line: Callable[[int, str], None]) -> None:
        for line in lines:
            on_line(time.monotonic_ns(), line.rstrip())

    def send(self, line: str) -> None:
        assert self.process is not None
        assert self.process.stdin is not None
        self.process.stdin.write(f"{line}\n")
        self.process.stdin.flush()

    def close(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()


def test_the_program_on_the_host_sets_the_counter_and_says_when(tmp_path: Path) -> None:
    host = Near()
    try:
        line = injector.Injector(cast("Host", host), MonotonicClock())
        before_ns = time.monotonic_ns()
        moment = line.count(str(tmp_path / "violations"), 3)
        assert before_ns <= moment.earliest_ns <= moment.latest_ns <= time.monotonic_ns()
        assert (tmp_path / "violations").read_text() == "3\n"
        with pytest.raises(PrerequisiteError, match="cannot be played"):
            line.count(str(tmp_path / "no such folder"), 4)
    finally:
        host.close()


def test_what_the_guest_asks_for_is_withdrawn_and_given_back(stage: Stage, registry: Registry) -> None:
    staged = Staged(stage, of_scenario("properties", FIRST))
    staged.invoke("a")
    assert withdrawn_cells(registry.properties("a")) == FIRST.cells
    assert withdrawn_cells(registry.properties("b")) == frozenset()
    staged.teardown()
    assert withdrawn_cells(registry.properties("a")) == frozenset()


def test_a_pcr_is_extended_with_something_new_each_time(stage: Stage) -> None:
    staged = Staged(stage, of_scenario("attestation", FIRST))
    staged.invoke("a")
    staged.invoke("a")
    done: Any = stage.injectors["a"]
    assert [one[:3] for one in done.did] == [("extend", "4", "sha256")] * 2
    assert done.did[0] != done.did[1]


def test_a_moving_target_is_not_provoked(stage: Stage) -> None:
    assert of_scenario("moving-target", FIRST) is None
    with pytest.raises(ValueError, match="provokes nothing"):
        Staged(stage, None).invoke("a")


def test_scenarios_are_not_played_on_hardware() -> None:
    check_playable({"a": "software", "b": "software"}, ("a", "b"))
    with pytest.raises(PrerequisiteError, match="host b"):
        check_playable({"a": "software", "b": "hardware"}, ("a", "b"))
