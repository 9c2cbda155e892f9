"""Look the locked packages up in a database of known vulnerabilities.

``python -m supply.audit`` (``make audit``) runs ``pip-audit`` over ``requirements.lock``. It ends with 1
where a package has a known vulnerability or where the lock cannot be audited, and with 0 where none is known.
It also ends with 0, and says that it was skipped, where the database cannot be reached. A database that
answers for no package at all counts as one out of reach; ``pip-audit`` says of it that nothing is known.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from supply.sbom import ROOT, TOOLS

LOCK = ROOT / "requirements.lock"
ANSWER_S = 10
"""How long one question to the database may take."""
LIMIT_S = 600.0

_UNREACHED = re.compile(
    r"Could not connect|not redirecting properly|may be blocking this service|timed out|"
    r"(?:Connection|Proxy|SSL|ReadTimeout|ConnectTimeout|HTTP|Service)Error|Max retries exceeded"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What an audit found.

    Attributes:
        failed: Whether a build must end here.
        lines: What to say, one or more.
    """

    failed: bool
    lines: tuple[str, ...]


def judge(text: str, complaint: str) -> Outcome:
    """What ``pip-audit`` found, from its JSON, which is empty where it gave up, and its standard error."""
    if not text.strip():
        last = complaint.strip().splitlines()[-1][:300] if complaint.strip() else "it said nothing"
        if _UNREACHED.search(complaint):
            return _skipped(last)
        return Outcome(failed=True, lines=(f"the lock cannot be audited: {last}",))
    packages: Sequence[Mapping[str, Any]] = json.loads(text)["dependencies"]
    unknown = [one["name"] for one in packages if "skip_reason" in one]
    if len(unknown) == len(packages):
        return _skipped(f"it knows none of {len(packages)} packages")
    found = [
        f"{one['name']} {one['version']}: {known['id']}, "
        f"mended in {', '.join(known['fix_versions']) or 'no version'}"
        for one in packages
        for known in one.get("vulns", ())
    ]
    lines = [*found, f"{len(packages) - len(unknown)} packages audited, {len(found)} known vulnerabilities"]
    if unknown:
        lines.append(f"not in the database: {', '.join(unknown)}")
    return Outcome(failed=bool(found), lines=tuple(lines))


def _skipped(why: str) -> Outcome:
    return Outcome(
        failed=False, lines=(f"audit skipped: the database of vulnerabilities cannot be reached: {why}",)
    )


def audit(program: Path, lock: Path) -> Outcome:
    """Audit `lock` by `program`, which is ``pip-audit``."""
    with TemporaryDirectory(prefix="sodbench-audit-") as folder:
        report = Path(folder) / "report.json"
        command = [str(program), "--requirement", str(lock), "--require-hashes", "--disable-pip"]
        command += ["--format", "json", "--output", str(report), "--timeout", str(ANSWER_S)]
        try:
            done = subprocess.run(
                [*command, "--progress-spinner", "off"],
                capture_output=True,
                text=True,
                check=False,
                timeout=LIMIT_S,
            )
        except subprocess.TimeoutExpired:
            return _skipped(f"no end after {LIMIT_S:g} s")
        return judge(report.read_text() if report.exists() else "", done.stderr)


def main() -> int:
    """Say what was found; the exit code."""
    outcome = audit(TOOLS / "pip-audit", LOCK)
    print("\n".join(outcome.lines))
    return int(outcome.failed)


if __name__ == "__main__":
    sys.exit(main())
