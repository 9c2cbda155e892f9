"""The lab comes and goes: `down` leaves nothing but the cache, `up` finds and mends; both twice in a row."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from conftest import Lab
from harness.rig.lab import lab as labs
from harness.rig.lab import machine as lab_machine
from harness.rig.lab import network

pytestmark = pytest.mark.lab


def output(*argv: str) -> str:
    return subprocess.run(argv, capture_output=True, text=True, check=False).stdout


def traces() -> list[str]:
    """Everything on this machine that is the lab's, its cache apart."""
    places = labs.Places()
    found = [line for line in output("ip", "-brief", "link").splitlines() if "sod" in line]
    found += [line for line in output("ip", "route").splitlines() if "198.18" in line]
    found += [line for line in output("nft", "list", "tables").splitlines() if "sodbench" in line]
    found += [line for line in Path("/proc/mounts").read_text().splitlines() if "sodbench" in line]
    found += [f"process {one}" for one in places.machines() if lab_machine.container_pid(one)]
    found += [str(path) for path in (places.state, places.run) if path.exists()]
    found += [line for line in output("ps", "-eo", "args").splitlines() if "qemu-system" in line]
    return found


def test_a_lab_that_is_up_stays_as_it_is(lab: Lab) -> None:
    before = [lab_machine.container_pid(one) for one in labs.Places().machines()]
    assert lab.sodbench("lab", "up").status == 0
    assert [lab_machine.container_pid(one) for one in labs.Places().machines()] == before
    assert None not in before


def test_the_link_carries_one_gigabit_a_second_and_no_more(lab: Lab) -> None:
    for role in ("a", "b", "client"):
        outside = output("tc", "qdisc", "show", "dev", f"vb-sod-{role}")
        inside = lab.ssh(role, "tc qdisc show dev host0")
        for text in (outside, inside):
            assert "tbf" in text
            assert "rate 1Gbit" in text


def test_each_host_has_a_tpm_that_answers(lab: Lab) -> None:
    for role in ("a", "b"):
        assert lab.ssh(role, "systemctl is-active sodbench-swtpm.service").strip() == "active"
        command = "TPM2TOOLS_TCTI=swtpm:path=/run/sodbench/swtpm.sock tpm2_getrandom --hex 16"
        first, second = lab.ssh(role, command).strip(), lab.ssh(role, command).strip()
        assert len(first) == len(second) == 32
        assert first != second


def test_nothing_of_the_benchmark_range_leaves_the_machine(lab: Lab) -> None:
    assert lab.inventory.exists()
    route = subprocess.run(["ip", "route", "get", "198.19.0.1"], capture_output=True, text=True, check=False)
    assert route.returncode != 0
    # The fence answers so (EHOSTUNREACH); without it the default route would take the packet.
    assert "No route to host" in route.stderr


def test_an_interrupted_build_is_not_taken_for_a_machine(lab: Lab) -> None:
    """A layer whose provisioning never ended is thrown away; half of it would be worse than none."""
    machine = lab.places.machine("client")
    lab_machine.stop(machine)
    stray = machine.layers / "upper/etc/half-done"
    stray.write_text("")
    mark = machine.layers / "upper/etc/sodbench/provisioned"
    mark.unlink()
    saved = lab.places.storage / "snapshots/of-a-former-machine"
    saved.mkdir(parents=True)
    assert lab.sodbench("lab", "up").status == 0
    assert not stray.exists()
    assert not saved.exists()
    done = lab.sodbench("provision")
    assert done.status == 0, done
    assert "were provisioned already" not in done.output
    assert mark.exists()


def test_down_leaves_nothing_and_up_comes_back(lab: Lab) -> None:
    assert traces()
    kept = Path("/proc/sys/net/ipv4/ip_forward")
    for _ in range(2):  # the second one finds nothing to do
        done = lab.sodbench("lab", "down")
        assert done.status == 0, done
        assert traces() == []
    assert lab.sodbench("lab", "status").status == 4
    forward = kept.read_text().strip()

    done = lab.sodbench("lab", "up")
    assert done.status == 0, done
    assert kept.read_text().strip() == "1"
    assert f'"ip_forward": "{forward}"' in labs.Places().kept_settings.read_text()
    assert network.exists()
    done = lab.sodbench("provision")
    assert "were provisioned already" in done.output, done


def test_an_ordinary_user_is_told_that_the_lab_needs_root(lab: Lab) -> None:
    del lab
    program = "from harness.rig.lab import lab; lab.up(lab.Places())"
    done = subprocess.run(
        [sys.executable, "-c", f"import os; os.setuid(65534); {program}"],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(Path.cwd())},
    )
    assert "needs root" in done.stderr
