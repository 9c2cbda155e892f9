"""The lab's hosts are tuned and restored: what is a container's own is written, the shared kernel is not."""

from __future__ import annotations

import pytest

from conftest import Lab

pytestmark = pytest.mark.lab

OWN = "/proc/sys/net/ipv4/tcp_no_metrics_save"
KERNEL = "/proc/sys/vm/swappiness /proc/sys/kernel/numa_balancing /sys/kernel/mm/ksm/run"
HOSTS = ("a", "b")


def values(lab: Lab, paths: str) -> list[str]:
    return [lab.ssh(host, f"cat {paths}") for host in HOSTS]


def test_tuned_hosts_are_restored_to_what_they_were(lab: Lab) -> None:
    own, kernel = values(lab, OWN), values(lab, KERNEL)
    assert own == ["0\n", "0\n"]
    try:
        tuned = lab.sodbench("rig", "tune")
        assert tuned.status == 0, tuned
        assert tuned.output.count("1 value set.") == 2
        assert tuned.output.count("left alone: governor: a container shares its kernel") == 2
        assert values(lab, OWN) == ["1\n", "1\n"]
        shown = lab.sodbench("rig", "show")
        assert shown.status == 0, shown
        (line,) = (one for one in shown.output.splitlines() if "tcp_no_metrics_save" in one)
        assert line.split()[-2:] == ["1", "1"]
    finally:
        restored = lab.sodbench("rig", "restore")
    assert restored.status == 0, restored
    assert restored.output.count("1 value put back.") == 2
    assert (values(lab, OWN), values(lab, KERNEL)) == (own, kernel)
    assert "restore-" not in lab.ssh("a", "ls /var/lib/sodbench/tune")
