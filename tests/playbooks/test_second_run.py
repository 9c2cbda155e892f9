"""A machine that is as it should be is left alone: running a playbook again changes nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pytest

from conftest import Finished, Lab
from harness.rig.provision import play
from tests.lab.test_bad_weather import altered

pytestmark = pytest.mark.lab

ARCHIVE = "mstone-0.tar.gz"
SUM = "0" * 64
UNITS = {
    "libvirtd.service": "/etc/libvirt/qemu.conf",
    "sodbench-wire.service": "/etc/sodbench/wire.nft",
    "sodbench-swtpm.service": "/etc/libvirt/qemu.conf",  # measured at the TPM's start
}


@dataclass(frozen=True, slots=True)
class Story:
    """How many tasks changed something, by machine, in the run after an interrupted one and in the next.

    Attributes:
        refused: How provisioning with a wrong archive ended, before that.
        restored: How the next provisioning ended, with the right inventory.
        entered: When each unit was started last, before the last two runs and after them.
    """

    refused: Finished
    restored: Finished
    first: Mapping[str, int]
    second: Mapping[str, int]
    entered: tuple[dict[str, str], dict[str, str]]


@pytest.fixture(scope="module")
def story(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Story:
    """Provisioning is cut after files were written and before daemons read them; then it runs twice.

    Before that it is refused an archive, which leaves the machines as not provisioned, and made good.
    """
    folder = tmp_path_factory.mktemp("archive")
    archive = folder / ARCHIVE
    archive.write_bytes(b"not what the sum was made of")
    wrong = {"source": str(archive), "checksum": f"sha256:{SUM}"}
    inventory = altered(lab, folder, "client", sodbench_mstone_archive=wrong)
    refused = lab.sodbench("provision", "--inventory", inventory)
    # What was cut short counts as not provisioned, and a machine like that is rebuilt when it dies.
    restored = lab.sodbench("provision")

    def entered() -> dict[str, str]:
        ask = "systemctl show --value --property=ActiveEnterTimestampMonotonic "
        return {unit: lab.ssh("a", ask + unit) for unit in UNITS}

    lab.ssh("a", "virsh version")  # libvirtd ends when nobody uses it, and reads its file when it comes back
    before = entered()
    lab.ssh("a", f"touch {' '.join(UNITS.values())}")
    first, second = (play("provision.yml", lab.inventory).changed for _ in range(2))
    return Story(refused, restored, first, second, (before, entered()))


def test_an_archive_with_a_wrong_checksum_is_refused(story: Story) -> None:
    assert story.refused.status == 6, story.refused
    assert ARCHIVE in story.refused.output
    assert SUM in story.refused.output
    assert story.restored.status == 0, story.restored


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
