"""Why a test may be skipped: what a machine cannot have. What set-up installs is never a reason.

A skip for any other reason fails its test (`conftest.py`), so that no part of the tests goes unused.
"""

from __future__ import annotations

import importlib.util
import os
import platform
import sys
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

import pytest

NEEDS_ROOT = "root's rights are needed"
NO_ATHERIS = "atheris has no build for this machine"
NO_NOVA = "Nova's packages cannot be installed on this machine"

ROOT = Path(__file__).parents[1]
NOVA = ROOT / ".venv/nova"
"""The environment with Nova (`make nova`)."""

ALLOWED: Mapping[str, str] = MappingProxyType(
    {
        NEEDS_ROOT: "raw sockets, mounts, bridges and owners are root's; `make unit` is for every user",
        NO_NOVA: "`make programs` installs them where there are builds of them; nothing else needs them",
        NO_ATHERIS: "it is built for Linux on x86_64; elsewhere the targets run under hypothesis alone",
    }
)
"""Each reason for which a test may be skipped, and why no set-up can mend it."""

as_root = pytest.mark.skipif(os.geteuid() != 0, reason=NEEDS_ROOT)
with_atheris = pytest.mark.skipif(
    (platform.machine(), sys.platform) != ("x86_64", "linux") and importlib.util.find_spec("atheris") is None,
    reason=NO_ATHERIS,
)

with_nova = pytest.mark.skipif(not (NOVA / ".installed").is_file(), reason=NO_NOVA)


def judge(report: pytest.TestReport | pytest.CollectReport) -> None:
    """Make a failure of `report` if it is a skip for a reason that is not in the list."""
    if not report.skipped or hasattr(report, "wasxfail"):
        return
    where = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    reason = where.removeprefix("Skipped: ")
    if reason not in ALLOWED:
        report.outcome = "failed"
        report.longrepr = (
            f"skipped, which fails here: {reason}\n"
            "Set-up (`make setup`) installs what tests need. Only what a machine cannot have is a reason to"
            " skip, and stands in tests/skips.py."
        )
