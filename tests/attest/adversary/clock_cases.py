"""TPMs that went back, were reset in between, lost time, or changed their firmware; and honest boots."""

from __future__ import annotations

from dataclasses import replace

from harness.attest.played.software_tpm import FIRMWARE
from harness.attest.reasons import Reason
from tests.attest.adversary.case import Case, grouped, warned
from tests.attest.adversary.stage import Asked, Stage


def _at(stage: Stage, **clock: object) -> Asked:
    return stage.honest(clock=stage.clock(**clock))  # type: ignore[arg-type]


def _firmware(stage: Stage, version: int, *, known: bool, **clock: object) -> Asked:
    scene = stage.honest(clock=stage.clock(**clock), firmware_version=version)  # type: ignore[arg-type]
    return scene.against(firmware_versions=(f"{FIRMWARE:016x}", f"{version:016x}")) if known else scene


def _suspended(stage: Stage) -> Asked:
    """A boot after a suspend: one more reset, restarts from 0, logs from their start."""
    scene = _at(stage, later_ms=60_000, resets=1)
    memory = replace(
        stage.earlier, clock=replace(stage.earlier.clock, restart_count=stage.earlier.clock.restart_count + 3)
    )
    return scene.asked(memory=memory)


CASES: tuple[Case, ...] = grouped(
    "clock",
    ("one-ms-later", Reason.ACCEPTED, "The same boot, 1 ms later", lambda stage: _at(stage, later_ms=1)),
    ("resume", Reason.ACCEPTED, "After a suspend and resume", lambda stage: _at(stage, restarts=1)),
    ("resumes", Reason.ACCEPTED, "After several of them", lambda stage: _at(stage, restarts=4)),
    ("reboot", Reason.ACCEPTED, "After a reboot", lambda stage: _at(stage, resets=1)),
    (
        "reboot-at-once",
        Reason.ACCEPTED,
        "After a reboot within the same ms",
        lambda stage: _at(stage, later_ms=0, resets=1),
    ),
    ("reboots", Reason.ACCEPTED, "After five reboots that nobody saw", lambda stage: _at(stage, resets=5)),
    ("reboot-after-suspend", Reason.ACCEPTED, "A reboot after three suspends", _suspended),
    ("clock-back", Reason.CLOCK_BACKWARDS, "A clock 1 ms earlier", lambda stage: _at(stage, later_ms=-1)),
    (
        "clock-still",
        Reason.CLOCK_BACKWARDS,
        "A clock that stands still",
        lambda stage: _at(stage, later_ms=0),
    ),
    (
        "clock-back-after-resume",
        Reason.CLOCK_BACKWARDS,
        "A clock that went back over a resume",
        lambda stage: _at(stage, later_ms=-1, restarts=1),
    ),
    (
        "clock-back-after-reboot",
        Reason.CLOCK_BACKWARDS,
        "A clock that went back over a reboot and says it is safe",
        lambda stage: _at(stage, later_ms=-1, resets=1),
    ),
    (
        "reset-back",
        Reason.RESET_BACKWARDS,
        "One reset less",
        lambda stage: _at(stage, resets=-1, restarts=9),
    ),
    (
        "tpm-cleared",
        Reason.RESET_BACKWARDS,
        "A TPM that was cleared: all counters from their start",
        lambda stage: _at(stage, later_ms=-999_000, resets=-7),
    ),
    (
        "restart-back",
        Reason.RESTART_INCONSISTENT,
        "One restart less without a reset",
        lambda stage: _at(stage, restarts=-1),
    ),
    (
        "not-safe",
        Reason.CLOCK_NOT_SAFE,
        "A clock that may have lost time",
        lambda stage: _at(stage, safe=False),
    ),
    (
        "not-safe-after-reboot",
        Reason.CLOCK_NOT_SAFE,
        "A clock that went back over a loss of power",
        lambda stage: _at(stage, later_ms=-4000, resets=1, safe=False),
    ),
    (
        "not-safe-allowed",
        warned(Reason.CLOCK_NOT_SAFE),
        "The same where the policy only warns",
        lambda stage: _at(stage, safe=False).under(clock_unsafe="warn"),
    ),
    (
        "not-safe-back-allowed",
        Reason.CLOCK_BACKWARDS,
        "A clock that went back in one boot, where the policy only warns of lost time",
        lambda stage: _at(stage, later_ms=-1, safe=False).under(clock_unsafe="warn"),
    ),
    (
        "firmware-not-checked",
        Reason.ACCEPTED,
        "Any firmware where no reference value says which",
        lambda stage: _firmware(stage, FIRMWARE + 1, known=False, resets=1).against(firmware_versions=()),
    ),
    (
        "firmware-unknown",
        Reason.FIRMWARE_VERSION,
        "A firmware of the TPM that is no reference value",
        lambda stage: _firmware(stage, FIRMWARE + 1, known=False, resets=1),
    ),
    (
        "firmware-updated",
        Reason.ACCEPTED,
        "A known newer firmware after a reboot",
        lambda stage: _firmware(stage, FIRMWARE + 1, known=True, resets=1),
    ),
    (
        "firmware-changed-in-a-boot",
        Reason.FIRMWARE_VERSION,
        "A known newer firmware without any boot: another TPM",
        lambda stage: _firmware(stage, FIRMWARE + 1, known=True),
    ),
)
