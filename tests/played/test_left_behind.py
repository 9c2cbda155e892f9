"""Guests that a killed run left behind: the next attempt begins without them, whatever they are called."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from harness.campaign.run import runner
from harness.cli import rigs
from harness.evidence.journal import Event
from harness.interrupt import Interrupt
from harness.rig.guest import domain
from harness.rig.pair import is_of_harness
from harness.rig.rig import Rig
from tests.played.campaigns import SMALL, begin, plan_of

ONE = SMALL.replace("[idle, file]", "[idle]")
SEVERAL = """\
name: several
workloads: [idle]
guest: {memory_mib: 256}
guests: {order: name, each: [{name: plain}, {name: strict}]}
schedule: {window_s: 12, baseline_s: 2, points_s: [0]}
heartbeat: {rate_hz: 10}
"""
OF_SEVERAL = ["sodbench-guest-plain", "sodbench-guest-strict"]


def left(rig: Rig, host: str, names: Sequence[str]) -> None:
    """Start guests and forget them, as a controller does that is killed; without names the only one."""
    for guest in rig.pair.guests(names) or (rig.pair.only_guest,):
        view = rig.of(guest) if names else rig
        spec = view.specify(memory_mib=256, vcpus=1)
        domain.boot(view.hypervisors.connect()[host], view.hosts[host], spec)


def there(rig: Rig) -> set[str]:
    return {name for one in rig.hypervisors.connect().values() for name in one.domains()}


@pytest.mark.parametrize(
    ("text", "names", "own"),
    [
        (ONE, ["strict", "other"], ["sodbench-guest"]),
        (SEVERAL, [], OF_SEVERAL),
        (SEVERAL, ["first", "plain"], OF_SEVERAL),
    ],
)
@pytest.mark.parametrize("host", ["a", "b"])
def test_while_a_guest_is_up_no_other_run_s_guest_is(
    tmp_path: Path, text: str, names: Sequence[str], own: Sequence[str], host: str
) -> None:
    run = begin(tmp_path, text)
    rig, clock, _ = rigs.played(plan_of(text), None, run)
    left(rig, host, names)
    assert there(rig)
    seen: list[set[str]] = []

    def listener(event: Event) -> None:
        if event.kind == "workload.steady" or event.kind == "window.opened":
            seen.append(there(rig))

    runner.carry_out(run, rig, clock, Interrupt(), listener=listener)
    assert seen
    assert all(one == set(own) for one in seen), seen
    assert there(rig) == set()


@pytest.mark.parametrize(
    ("name", "ours"),
    [
        ("sodbench-guest", True),
        ("sodbench-guest-strict", True),
        ("sodbench-guests", False),
        ("sodbench", False),
        ("my-sodbench-guest", False),
    ],
)
def test_a_guest_of_the_harness_is_known_by_its_whole_name(name: str, ours: bool) -> None:
    assert is_of_harness(name) is ours
