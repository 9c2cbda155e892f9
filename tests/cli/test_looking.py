"""Verbs that only look at the registry: they make none, and the right to read is enough."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from harness.errors import SodbenchError
from harness.registry.registry import open_registry, sqlite_url
from tests.cli.command import Sodbench
from tests.registry.subjects import enrolment

LOOKS = {
    "attest status": (("attest", "status"), 0),
    "policy request": (("policy", "request", "guest"), 0),
    "policy history": (("policy", "request", "guest", "--history"), 0),
    "policy capabilities": (("policy", "capabilities"), 0),
    "policy validate": (("policy", "validate", "--option", "1"), 20),
    "audit show": (("audit", "show"), 16),
    "audit verify": (("audit", "verify"), 16),
}


@pytest.fixture
def sodbench(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Sodbench:
    return Sodbench(monkeypatch, capsys)


@pytest.mark.parametrize("named", [True, False])
@pytest.mark.parametrize("verb", LOOKS)
def test_looking_makes_no_registry_and_says_that_there_is_none(
    sodbench: Sodbench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, verb: str, named: bool
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.delenv("SODBENCH_REGISTRY", raising=False)
    arguments, code = LOOKS[verb]
    where = ("--registry", sqlite_url(tmp_path / "none.sqlite")) if named else ()
    said = sodbench(*arguments, *where)
    assert said.code == code, said
    assert "here is no registry" in said.err
    assert str(tmp_path) in said.err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("verb", LOOKS)
def test_looking_changes_no_byte(sodbench: Sodbench, tmp_path: Path, verb: str) -> None:
    file = tmp_path / "registry.sqlite"
    with open_registry(sqlite_url(file)) as registry:
        registry.enrol(enrolment("a"))
    before = file.read_bytes()
    sodbench(*LOOKS[verb][0], "--registry", sqlite_url(file))
    assert file.read_bytes() == before


LOOK = """\
import sys
from harness import cli
sys.argv = ["sodbench", *sys.argv[1:]]
cli.main()
"""
READ_ONLY = 'mount --bind "$0" "$0" && mount -o remount,bind,ro "$0" && exec "$@"'


@pytest.mark.parametrize("verb", ["attest status", "audit verify", "policy request"])
def test_a_registry_that_may_only_be_read_is_read(tmp_path: Path, verb: str) -> None:
    folder = tmp_path / "read-only"
    folder.mkdir()
    with open_registry(sqlite_url(folder / "registry.sqlite")) as registry:
        registry.enrol(enrolment("a"))
    folder.chmod(0o555)
    # rights do not bind root, a file system that is mounted read-only does
    as_root = ("unshare", "--mount", "sh", "-c", READ_ONLY, str(folder)) if os.geteuid() == 0 else ()
    done = subprocess.run(
        [*as_root, sys.executable, "-c", LOOK, *LOOKS[verb][0]],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "HOME": str(folder), "SODBENCH_REGISTRY": sqlite_url(folder / "registry.sqlite")},
    )
    folder.chmod(0o755)
    assert done.returncode == 0, done.stderr
    assert [one.name for one in folder.iterdir()] == ["registry.sqlite"]


def test_what_is_only_looked_at_cannot_be_written(tmp_path: Path) -> None:
    from harness.registry.registry import look

    url = sqlite_url(tmp_path / "registry.sqlite")
    open_registry(url).close()
    with look(url) as registry, pytest.raises(SodbenchError, match="cannot be written"):
        registry.enrol(enrolment("a"))
