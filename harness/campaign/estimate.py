"""What a plan will cost in time and disk, said before anything is touched.

An estimate for people: nothing is decided by it but whether there is room on a disk. Its constants are
measured or assumed, and each says which.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from harness.campaign.plan import Plan, Trial
from harness.rig.acceleration import Accelerator

BOOT_TCG_S = 20.0
"""Boot of the golden image under TCG until its services are up: 16 to 18 s in the lab on 2 cores."""
BOOT_KVM_S = 15.0
"""The same under KVM: assumed, from a Debian cloud kernel's usual boot; never measured in the lab."""
RESTORE_S = 5.0
"""Restoring a saved 1 GiB guest took 1.5 s; the rest is the guest's first answer over ssh."""
STEADY_S = 12.0
"""A workload's server, observers and load until it is steady: 8 to 14 s in the lab, the idle guest 1 s."""
SLOW_START_TCG_S: Mapping[str, float] = MappingProxyType({"app": 80.0})
"""What a server needs beyond that on an emulated CPU: GlassFish took 80 to 100 s, the others at most 5 s."""
COLLECTION_S = 5.0
"""Clocks, observers' start and end, ending the guest: 2 to 4 s in the lab."""
MIGRATION_S = 9.0
"""Length of a migration for the evidence's size: the upper end of the paper's Table V."""

JOB_SAMPLE_BYTES = 900
"""One job.sampled line with all of libvirt's fields."""
JOB_SAMPLE_HZ = 5
"""How often the job observer asks (harness/evidence/observers/job.py)."""
HEARTBEAT_ROW_BYTES = 45
"""Sequence number and two stamps in ns."""
SERIES_BYTES_PER_S = 5 * 10 * 80
"""Wire bytes of two hosts, samples of two hosts and the controller: ten rows of 80 bytes a second each."""
TRIAL_BYTES = 200_000
"""Events, clock samples, the workload's output and the metrics' rows of one trial."""
RUN_BYTES = 2_000_000
"""Environment of every machine before and after, provisioning output, the report's figures."""

IMAGE_BYTES = 1_470_000_000
"""The golden image as qcow2, with every workload's packages."""
OVERLAY_BYTES = 1_000_000_000
"""What a guest may write in a trial; one overlay of each guest exists at a time."""
SAVED_STATE_SHARE = 0.5
"""A booted 1 GiB guest was saved in 509 MB: half its memory."""
MIB = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """Seconds by part, and bytes by disk; :attr:`total_s` is their sum.

    Attributes:
        boot_s: Starting the guests: boots, or one boot and restores, and waiting until they are as old as is
            asked for.
        steady_s: Waiting for steady states.
        baseline_s: Baselines.
        window_s: Windows: the measurement itself.
        collection_s: Bringing guests home and collecting.
        results_bytes: On the results disk.
        shared_bytes: On the storage both hosts share.
    """

    boot_s: float
    steady_s: float
    baseline_s: float
    window_s: float
    collection_s: float
    results_bytes: int
    shared_bytes: int

    @property
    def total_s(self) -> float:
        """Seconds from the first trial's start to the last one's end, provisioning and image not included."""
        return self.boot_s + self.steady_s + self.baseline_s + self.window_s + self.collection_s


def estimate(plan: Plan, accelerator: Accelerator) -> Estimate:
    """What `plan` costs on a rig with this accelerator, if no trial is repeated."""
    boot_s = BOOT_KVM_S if accelerator == "kvm" else BOOT_TCG_S
    restored = sum(trial.start == "snapshot" for trial in plan.trials)
    # A saved state is of one boot, too.
    booted = len(plan.trials) - restored + (len(plan.every_guest) if restored else 0)
    saved_mib = sum(one.memory_mib for one in plan.every_guest) if restored else 0
    saved_bytes = int(saved_mib * MIB * SAVED_STATE_SHARE)
    guests = max(1, len(plan.guests))
    rate_hz = plan.heartbeat.rate_on(accelerator)
    return Estimate(
        boot_s=booted * boot_s * guests + restored * RESTORE_S + _aging_s(plan, boot_s),
        steady_s=sum(_steady_s(trial, accelerator) for trial in plan.trials),
        baseline_s=sum(trial.baseline_s for trial in plan.trials),
        window_s=sum(trial.window_s for trial in plan.trials),
        collection_s=COLLECTION_S * len(plan.trials),
        results_bytes=RUN_BYTES + sum(_trial_bytes(trial, rate_hz) for trial in plan.trials) * guests,
        shared_bytes=IMAGE_BYTES + OVERLAY_BYTES * guests + saved_bytes,
    )


def _aging_s(plan: Plan, boot_s: float) -> float:
    """What is waited beyond the boots; several guests grow old side by side."""
    asked = (plan.under(trial.variant).guest.uptime_s for trial in plan.trials)
    return sum(max(0.0, one - boot_s) for one in asked if one is not None)


def _steady_s(trial: Trial, accelerator: Accelerator) -> float:
    slow_s = SLOW_START_TCG_S.get(trial.workload, 0.0) if accelerator == "tcg" else 0.0
    return slow_s + min(STEADY_S, trial.settle_timeout_s) + (trial.dirty_rate_period_s or 0)


def _trial_bytes(trial: Trial, rate_hz: int) -> int:
    observed_s = trial.baseline_s + trial.window_s
    series = observed_s * (rate_hz * HEARTBEAT_ROW_BYTES + SERIES_BYTES_PER_S)
    samples = len(trial.migrations) * MIGRATION_S * JOB_SAMPLE_HZ * JOB_SAMPLE_BYTES
    return TRIAL_BYTES + int(series + samples)
