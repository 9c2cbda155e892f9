"""The audit fails for what is known, and says that it was skipped where the database is out of reach."""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path

import pytest

from supply import audit
from supply.sbom import TOOLS

KNOWN = {"id": "PYSEC-2030-1", "fix_versions": ["1.1"], "aliases": [], "description": "d"}
SOUND = {"name": "sound", "version": "1.0", "vulns": []}
WEAK = {"name": "weak", "version": "1.0", "vulns": [KNOWN]}
UNKNOWN = {"name": "unknown", "skip_reason": "not found"}

REFUSED = "requests.exceptions.ProxyError: HTTPSConnectionPool: Max retries exceeded"
BLOCKED = "ERROR:pip_audit._cli:Tip: your network may be blocking this service. Try another service"


def played(folder: Path, report: object, complaint: str, status: int) -> Path:
    """A program that answers as ``pip-audit`` does, and keeps how it was asked."""
    program = folder / "pip-audit"
    text = "" if report is None else json.dumps(report)
    program.write_text(
        f"#!{sys.executable}\nimport pathlib, sys\n"
        f"pathlib.Path({str(folder / 'asked')!r}).write_text(repr(sys.argv[1:]))\n"
        f"if {text!r}: pathlib.Path(sys.argv[sys.argv.index('--output') + 1]).write_text({text!r})\n"
        f"print({complaint!r}, file=sys.stderr)\nsys.exit({status})\n"
    )
    program.chmod(0o755)
    return program


def outcome(folder: Path, report: object, complaint: str = "", status: int = 0) -> audit.Outcome:
    return audit.audit(played(folder, report, complaint, status), folder / "lock")


def test_a_known_vulnerability_fails_and_is_named(tmp_path: Path) -> None:
    found = outcome(tmp_path, {"dependencies": [SOUND, WEAK, UNKNOWN]}, "Found 1 known vulnerability", 1)
    assert found.failed
    assert found.lines == (
        "weak 1.0: PYSEC-2030-1, mended in 1.1",
        "2 packages audited, 1 known vulnerabilities",
        "not in the database: unknown",
    )


def test_a_lock_of_which_nothing_is_known_passes(tmp_path: Path) -> None:
    found = outcome(tmp_path, {"dependencies": [SOUND]})
    assert found == audit.Outcome(failed=False, lines=("1 packages audited, 0 known vulnerabilities",))
    assert "'--require-hashes'" in (tmp_path / "asked").read_text()


@pytest.mark.parametrize("complaint", [REFUSED, BLOCKED])
def test_a_database_out_of_reach_is_a_skip_with_its_reason(tmp_path: Path, complaint: str) -> None:
    found = outcome(tmp_path, None, f"Traceback\n{complaint}", 1)
    assert not found.failed
    assert found.lines[0].startswith("audit skipped: the database of vulnerabilities cannot be reached: ")
    assert complaint[:40] in found.lines[0]


def test_a_database_that_knows_no_package_was_not_reached(tmp_path: Path) -> None:
    found = outcome(tmp_path, {"dependencies": [UNKNOWN, UNKNOWN]})
    assert not found.failed
    assert found.lines[0].startswith("audit skipped")


@pytest.mark.parametrize("complaint", ["ERROR: requirement file x contains invalid specifier at line 3", ""])
def test_a_lock_that_cannot_be_audited_fails(tmp_path: Path, complaint: str) -> None:
    found = outcome(tmp_path, None, complaint, 1)
    assert found.failed
    assert "cannot be audited" in found.lines[0]


@pytest.mark.programs
def test_the_real_program_cannot_reach_a_database_that_is_not_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))
    found = audit.audit(TOOLS / "pip-audit", audit.LOCK)
    assert not found.failed, shlex.join(found.lines)
    assert found.lines[0].startswith("audit skipped")
