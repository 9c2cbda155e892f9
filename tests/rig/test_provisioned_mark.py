"""The mark of a provisioned machine: from the end of a whole run to the beginning of the next, no longer."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from harness.errors import ProvisionError
from harness.pair_name import MACHINES
from harness.rig import ready
from harness.rig.pair import Pair
from tests.playbooks.test_lint import ROOT, load


class Machines:
    """Hosts that keep a mark and nothing else."""

    def __init__(self, mark: str) -> None:
        self.marks = dict.fromkeys(MACHINES, mark)

    def host(self, role: str) -> Any:
        machines = self

        class One:
            def __enter__(self) -> One:
                return self

            def __exit__(self, *_why: object) -> None:
                pass

            def attempt(self, _command: str) -> tuple[int, str, str]:
                return 0, machines.marks.get(role, ""), ""

            def run(self, command: str) -> None:
                if command == f"rm -f {ready.MARK}":
                    machines.marks.pop(role, None)
                else:
                    machines.marks[role] = command.split("echo ")[1].split()[0]

        return One()


@pytest.fixture
def pair(tmp_path: Path) -> Pair:
    inventory = tmp_path / "pair.yml"
    inventory.write_text("all: {}\n")
    machines = {role: role for role in MACHINES}
    made_up = SimpleNamespace(inventory=inventory, machines=machines, programs={}, ansible_limit_s=60)
    return cast(Pair, made_up)


def provision(pair: Pair) -> bool:
    return ready.provision(pair, force=False, artifacts=None, progress=lambda _task: None)


def test_an_interrupted_run_leaves_no_mark_of_an_earlier_one(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    earlier = ready.mark(pair)
    machines = Machines(earlier)
    monkeypatch.setattr(ready, "Host", machines.host)

    def cut(*_arguments: object, **_options: object) -> None:
        raise ProvisionError("cut", where="host a", why="made up", remedy="none")

    first = pair.inventory.read_text()
    pair.inventory.write_text("all: {vars: {another: true}}\n")
    monkeypatch.setattr(ready, "play", cut)
    with pytest.raises(ProvisionError):
        provision(pair)
    pair.inventory.write_text(first)  # back to what was there, and the machines have half of another one
    monkeypatch.setattr(ready, "play", lambda *_arguments, **_options: None)
    assert provision(pair)
    assert machines.marks == dict.fromkeys(MACHINES, earlier)
    assert not provision(pair)


def test_a_rotation_runs_the_playbook_on_provisioned_machines_too(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    machines, asked = Machines(ready.mark(pair)), list[Any]()
    monkeypatch.setattr(ready, "Host", machines.host)
    monkeypatch.setattr(ready, "play", lambda *_names, **options: asked.append(options["variables"]))
    assert not provision(pair)
    assert ready.provision(
        pair, force=False, artifacts=None, progress=lambda _task: None, rotate_certificates=True
    )
    assert asked == [{"sodbench_tls_rotate": True}]
    assert set(machines.marks.values()) == {ready.mark(pair)}


def test_destroying_takes_the_mark_away_first_and_from_every_machine() -> None:
    first = load(ROOT / "playbooks/destroy.yml")[0]
    assert first["hosts"] == "hosts:client"
    (task,) = first["tasks"]
    assert task["ansible.builtin.file"] == {"path": ready.MARK, "state": "absent"}
