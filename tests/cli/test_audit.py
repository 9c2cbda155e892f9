"""`sodbench audit` from its command line to a registry in a file."""

from __future__ import annotations

import json
import socket
import sqlite3
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from harness import cli
from harness.errors import StorageError
from harness.registry import places
from harness.registry.registry import open_registry, sqlite_url
from tests.registry.subjects import condemned, enrolment, moment


@dataclass(frozen=True)
class Said:
    code: int
    out: str
    err: str


class Audit:
    """The command, run in this process the way its entry point runs it, on a registry of the test's own."""

    def __init__(
        self, patch: pytest.MonkeyPatch, captured: pytest.CaptureFixture[str], registry: Path
    ) -> None:
        self._patch = patch
        self._captured = captured
        self.registry = registry
        patch.setenv("COLUMNS", "200")
        patch.setenv("TERM", "dumb")
        patch.setenv("SODBENCH_REGISTRY", sqlite_url(registry))

    def __call__(self, *arguments: str | Path) -> Said:
        self._patch.setattr(sys, "argv", ["sodbench", "audit", *map(str, arguments)])
        with pytest.raises(SystemExit) as end:
            cli.main()
        out, err = self._captured.readouterr()
        assert isinstance(end.value.code, int)
        return Said(end.value.code, out, err)

    def head(self) -> str:
        said = self("verify")
        assert said.code == 0, said.err
        return said.out.split()[-1]

    def edit(self, *statements: str) -> None:
        """Edit the registry behind its back, with its triggers gone meanwhile."""
        connection = sqlite3.connect(self.registry)
        made = "SELECT name, sql FROM sqlite_master WHERE type = 'trigger'"
        triggers = connection.execute(made).fetchall()
        dropped = (f"DROP TRIGGER {name}" for name, _ in triggers)
        for statement in (*dropped, *statements, *(sql for _, sql in triggers)):
            connection.execute(statement)
        connection.commit()
        connection.close()


