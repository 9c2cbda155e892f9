"""Tuning is made in order, saved first, undone where it half succeeds, and refused where it cannot be."""

from __future__ import annotations

import fcntl
import importlib
import json
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.rig.tune import machines
from tests.rig.tune.compare import values

CPU = "sys/devices/system/cpu"
BOOT_ID = "proc/sys/kernel/random/boot_id"


def text(root: Path, path: str) -> str:
    return (root / path).read_text().strip()


def test_what_is_set_on_a_server_and_in_which_order(tmp_path: Path) -> None:
    root = machines.make("intel-server", tmp_path)
    status, said = machines.run(root, "tune", machines.SETTINGS)
    assert status == 0
    assert said["left"] == {}
    assert said["changed"] == [
        "unit:irqbalance.service",
        f"{CPU}/smt/control",
        f"{CPU}/intel_pstate/no_turbo",
        *(f"{CPU}/cpufreq/policy{n}/energy_performance_preference" for n in range(3)),
        *(f"{CPU}/cpufreq/policy{n}/scaling_governor" for n in range(3)),
        *(f"{CPU}/cpu{n}/cpuidle/state3/disable" for n in range(3)),
        "sys/kernel/mm/ksm/run",
        "sys/kernel/mm/transparent_hugepage/enabled",
        "proc/sys/kernel/numa_balancing",
        "proc/sys/vm/swappiness",
        "proc/sys/net/ipv4/tcp_no_metrics_save",
    ]
    assert text(root, f"{CPU}/cpufreq/policy0/scaling_governor") == "performance"
    assert text(root, "services/irqbalance.service") == "inactive"


def test_what_a_machine_does_not_have_is_left_alone_with_the_reason(tmp_path: Path) -> None:
    root = machines.make("arm-server", tmp_path)
    status, said = machines.run(root, "tune", machines.SETTINGS)
    assert status == 0
    why = "there is nothing to set on this machine"
    names = ("irqbalance", "smt", "turbo", "energy_preference", "wake_up_us", "numa_balancing")
    assert said["left"] == dict.fromkeys(names, why)


def test_a_container_keeps_its_hands_off_the_kernel_it_shares(tmp_path: Path) -> None:
    root = machines.make("intel-server", tmp_path)
    (root / "run/systemd").mkdir(parents=True)
    (root / "run/systemd/container").write_text("systemd-nspawn\n")
    before = values(root)
    status, said = machines.run(root, "tune", machines.SETTINGS)
    assert status == 0
    own = {"services/irqbalance.service", "proc/sys/net/ipv4/tcp_no_metrics_save"}
    after = values(root)
    assert {name for name in before if before[name] != after[name]} == own
    assert set(said["left"]) == set(machines.SETTINGS) - {"irqbalance", "tcp_no_metrics_save"}


def test_tuning_twice_keeps_the_first_values(tmp_path: Path) -> None:
    root = machines.make("intel-server", tmp_path)
    before = values(root)
    machines.run(root, "tune", {"thp": "never"})
    status, said = machines.run(root, "tune", {"thp": "never"})
    assert (status, said["changed"]) == (0, [])
    machines.run(root, "tune", {"thp": "madvise", "swappiness": 1})
    _, shown = machines.run(root, "show")
    assert [(one["before"], one["after"], one["now"]) for one in shown["tuned"]] == [
        ("always", "madvise", "madvise"),
        ("60", "1", "1"),
    ]
    assert machines.run(root, "restore")[0] == 0
    assert values(root) == before


def test_a_setting_that_cannot_be_made_undoes_the_others(tmp_path: Path) -> None:
    root = machines.make("intel-server", tmp_path)
    before = values(root)
    swappiness = root / "proc/sys/vm/swappiness"
    swappiness.unlink()
    swappiness.symlink_to("/dev/full")  # reads as something, and takes nothing
    status, said = machines.run(root, "tune", {"governor": "performance", "swappiness": 1})
    assert status == 1
    assert "No space left" in said["error"]
    swappiness.unlink()
    swappiness.write_text("60\n")
    assert said["error"].endswith("every value was put back")
    assert values(root) == before


def test_restoring_a_machine_that_is_not_tuned_changes_nothing(tmp_path: Path) -> None:
    root = machines.make("intel-server", tmp_path)
    before = values(root)
    assert machines.run(root, "restore") == (0, {"changed": [], "left": {}})
    assert values(root) == before


def test_after_a_reboot_what_another_has_set_since_is_left_alone(tmp_path: Path) -> None:
    root = machines.make("intel-server", tmp_path)
    machines.run(root, "tune", {"thp": "never", "swappiness": 1, "ksm": "stopped"})
    (root / BOOT_ID).write_text("ffffffff-0000-4000-8000-000000000000\n")
    (root / "proc/sys/vm/swappiness").write_text("10\n")
    (root / "sys/kernel/mm/ksm/run").unlink()  # a kernel without it
    status, said = machines.run(root, "restore")
    assert (status, said["changed"]) == (0, ["sys/kernel/mm/transparent_hugepage/enabled"])
    assert text(root, "proc/sys/vm/swappiness") == "10"
    assert not list((root / "keep").glob("restore-*"))


