"""A machine that is as it should be is left alone: running a playbook again changes nothing."""

from __future__ import annotations

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


def test_provisioning_again_changes_nothing(lab: Lab) -> None:
    play("provision.yml", lab.inventory)
    again = play("provision.yml", lab.inventory).changed
    assert set(again) == {"a", "b", "client"}
    assert not any(again.values()), again


def test_what_an_interrupted_run_wrote_and_no_daemon_read_is_read_in_the_next(lab: Lab) -> None:
    """As a run leaves it that was cut after the file and before the restart."""
    units = {"libvirtd.service": "/etc/libvirt/qemu.conf", "sodbench-wire.service": "/etc/sodbench/wire.nft"}
    lab.ssh("a", "virsh version")  # libvirtd ends when nobody uses it, and reads its file when it comes back
    entered = "systemctl show --value --property=ActiveEnterTimestampMonotonic "
    before = {unit: lab.ssh("a", entered + unit) for unit in units}
    lab.ssh("a", f"touch {' '.join(units.values())}")
    first, second = (play("provision.yml", lab.inventory).changed for _ in range(2))
    assert first["a"] >= len(units)
    assert first["b"] == 0
    assert not any(second.values()), second
    assert all(lab.ssh("a", entered + unit) != before[unit] for unit in units)


def test_verifying_changes_nothing_and_publishes_facts_of_every_machine(lab: Lab) -> None:
    verified = play("verify.yml", lab.inventory)
    assert not any(verified.changed.values()), verified.changed
    published = {machine: facts["sodbench_facts"] for machine, facts in verified.facts.items()}
    assert set(published) == {"a", "b", "client"}
    hosts = [published["a"], published["b"]]
    assert all(isinstance(facts, dict) and facts["wire_counters_present"] is True for facts in hosts)