@pytest.fixture
def audit(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Audit:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.delenv("SODBENCH_ANCHORS", raising=False)
    monkeypatch.delenv("SODBENCH_ANCHORS_SYSLOG", raising=False)
    made = Audit(monkeypatch, capsys, tmp_path / "registry.sqlite")
    with open_registry(sqlite_url(made.registry)) as registry:
        registry.enrol(enrolment("host-a"))
        registry.record(condemned("host-a"), generated=moment())
        registry.protection.set("vm-1", {"options": {"1": ["c"]}}, by="customer", why="new")
        registry.audit.append("alarm", "vm-1", {"what": "nowhere to go", "ugly": "\x1b[31m[red]"})
    return made


def test_a_whole_log_is_said_to_be_whole_with_its_head(audit: Audit) -> None:
    said = audit("verify")
    assert said.code == 0
    assert "no anchor of this registry" in said.err
    assert said.out.startswith("whole: 6 entries, head 6:")
    assert audit("verify", "--head", audit.head()).code == 0
    assert audit("verify", "--registry", sqlite_url(audit.registry)).out == said.out


def test_a_head_that_was_anchored_must_be_on_the_chain(
    audit: Audit, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("SODBENCH_ANCHORS", str(tmp_path / "elsewhere" / "anchors.jsonl"))
    with open_registry(sqlite_url(audit.registry), anchors=places.anchors()) as registry:
        registry.audit.append("alarm", "vm-1", {})
    said = audit("verify")
    assert (said.code, said.err) == (0, "")
    with open_registry(sqlite_url(audit.registry)) as registry:
        registry.audit.append("alarm", "vm-1", {})
    assert "entries after number 7 are not anchored" in audit("verify").err
    audit.registry.unlink()
    with open_registry(sqlite_url(audit.registry)) as registry:
        registry.audit.append("alarm", "vm-1", {})
    said = audit("verify")
    assert (said.code, "whose head was anchored" in said.err) == (19, True)


def test_an_anchor_that_the_file_lacks_is_named_by_a_daemons_log(
    audit: Audit, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file, log = tmp_path / "anchors.jsonl", tmp_path / "messages.log"
    monkeypatch.setenv("SODBENCH_ANCHORS", str(file))
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as daemon:
        daemon.bind(str(tmp_path / "log"))
        monkeypatch.setenv("SODBENCH_ANCHORS_SYSLOG", str(tmp_path / "log"))
        for _ in range(2):
            with open_registry(sqlite_url(audit.registry), anchors=places.anchors()) as registry:
                registry.audit.append("alarm", "vm-1", {})
        log.write_bytes(b"".join(b"host " + daemon.recv(4096) + b"\n" for _ in range(2)))
    said = audit("verify", "--received", log)
    assert (said.code, said.err) == (0, "")
    whole = file.read_text().splitlines(keepends=True)
    file.write_text(whole[0])
    said = audit("verify", "--received", log)
    assert (said.code, "an anchor is missing" in said.err, str(file) in said.err) == (19, True, True)
    file.write_text("".join(whole))
    log.write_bytes(log.read_bytes().splitlines(keepends=True)[0])
    said = audit("verify", "--received", log)
    assert (said.code, f"1 of 2 anchors are not in {log}" in said.err) == (0, True)
    assert audit("verify", "--received", log, "--file", log).code == 2


def test_a_log_daemon_that_is_not_there_is_told_and_the_registry_has_everything(
    audit: Audit, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("SODBENCH_ANCHORS_SYSLOG", str(tmp_path / "none"))
    with (
        pytest.raises(StorageError, match="does not take it"),
        open_registry(sqlite_url(audit.registry), anchors=places.anchors()) as registry,
    ):
        registry.audit.append("alarm", "vm-1", {})
    assert audit("verify").out.startswith("whole: 7 entries")


def test_a_head_that_was_noted_lies_on_the_chain_later_too(audit: Audit) -> None:
    noted = audit.head()
    with open_registry(sqlite_url(audit.registry)) as registry:
        registry.audit.append("alarm", "vm-1", {})
    assert audit("verify", "--head", noted).out.startswith("whole: 7 entries")


def test_a_log_without_its_end_is_not_the_one_whose_head_was_noted(audit: Audit) -> None:
    noted = audit.head()
    audit.edit(
        "DELETE FROM audit WHERE number = 6",
        "UPDATE audit_head SET number = 5, digest = (SELECT digest FROM audit WHERE number = 5)",
    )
    assert audit("verify").code == 0
    said = audit("verify", "--head", noted)
    assert said.code == 19
    assert "noted" in said.err


@pytest.mark.parametrize(
    ("statement", "where", "what"),
    [
        ("UPDATE audit SET subject = 'host-b' WHERE number = 4", "audit entry 4", "not as it was written"),
        ("DELETE FROM audit WHERE number = 2", "audit entry 2", "gap"),
        ("UPDATE results SET tier = 'warning'", "audit entry 3, row 1 of results", "not as it was written"),
        ("DELETE FROM requests", "audit entry 5, row 1 of requests", "missing"),
        ("UPDATE attesters SET held = 0", "identity host-a", "does not follow from its history"),
    ],
)
def test_an_edit_ends_with_its_own_exit_code_and_is_named(
    audit: Audit, statement: str, where: str, what: str
) -> None:
    audit.edit(statement)
    said = audit("verify")
    assert (said.code, said.out) == (19, "")
    assert where in said.err
    assert what in said.err
    assert "why:" in said.err
    assert "do:" in said.err


@pytest.mark.parametrize("head", ["", "6", "6:abc", "0:" + "0" * 64, "6:" + "G" * 64, "-1:" + "0" * 64])
def test_what_is_no_head_is_refused(audit: Audit, head: str) -> None:
    said = audit("verify", "--head", head)
    assert said.code == 2
    assert "N:DIGEST" in said.err


def test_an_export_is_checked_without_the_registry(audit: Audit, tmp_path: Path) -> None:
    head, file = audit.head(), tmp_path / "out" / "log.jsonl"
    assert audit("export", "--out", file).code == 0
    assert audit("export").out == file.read_text()
    audit.registry.unlink()
    said = audit("verify", "--file", file, "--head", head)
    assert (said.code, said.out) == (0, f"whole: 6 entries, head {head}\n")
    first, *entries = map(json.loads, file.read_text().splitlines())
    assert f"{first['head']['number']}:{first['head']['digest']}" == head
    assert [one["number"] for one in entries] == [1, 2, 3, 4, 5, 6]


def test_an_edited_export_is_refused(audit: Audit, tmp_path: Path) -> None:
    file = tmp_path / "log.jsonl"
    audit("export", "--out", file)
    file.write_text(file.read_text().replace("contraindicated", "affirming"))
    said = audit("verify", "--file", file)
    assert said.code == 19
    assert f"{file}:4, entry 3" in said.err


def test_an_export_of_an_edited_log_does_not_pass_as_whole(audit: Audit, tmp_path: Path) -> None:
    audit.edit("UPDATE audit SET kind = 'joke' WHERE kind = 'alarm'")
    file = tmp_path / "log.jsonl"
    assert audit("export", "--out", file).code == 0
    assert audit("verify", "--file", file).code == 19


def test_an_export_that_cannot_be_written_says_so(audit: Audit, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    said = audit("export", "--out", tmp_path / "file" / "log.jsonl")
    assert said.code == 11
    assert "cannot write" in said.err


def test_entries_are_shown_for_reading(audit: Audit) -> None:
    said = audit("show")
    assert said.code == 0
    lines = said.out.splitlines()
    assert [line.split()[0] for line in lines[1:]] == ["1", "2", "3", "4", "5", "6"]
    assert "tier: contraindicated" in lines[3]
    assert "nowhere to go" in lines[6]
    assert "\x1b" not in said.out  # what somebody stored does not steer the terminal
    assert "[red]" in said.out


def test_entries_are_shown_by_subject_kind_and_number(audit: Audit) -> None:
    assert [line.split()[0] for line in audit("show", "--subject", "vm-1").out.splitlines()[1:]] == ["5", "6"]
    assert [line.split()[0] for line in audit("show", "--kind", "identity").out.splitlines()[1:]] == [
        "2",
        "4",
    ]
    assert [line.split()[0] for line in audit("show", "--limit", "2").out.splitlines()[1:]] == ["5", "6"]
    assert audit("show", "--kind", "joke").out == "No such entries.\n"
    assert audit("show", "--limit", "0").code == 2


def test_entries_are_shown_as_json(audit: Audit) -> None:
    (told,) = json.loads(audit("show", "--kind", "alarm", "--json").out)
    assert (told["number"], told["body"]["what"]) == (6, "nowhere to go")
    assert json.loads(audit("show", "--kind", "joke", "--json").out) == []


@pytest.mark.parametrize("verb", ["verify", "export", "show"])
def test_a_registry_that_is_not_there_is_not_made(audit: Audit, tmp_path: Path, verb: str) -> None:
    said = audit(verb, "--registry", sqlite_url(tmp_path / "mistyped.sqlite"))
    assert said.code == 16
    assert "there is no registry" in said.err
    assert not (tmp_path / "mistyped.sqlite").exists()
    (tmp_path / "empty.sqlite").touch()
    said = audit(verb, "--registry", sqlite_url(tmp_path / "empty.sqlite"))
    assert (said.code, (tmp_path / "empty.sqlite").stat().st_size) == (16, 0)


def test_an_export_that_is_not_there_is_a_wrong_command_line(audit: Audit, tmp_path: Path) -> None:
    assert audit("verify", "--file", tmp_path / "none.jsonl").code == 2
