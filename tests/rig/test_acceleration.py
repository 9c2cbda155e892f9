"""Whether a host counts as one with KVM: proved with the rig's own limit, remembered with it."""

from __future__ import annotations

import re
from typing import cast

import pytest

from harness.rig import acceleration
from harness.rig.host import Host
from harness.rig.limits import Limits
from harness.rig.pair import Endpoint


class Slow:
    """A host whose kernel starts under KVM after `needs_s`; it remembers what it is told to."""

    def __init__(self, needs_s: float, limit_s: float, memory: str = "") -> None:
        self.endpoint = Endpoint(
            role="a", address="a", user="root", limits=Limits(acceleration_s=limit_s, command_s=5)
        )
        self._needs_s = needs_s
        self.memory = memory
        self.proofs = 0

    def attempt(self, command: str, **_limits: object) -> tuple[int, str, str]:
        if command.startswith("cat"):
            return 0, self.memory, ""
        self.proofs += 1
        given = re.search(r"timeout -k 2 ([0-9.]+) ", command)
        assert given is not None
        return 0, "Run /init as init process" if float(given[1]) >= self._needs_s else "", ""

    def run(self, command: str, **_limits: object) -> str:
        said = re.fullmatch(r"echo (.*) > /run/sodbench-accelerator", command)
        assert said is not None
        self.memory = f"{said[1]}\n"
        return ""


@pytest.mark.parametrize(("limit_s", "answer"), [(10, "tcg"), (30, "kvm")])
def test_a_slow_host_has_kvm_where_the_rig_gives_it_time(limit_s: float, answer: str) -> None:
    host = Slow(22.8, limit_s)
    assert acceleration.accelerator(cast(Host, host), "/srv/image") == answer
    assert acceleration.accelerator(cast(Host, host), "/srv/image") == answer
    assert host.proofs == 1


def test_a_no_is_asked_again_when_more_time_is_given() -> None:
    first = Slow(22.8, 10)
    acceleration.accelerator(cast(Host, first), "/srv/image")
    again = Slow(22.8, 30, first.memory)
    assert acceleration.accelerator(cast(Host, again), "/srv/image") == "kvm"


@pytest.mark.parametrize(
    ("memory", "known"),
    [("", None), ("kvm", "kvm"), ("tcg", "tcg"), ("kvm 30", "kvm"), ("tcg 10", "tcg"), ("tcg x", None)],
)
def test_what_a_host_remembers_counts_if_it_can_be_read(memory: str, known: str | None) -> None:
    assert acceleration.remembered(memory, 10) == known
