"""Whether a workload's commands are shell at all, asked of the shell itself."""

from __future__ import annotations

import subprocess

from harness.workloads.contract import Site, Workload

SITE = Site(
    guest_address="198.18.0.1", client_address="198.18.0.2", baseline_s=10.0, window_s=40.0, limit_s=60.2
)


def commands(workload: Workload) -> list[str]:
    """Every command that `workload` asks for."""
    version = workload.version()
    steps = [*workload.preparation(SITE), *([version] if version else [])]
    return [*(step.command for step in steps), *(process.command for process in workload.processes(SITE))]


def refused(workload: Workload) -> list[str]:
    """What the shell says of those that it cannot parse."""
    checks = (
        subprocess.run(["sh", "-n"], input=command, capture_output=True, text=True, check=False)
        for command in commands(workload)
    )
    return [check.stderr for check in checks if check.returncode]
