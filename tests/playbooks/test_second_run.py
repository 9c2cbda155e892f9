"""A machine that is as it should be is left alone: running a playbook again changes nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import pytest

from harness.rig.provision import play

pytestmark = pytest.mark.lab


class Lab(Protocol):
    """What the root conftest's fixture gives."""

    @property
    def inventory(self) -> Path: ...

    def ssh(self, machine: str, command: str) -> str: ...


UNITS = {
    "libvirtd.service": "/etc/libvirt/qemu.conf",
    "sodbench-wire.service": "/etc/sodbench/wire.nft",
    "sodbench-swtpm.service": "/etc/libvirt/qemu.conf",  # measured at the TPM's start
}


@dataclass(frozen=True, slots=True)
class Story:
    """How many tasks changed something, by machine, in the run after an interrupted one and in the next.

    Attributes:
        entered: When each unit was started last, before these runs and after them.
    """

    first: Mapping[str, int]
    second: Mapping[str, int]
    entered: tuple[dict[str, str], dict[str, str]]


@pytest.fixture(scope="module")
def story(lab: Lab) -> Story:
    """Provisioning is cut after files were written and before daemons read them; then it runs twice."""

    def entered() -> dict[str, str]:
        ask = "systemctl show --value --property=ActiveEnterTimestampMonotonic "
        return {unit: lab.ssh("a", ask + unit) for unit in UNITS}

    play("provision.yml", lab.inventory)
    lab.ssh("a", "virsh version")  # libvirtd ends when nobody uses it, and reads its file when it comes back
    before = entered()
    lab.ssh("a", f"touch {' '.join(UNITS.values())}")
    first, second = (play("provision.yml", lab.inventory).changed for _ in range(2))
    return Story(first, second, (before, entered()))


def test_provisioning_again_changes_nothing(story: Story) -> None:
    assert set(story.second) == {"a", "b", "client"}
    assert not any(story.second.values()), story.second


def test_what_an_interrupted_run_wrote_and_no_daemon_read_is_read_in_the_next(story: Story) -> None:
    """As a run leaves it that was cut after the file and before the restart."""
    before, after = story.entered
    assert story.first["a"] >= len(UNITS)
    assert story.first["b"] == 0
    assert all(after[unit] != before[unit] for unit in UNITS)


def test_verifying_changes_nothing_and_publishes_facts_of_every_machine(lab: Lab) -> None:
    verified = play("verify.yml", lab.inventory)
    assert not any(verified.changed.values()), verified.changed
    published = {machine: facts["sodbench_facts"] for machine, facts in verified.facts.items()}
    assert set(published) == {"a", "b", "client"}
    hosts = [published["a"], published["b"]]
    assert all(isinstance(facts, dict) and facts["wire_counters_present"] is True for facts in hosts)
