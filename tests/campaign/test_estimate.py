from __future__ import annotations

import pytest

from harness.campaign.estimate import (
    BOOT_KVM_S,
    BOOT_TCG_S,
    COLLECTION_S,
    RESTORE_S,
    STEADY_S,
    Estimate,
    estimate,
)
from harness.campaign.plan import expand
from tests.synthetic.campaigns import MINIMAL, campaign


def of(text: str = "", *, base: str = MINIMAL, kvm: bool = False) -> Estimate:
    return estimate(expand(campaign(text, base=base)), "kvm" if kvm else "tcg")


def test_time_is_the_sum_of_its_parts() -> None:
    cost = of()
    assert (cost.boot_s, cost.baseline_s, cost.window_s) == (2 * BOOT_TCG_S, 20, 120)
    assert (cost.steady_s, cost.collection_s) == (2 * STEADY_S, 2 * COLLECTION_S)
    assert cost.total_s == pytest.approx(2 * (BOOT_TCG_S + STEADY_S + 10 + 60 + COLLECTION_S))
    assert of(kvm=True).boot_s == 2 * BOOT_KVM_S


def test_a_short_settle_limit_bounds_the_wait_for_a_steady_load() -> None:
    assert of("  settle_timeout_s: 2\n").steady_s == 4


def test_a_snapshot_costs_one_boot_and_restores_and_its_own_space() -> None:
    booted, restored = of(), of("start: snapshot\n")
    assert restored.boot_s == BOOT_TCG_S + 2 * RESTORE_S
    assert restored.shared_bytes - booted.shared_bytes == 512 << 20


def test_disk_grows_with_the_heartbeat_and_the_repetitions() -> None:
    slow, fast = of("heartbeat: {rate_hz: 10}\n"), of("heartbeat: {rate_hz: 1000}\n")
    assert fast.results_bytes - slow.results_bytes == 2 * 70 * 990 * 45
    assert of("repetitions: 10\n").results_bytes > 5 * of().results_bytes
    assert of("repetitions: 10\n").shared_bytes == of().shared_bytes
