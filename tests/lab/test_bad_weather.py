"""What goes wrong on real machines, provoked on the lab's: each has its message, exit code, nothing lost."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pandas as pd
import pytest
from ruamel.yaml import YAML

from conftest import Lab
from harness.campaign import plan as plans
from harness.campaign import state
from harness.evidence import folder as store
from harness.evidence import journal
from harness.evidence.folder import RunFolder
from harness.files import read_json
from harness.rig.lab import lab as labs
from harness.rig.lab import machine as lab_machine
from tests.lab.test_interruptions import count, wait_for

pytestmark = pytest.mark.lab

ONE_MOVE = """
name: weather
rig: lab
start: {start}
guest: {{boot_timeout_s: {boot_s}}}
workloads: [idle]
repetitions: {repetitions}
schedule: {{points_s: [{points}], window_s: {window_s}, baseline_s: 2}}
"""


def campaign(
    folder: Path,
    *,
    start: str = "snapshot",
    boot_s: int = 200,
    repetitions: int = 1,
    points: str = "0",
    window_s: int = 5,
    bandwidth_mib_s: int | None = None,
) -> Path:
    path = folder / "weather.yml"
    text = ONE_MOVE.format(
        start=start, boot_s=boot_s, repetitions=repetitions, points=points, window_s=window_s
    )
    if bandwidth_mib_s is not None:
        text += f"migration: {{bandwidth_mib_s: {bandwidth_mib_s}}}\n"
    path.write_text(text)
    return path


def altered(lab: Lab, folder: Path, role: str, **variables: object) -> Path:
    """The lab's inventory with variables of one machine changed."""
    yaml = YAML()
    inventory = yaml.load(lab.inventory.read_text())
    group = "clients" if role == "client" else "hosts"
    inventory["all"]["children"][group]["hosts"][role].update(variables)
    path = folder / "inventory.yml"
    with path.open("w") as file:
        yaml.dump(inventory, file)
    return path


def outcome(run: RunFolder) -> tuple[str, str]:
    """Verdict and reasons of the run's last finished attempt."""
    last = [one for one in journal.read(run.journal) if one.kind == "attempt.finished"][-1]
    return str(last.data["verdict"]), str(last.data["reasons"])


def test_an_unreachable_host_is_named(lab: Lab, tmp_path: Path) -> None:
    inventory = altered(lab, tmp_path, "b", ansible_host="198.18.0.99")
    done = lab.sodbench("run", campaign(tmp_path), "--inventory", inventory, "--results", tmp_path / "r")
    assert done.status == 5, done
    assert "198.18.0.99" in done.output
    assert not (tmp_path / "r").exists()


def test_a_wrong_key_is_told_from_a_dead_host(lab: Lab, tmp_path: Path) -> None:
    key = tmp_path / "stranger"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    inventory = altered(lab, tmp_path, "a", ansible_ssh_private_key_file=str(key))
    done = lab.sodbench("run", campaign(tmp_path), "--inventory", inventory, "--results", tmp_path / "r")
    assert done.status == 5, done
    assert "AuthenticationException" in done.output
    assert "public half" in done.output


@contextmanager
def mounted(lab: Lab, role: str, source: str, target: str) -> Iterator[None]:
    """`source` of a lab machine bind-mounted over its `target`, for the length of the block."""
    lab.ssh(role, f"mount --bind {source} {target}")
    try:
        yield
    finally:
        lab.ssh(role, f"umount {target}")


def test_hosts_with_different_cpus_are_refused_before_the_run(lab: Lab, tmp_path: Path) -> None:
    lab.ssh("b", "sed 's/^model name.*/model name\\t: Another CPU/' /proc/cpuinfo > /run/cpuinfo")
    with mounted(lab, "b", "/run/cpuinfo", "/proc/cpuinfo"):
        done = lab.sodbench("run", campaign(tmp_path), "--results", tmp_path / "r")
    assert done.status == 4, done
    assert "CPU model differs" in done.output
    assert "Another CPU on b" in " ".join(done.output.split())
    assert not (tmp_path / "r").exists()


