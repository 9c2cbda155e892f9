"""Where a benchmark's numbers come from: machine, kernel, versions and commit."""

from __future__ import annotations

import platform
import subprocess
from importlib import metadata
from pathlib import Path

HERE = Path(__file__).parent.parent


def here(*packages: str) -> dict[str, object]:
    """The provenance of numbers made now by this checkout.

    Args:
        packages: Distributions whose versions matter for the numbers.

    Raises:
        OSError: Git, or what the kernel says of the CPU, is missing.
        subprocess.CalledProcessError: This is no git checkout.
    """
    cpuinfo = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    models = (line.partition(":")[2].strip() for line in cpuinfo.splitlines() if "model name" in line)
    return {
        "cpu": next(models, platform.machine()),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "packages": {name: metadata.version(name) for name in packages},
        "commit": _git("rev-parse", "HEAD"),
        "changed": [
            line[3:]
            for line in _git("status", "--porcelain", "--", "harness", "benchmarks/*.py").splitlines()
        ],
    }


def _git(*arguments: str) -> str:
    ran = subprocess.run(["git", "-C", HERE, *arguments], check=True, capture_output=True, text=True)
    return ran.stdout.rstrip("\n")
