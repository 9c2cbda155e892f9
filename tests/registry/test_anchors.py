"""Heads of the audit log that are signed and kept elsewhere: what they show that the log alone does not."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.errors import PrerequisiteError, StorageError
from harness.registry.audit.anchors import EVERY, Anchors
from harness.registry.audit.chain import AuditError, AuditHead
from harness.registry.registry import look, open_registry, sqlite_url


@pytest.fixture
def anchors(tmp_path: Path) -> Anchors:
    return Anchors(file=tmp_path / "kept" / "anchors.jsonl", key=tmp_path / "key.pem", wall_ns=lambda: 7)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "registry.sqlite"


def alarmed(file: Path, anchors: Anchors | None, count: int = 3) -> None:
    """A registry with entries of its own, its head anchored when it is closed."""
    with open_registry(sqlite_url(file), anchors=anchors) as registry:
        for number in range(count):
            registry.audit.append("alarm", "a", {"number": number})


def verified(file: Path, anchors: Anchors) -> int:
    with look(sqlite_url(file)) as registry:
        return registry.audit.verify(None, anchors.of(registry.location)).number


def edited(file: Path, *statements: str) -> None:
    """What an administrator does to the database, with its guards out of the way meanwhile."""
    database = sqlite3.connect(file)
    guards = database.execute("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'").fetchall()
    for name, _ in guards:
        database.execute(f"DROP TRIGGER {name}")
    for statement in statements:
        database.execute(statement)
    for _, text in guards:
        database.execute(text)
    database.commit()
    database.close()


CUT = (
    "DELETE FROM audit WHERE number = (SELECT max(number) FROM audit)",
    "UPDATE audit_head SET (number, digest) = "
    "(SELECT number, digest FROM audit ORDER BY number DESC LIMIT 1)",
)


def test_a_registry_is_anchored_when_it_is_closed(file: Path, anchors: Anchors) -> None:
    alarmed(file, anchors)
    with look(sqlite_url(file)) as registry:
        assert anchors.of(registry.location) == (registry.audit.head(),)
    assert verified(file, anchors) == 4
    assert anchors.file.stat().st_mode & 0o777 == 0o600
    assert anchors.of("another") == ()


def test_looking_anchors_nothing_and_writing_now_and_then_does(file: Path, anchors: Anchors) -> None:
    with open_registry(sqlite_url(file), anchors=anchors) as registry:
        for number in range(EVERY):
            registry.audit.append("alarm", "a", {"number": number})
        assert len(anchors.of(registry.location)) == 1
    assert len(anchors.file.read_text().splitlines()) == 1, "nothing was written since"
    verified(file, anchors)
    assert len(anchors.file.read_text().splitlines()) == 1


def test_a_cut_end_is_found_by_its_anchor(file: Path, anchors: Anchors) -> None:
    alarmed(file, anchors)
    edited(file, *CUT)
    with look(sqlite_url(file)) as registry:
        assert registry.audit.verify().number == 3, "the log alone does not show it"
    with pytest.raises(AuditError, match="whose head was anchored"):
        verified(file, anchors)


def test_a_log_that_was_written_again_is_found_by_its_anchor(file: Path, anchors: Anchors) -> None:
    alarmed(file, anchors)
    file.unlink()
    alarmed(file, None, count=5)
    with pytest.raises(AuditError, match="whose head was anchored"):
        verified(file, anchors)


@pytest.mark.parametrize(
    "change",
    [
        lambda said: {**said, "number": said["number"] + 1},
        lambda said: {**said, "digest": "0" * 64},
        lambda said: {**said, "registry": "elsewhere"},
        lambda said: {**said, "signature": ""},
        lambda said: {name: value for name, value in said.items() if name != "digest"},
        lambda _said: [],
    ],
)
def test_an_anchor_that_was_changed_is_named(
    file: Path, anchors: Anchors, change: Callable[[dict[str, object]], object]
) -> None:
    alarmed(file, anchors)
    anchors.file.write_text(json.dumps(change(json.loads(anchors.file.read_text()))) + "\n")
    with pytest.raises(AuditError, match="an anchor is not as it was written") as wrong:
        verified(file, anchors)
    assert wrong.value.where == f"{anchors.file}:1"


def test_an_anchor_by_another_key_is_named(file: Path, anchors: Anchors, tmp_path: Path) -> None:
    alarmed(file, anchors)
    other = Anchors(file=anchors.file, key=tmp_path / "other.pem", wall_ns=lambda: 8)
    other.add("x", look_head(file))
    with pytest.raises(AuditError, match="not signed by the verifier's key"):
        verified(file, anchors)


def look_head(file: Path) -> AuditHead:
    with look(sqlite_url(file)) as registry:
        return registry.audit.head()


def test_a_line_that_was_cut_off_while_it_was_written_is_no_anchor(file: Path, anchors: Anchors) -> None:
    alarmed(file, anchors)
    with anchors.file.open("a") as opened:
        opened.write('{"format":"sodbench-anch')
    assert verified(file, anchors) == 4


def test_an_anchor_that_cannot_be_written_loses_nothing(file: Path, anchors: Anchors) -> None:
    anchors.file.mkdir(parents=True)
    with pytest.raises(StorageError, match="cannot be anchored"):
        alarmed(file, anchors)
    with look(sqlite_url(file)) as registry:
        assert registry.audit.verify().number == 4


def test_an_anchor_is_not_written_through_a_link(file: Path, anchors: Anchors, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("precious")
    anchors.file.parent.mkdir()
    anchors.file.symlink_to(victim)
    with pytest.raises(StorageError, match="cannot be anchored"):
        alarmed(file, anchors)
    assert victim.read_text() == "precious"


def test_a_key_that_others_can_read_signs_no_anchor(file: Path, anchors: Anchors) -> None:
    alarmed(file, anchors)
    anchors.key.chmod(0o640)
    with pytest.raises(PrerequisiteError, match="readable by others"):
        alarmed(file, anchors)
    with look(sqlite_url(file)) as registry:
        assert registry.audit.verify().number == 7


def test_another_error_is_told_before_that_of_the_anchor(file: Path, anchors: Anchors) -> None:
    anchors.file.mkdir(parents=True)
    with pytest.raises(ZeroDivisionError), open_registry(sqlite_url(file), anchors=anchors) as registry:
        registry.audit.append("alarm", "a", {})
        raise ZeroDivisionError


@pytest.mark.parametrize(
    ("statement", "what"),
    [
        ("DROP TRIGGER audit_no_delete", "the trigger audit_no_delete is missing"),
        ("DROP TRIGGER challenges_stay_used", "the trigger challenges_stay_used is missing"),
        ("DROP INDEX {index}", "the index"),
        (
            "CREATE TRIGGER more BEFORE INSERT ON results BEGIN SELECT RAISE(IGNORE); END",
            "the trigger more was added",
        ),
        ("CREATE UNIQUE INDEX more ON results (attester)", "the index more was added"),
        (
            "CREATE UNIQUE INDEX more ON results (attester) WHERE false",
            "the index more was added",
        ),
    ],
)
def test_a_missing_guard_is_named(file: Path, anchors: Anchors, statement: str, what: str) -> None:
    alarmed(file, anchors)
    database = sqlite3.connect(file)
    unique = "SELECT name FROM sqlite_master WHERE type = 'index' AND sql LIKE '%UNIQUE%' LIMIT 1"
    database.execute(statement.format(index=database.execute(unique).fetchone()[0]))
    database.commit()
    database.close()
    with pytest.raises(AuditError, match=what):
        verified(file, anchors)


def test_a_table_whose_rules_are_others_is_named(file: Path, anchors: Anchors) -> None:
    alarmed(file, anchors)
    database = sqlite3.connect(file)
    database.execute("PRAGMA writable_schema = ON")
    changed = "UPDATE sqlite_master SET sql = replace(sql, 'epoch >= 0', 'epoch >= -9')"
    assert database.execute(f"{changed} WHERE name = 'placements'").rowcount == 1
    database.commit()
    database.close()
    with pytest.raises(AuditError, match="the table placements is not as it was made"):
        verified(file, anchors)


def test_a_guard_that_says_something_else_is_named(file: Path, anchors: Anchors) -> None:
    alarmed(file, anchors)
    database = sqlite3.connect(file)
    database.execute("DROP TRIGGER results_no_update")
    database.execute("CREATE TRIGGER results_no_update BEFORE UPDATE ON results BEGIN SELECT 1; END")
    database.commit()
    database.close()
    with pytest.raises(AuditError, match="results_no_update is not as it was made"):
        verified(file, anchors)