def test_a_storage_without_room_is_refused_before_the_run(lab: Lab, tmp_path: Path) -> None:
    """Both hosts see the same tiny storage: the real one's marker and image on a small file system."""
    make = (
        "mkdir -p /run/tiny && mount -t tmpfs -o size=1m tmpfs /run/tiny && "
        "cp /srv/sodbench/.sodbench-storage /run/tiny/ && ln -s /srv/sodbench/images /run/tiny/images && "
        "mkdir /run/tiny/guests"
    )
    inventory = altered(lab, tmp_path, "a", sodbench_storage_path="/run/tiny")
    text = inventory.read_text().replace(
        "sodbench_storage_path: /srv/sodbench", "sodbench_storage_path: /run/tiny"
    )
    inventory.write_text(text)
    for role in ("a", "b"):
        lab.ssh(role, make)
    try:
        done = lab.sodbench("run", campaign(tmp_path), "--inventory", inventory, "--results", tmp_path / "r")
    finally:
        for role in ("a", "b"):
            lab.ssh(role, "umount /run/tiny")
    assert done.status == 4, done
    assert "host a" in done.output or "host b" in done.output  # whichever Ansible heard of first
    assert "the storage has 1044480 bytes free" in done.output
    assert "make room" in done.output


def test_a_guest_that_never_boots_is_an_invalid_trial(lab: Lab, tmp_path: Path) -> None:
    path = campaign(tmp_path, start="boot", boot_s=4)
    done = lab.sodbench("run", path, "--results", tmp_path / "r")
    assert done.status == 13, done
    verdict, reasons = outcome(store.find(tmp_path / "r"))
    assert verdict == "invalid"
    assert "does not answer within 4 s" in reasons
    assert "console" in reasons
    assert lab.domains() == {"a": "", "b": ""}


def test_a_libvirtd_that_dies_under_a_migration_is_an_outcome(lab: Lab, tmp_path: Path) -> None:
    """The destination's daemon is killed while memory is sent; the next trial finds it well again.

    At the link's rate the idle guest is over in two and a half seconds, hardly longer than it takes to see
    the migration begin and to have the daemon killed: here its memory takes four times as long.
    """
    results = tmp_path / "r"
    path = campaign(tmp_path, repetitions=2, points="1", window_s=4, bandwidth_mib_s=25)
    process = lab.start("run", path, "--results", results)
    wait_for(lambda: count(results, "migration.started") == 1, process)
    lab.ssh("b", "sleep 1; pkill --signal KILL --exact libvirtd")
    output, _ = process.communicate(timeout=300)
    run = store.find(results)
    # The guest went on at the source: the trial's evidence is good, and says that the migration failed.
    assert process.returncode == 0, output
    assert "migration 1 failed" in output
    returned = [one for one in journal.read(run.journal) if one.kind == "migration.returned"]
    assert returned[0].data["ok"] is False
    assert returned[0].data["error"]
    assert returned[1].data["ok"] is True, output
    table = pd.read_csv(run.metrics_csv)
    failed = table[(table.trial == "001-idle") & (table.metric == "total_time")].iloc[0]
    assert pd.isna(failed.value)
    assert str(returned[0].data["error"])[:40] in failed.reason
    assert lab.domains() == {"a": "", "b": ""}


def test_a_libvirtd_that_does_not_run_is_named(lab: Lab, tmp_path: Path) -> None:
    units = "libvirtd.service libvirtd.socket libvirtd-ro.socket libvirtd-admin.socket"
    lab.ssh("b", f"systemctl stop {units}")
    try:
        done = lab.sodbench("run", campaign(tmp_path), "--results", tmp_path / "r")
    finally:
        lab.ssh("b", f"systemctl start {units.partition(' ')[2]}")
    assert done.status == 5, done
    assert "libvirt" in done.output
    assert "host b" in done.output