def test_tuning_after_a_reboot_restores_what_the_last_boot_left(tmp_path: Path) -> None:
    root = machines.make("intel-server", tmp_path)
    before = values(root)
    machines.run(root, "tune", {"thp": "never"})
    (root / BOOT_ID).write_text("ffffffff-0000-4000-8000-000000000000\n")
    machines.run(root, "tune", {"swappiness": 1})
    (kept,) = (root / "keep").glob("restore-*")
    assert kept.name == "restore-ffffffff-0000-4000-8000-000000000000.json"
    assert text(root, "sys/kernel/mm/transparent_hugepage/enabled") == "always"
    machines.run(root, "restore")
    assert values(root) == before


def test_a_value_that_cannot_be_put_back_keeps_its_file_and_the_others_are(tmp_path: Path) -> None:
    root = machines.make("intel-server", tmp_path)
    before = values(root)
    machines.run(root, "tune", {"thp": "never", "swappiness": 1})
    swappiness = root / "proc/sys/vm/swappiness"
    swappiness.unlink()
    status, said = machines.run(root, "restore")
    assert status == 1
    assert "proc/sys/vm/swappiness" in said["error"]
    assert text(root, "sys/kernel/mm/transparent_hugepage/enabled") == "always"
    swappiness.write_text("1\n")
    assert machines.run(root, "restore")[0] == 0
    assert values(root) == before


def test_two_at_once_are_refused(tmp_path: Path) -> None:
    root = machines.make("intel-server", tmp_path)
    machines.run(root, "restore")
    before = values(root)
    with (root / "keep/lock").open() as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        for action in ("tune", "restore"):
            status, said = machines.run(root, action, {"thp": "never"})
            assert status == 1
            assert said["error"].startswith("another process tunes or restores this machine")
    assert values(root) == before


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ([], "the settings are no JSON object"),
        ({"colour": "red"}, "no such setting: 'colour'"),
        ({"governor": "../../etc/passwd"}, "governor cannot be '../../etc/passwd'"),
        ({"swappiness": 201}, "swappiness cannot be '201'"),
        ({"thp": "sometimes"}, "thp cannot be 'sometimes'"),
        ({"smt": "on"}, "smt cannot be 'on'"),
    ],
)
def test_settings_that_cannot_be_meant_are_refused(settings: Any, why: str, tmp_path: Path) -> None:
    root = machines.make("intel-server", tmp_path)
    before = values(root)
    status, said = machines.run(root, "tune", settings)
    assert status == 1
    assert said["error"].startswith(why)
    assert values(root) == before


@pytest.mark.parametrize(
    "text_of_file", ["", "[]", '{"schema": 2, "values": []}', '{"schema": 1, "values": [{}]}']
)
def test_a_restore_file_that_cannot_be_read_is_named_and_kept(text_of_file: str, tmp_path: Path) -> None:
    root = machines.make("intel-server", tmp_path)
    file = root / "keep" / f"restore-{text(root, BOOT_ID)}.json"
    file.parent.mkdir()
    file.write_text(text_of_file)
    for action in ("restore", "tune"):
        status, said = machines.run(root, action, {"thp": "never"})
        assert status == 1
        assert str(file) in said["error"]
    assert file.read_text() == text_of_file


def test_siblings_that_go_off_line_get_their_values_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With SMT off a sibling's files are gone; when it is back it has the kernel's defaults, not its own."""
    monkeypatch.syspath_prepend(str(machines.PROGRAM))
    program = importlib.import_module("sodbench_tune")
    root = machines.make("intel-server", tmp_path / "root")
    before, stash = values(root), tmp_path / "stash"
    sibling = root / CPU / "cpufreq/policy3"

    class Switching(program.Machine):  # type: ignore[misc, name-defined]
        def write(self, path: str, value: str) -> None:
            super().write(path, value)
            if path.endswith("smt/control") and value == "off":
                shutil.move(sibling, stash)
            elif path.endswith("smt/control"):
                shutil.move(stash, sibling)
                (sibling / "scaling_governor").write_text("powersave\n")

    machine = Switching(root, root / "keep", str(root / "systemctl"))
    machine.keep.mkdir()
    wanted = {"smt": "off", "governor": "powersave"}
    program.tune(machine, wanted)
    assert not sibling.exists()
    changed = program.restore(machine)
    assert changed == [f"{CPU}/smt/control", f"{CPU}/cpufreq/policy3/scaling_governor"]
    assert values(root) == before


def test_every_setting_of_the_role_is_one_of_the_program(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(machines.PROGRAM))
    program = importlib.import_module("sodbench_settings")
    specs = (machines.PROGRAM.parent / "meta/argument_specs.yml").read_text()
    assert {one.name for one in program.SETTINGS} == set(machines.SETTINGS)
    assert all(f"C({one.name})" in specs for one in program.SETTINGS)
    assert program.wanted_of(json.dumps(machines.SETTINGS))
    assert sys.path[0] == str(machines.PROGRAM)
