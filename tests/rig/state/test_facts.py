"""A host's state is what the kernel's files say; what they do not say is null with its reason."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from harness.evidence import host_drift
from harness.json_types import Json
from harness.rig.state import facts
from harness.rig.state.facts import HostFacts
from harness.rig.state.read import PROBE
from tests.rig.state import trees


def probe(root: Path) -> str:
    done = subprocess.run([sys.executable, PROBE, root], capture_output=True, text=True, check=True)
    return done.stdout


def state(name: str, root: Path) -> HostFacts:
    return facts.parse(probe(trees.make(name, root)))


def test_every_fact_of_a_server_with_intel_pstate(tmp_path: Path) -> None:
    found = state("intel-server", tmp_path)
    assert found.reasons == {}
    assert found.facts == {
        "governor": "performance (1), powersave (3)",
        "frequency_driver": "intel_pstate",
        "energy_preference": "balance_performance (3), performance (1)",
        "turbo": "on",
        "c_states": "POLL, C1, C6 (3)",
        "idle_driver": "intel_idle",
        "smt": "on",
        "thp": "always",
        "thp_defrag": "madvise",
        "ksm_run": 1,
        "numa_balancing": 1,
        "swappiness": 60,
        "irqbalance": "runs",
        "tcp_no_metrics_save": 0,
        "microcode": "0xd0003f5",
        "mitigations": {
            "meltdown": "Not affected",
            "mmio_stale_data": "Mitigation: Clear CPU buffers; SMT vulnerable",
        },
        "temperature_celsius": 64.5,
        "core_throttles": 10,
        "package_throttles": 17,
        "kernel_log_next": 1190,
        "kernel_log_errors": [[1188, "EDAC MC0: 1 CE memory read error on CPU_SrcID#0"]],
    }


@pytest.mark.parametrize(
    ("tree", "known"),
    [
        (
            "amd-server",
            {
                "turbo": "on",
                "governor": "schedutil",
                "c_states": "POLL, C1, C2",
                "irqbalance": "does not run",
            },
        ),
        ("arm-server", {"governor": "ondemand", "smt": "notimplemented", "c_states": "WFI"}),
        (
            "cloud-vm",
            {"microcode": "0x1", "thp": "madvise", "kernel_log_next": 10298, "kernel_log_errors": []},
        ),
    ],
)
def test_other_machines(tree: str, known: dict[str, Json], tmp_path: Path) -> None:
    found = state(tree, tmp_path)
    assert {name: found.facts[name] for name in known} == known


@pytest.mark.parametrize("tree", trees.NAMES)
def test_a_fact_is_known_or_has_its_reason(tree: str, tmp_path: Path) -> None:
    found = state(tree, tmp_path)
    assert set(found.facts) == set(facts.FACTS)
    assert {name for name, value in found.facts.items() if value is None} == set(found.reasons)
    assert all(reason.startswith("/") for reason in found.reasons.values())


def test_a_virtual_machine_without_frequencies_says_so(tmp_path: Path) -> None:
    found = state("cloud-vm", tmp_path)
    assert found.facts["governor"] is None
    assert found.reasons["governor"] == (
        "/sys/devices/system/cpu/cpufreq/policy*/scaling_governor: the kernel has no such file"
    )
    assert found.facts["core_throttles"] is None
    assert "thermal_zone" not in found.reasons["temperature_celsius"]


def test_an_empty_root_gives_nothing_and_no_zero(tmp_path: Path) -> None:
    found = facts.parse(probe(tmp_path))
    known = {name: value for name, value in found.facts.items() if value is not None}
    assert known == {"irqbalance": "does not run"}


def test_a_number_that_is_none_is_not_believed(tmp_path: Path) -> None:
    root = trees.make("amd-server", tmp_path)
    (root / "proc/sys/vm/swappiness").write_text("many\n")
    found = facts.parse(probe(root))
    assert found.facts["swappiness"] is None
    assert found.reasons["swappiness"] == "/proc/sys/vm/swappiness: 'many' is not a number"


def test_a_pipe_is_no_kernel_log_and_is_not_waited_for(tmp_path: Path) -> None:
    root = trees.make("amd-server", tmp_path)
    (root / "dev").mkdir()
    os.mkfifo(root / "dev/kmsg")
    found = facts.parse(probe(root))
    assert found.facts["kernel_log_errors"] is None
    assert "pipe" in found.reasons["kernel_log_errors"]


def test_what_a_host_says_is_bounded(tmp_path: Path) -> None:
    root = trees.make("intel-server", tmp_path)
    (root / "sys/devices/system/cpu/vulnerabilities/meltdown").write_text("x" * 100_000)
    (root / "dev/kmsg").write_text("".join(f"3,{n},0,-;{'e' * 5000}\n" for n in range(100)))
    found = facts.parse(probe(root))
    assert len(json.dumps(found.facts)) < 5000
    errors = found.facts["kernel_log_errors"]
    assert isinstance(errors, list)
    assert [number for number, _ in errors] == list(range(92, 100))


@pytest.mark.parametrize(
    "output", ["", "[]", "{}", '{"files": [1]}', '{"files": {"a": 1}, "unreadable": {}}']
)
def test_another_output_is_no_state(output: str) -> None:
    with pytest.raises(ValueError):
        facts.parse(output)


def test_the_probe_reads_this_machine() -> None:
    found = facts.parse(probe(Path("/")))
    assert found.facts["swappiness"] is not None
    assert found.facts["irqbalance"] in ("runs", "does not run")


def test_every_fact_is_judged_or_said_not_to_be() -> None:
    judged = {*host_drift.SETTINGS, *host_drift.COUNTERS, *host_drift.READINGS}
    assert judged == set(facts.FACTS)