def test_a_client_that_goes_away_costs_its_observer_and_no_trial(lab: Lab, tmp_path: Path) -> None:
    """The client is cut off in the first window: that trial stays, the next one cannot start."""
    results = tmp_path / "r"
    process = lab.start(
        "run", campaign(tmp_path, repetitions=2, points="4", window_s=8), "--results", results
    )
    wait_for(lambda: count(results, "window.opened") == 1, process)
    # Its address is taken away from outside: to the controller that is a machine that has vanished.
    subprocess.run(["ip", "link", "set", "vb-sod-client", "down"], check=True)
    try:
        output, _ = process.communicate(timeout=300)
    finally:
        subprocess.run(["ip", "link", "set", "vb-sod-client", "up"], check=True)
    assert process.returncode == 5, output
    run = store.find(results)
    assert outcome(run)[0] == "valid", output
    failed = [one.data["observer"] for one in journal.read(run.journal) if one.kind == "observer.failed"]
    assert "heartbeat" in failed
    resumed = lab.sodbench("resume", run.root)
    assert resumed.status == 0, resumed
    standing = state.fold(journal.read(run.journal), plans.from_json(read_json(run.plan)))
    assert standing.counts["valid"] == 2
    table = run.metrics_csv.read_text().splitlines()
    silent = [line for line in table if line.split(",")[2] == "001-idle" and ",outage_network," in line]
    assert silent
    assert "heartbeat" in silent[0]


def test_a_full_results_disk_loses_nothing_that_was_measured(lab: Lab, tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", str(disk)], check=True)
    try:
        process = lab.start("run", campaign(tmp_path, repetitions=2), "--results", disk / "r")
        wait_for(lambda: count(disk / "r", "attempt.started") == 2, process)
        with (disk / "filler").open("wb") as filler, pytest.raises(OSError, match="No space"):
            while True:
                filler.write(bytes(1 << 16))
                filler.flush()
        output, _ = process.communicate(timeout=200)
        assert process.returncode == 11, output
        assert lab.domains() == {"a": "", "b": ""}
        (disk / "filler").unlink()
        resumed = lab.sodbench("resume", store.find(disk / "r").root)
        assert resumed.status == 0, resumed
        run = store.find(disk / "r")
        standing = state.fold(journal.read(run.journal), plans.from_json(read_json(run.plan)))
        assert [len(one.attempts) for one in standing.trials] == [1, 2]
    finally:
        subprocess.run(["umount", "--lazy", str(disk)], check=True)


def test_a_lab_whose_machine_died_is_mended(lab: Lab) -> None:
    """kill -9 of a machine leaves mounts and processes behind; `lab up` clears them and starts it again."""
    machine = labs.Places().machine("client")
    outer, leader = lab_machine.container_pid(machine), lab_machine.leader_pid(machine)
    assert outer is not None
    assert leader is not None
    subprocess.run(["kill", "-KILL", str(outer), str(leader)], check=True)
    assert lab.sodbench("lab", "status").status == 4
    done = lab.sodbench("lab", "up")
    assert done.status == 0, done
    assert lab.sodbench("lab", "status").status == 0
    assert lab.ssh("client", "hostname").strip() == "sod-client"


def test_a_guest_that_hangs_is_found_out(lab: Lab, tmp_path: Path) -> None:
    """Its kernel panics in the window: the hypervisor still calls it running, and migrates it."""
    results = tmp_path / "r"
    process = lab.start("run", campaign(tmp_path, points="3", window_s=8), "--results", results)
    wait_for(lambda: count(results, "window.opened") == 1, process)
    lab.ssh("guest", "(sleep 0.5; echo c > /proc/sysrq-trigger) >/dev/null 2>&1 </dev/null &")
    output, _ = process.communicate(timeout=200)
    assert process.returncode == 13, output
    verdict, reasons = outcome(store.find(results))
    assert verdict == "invalid"
    assert "does not answer any more" in reasons
    assert "sysrq" in reasons
    assert lab.domains() == {"a": "", "b": ""}
