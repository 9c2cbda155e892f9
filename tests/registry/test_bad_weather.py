"""A registry that is locked, read-only, full, damaged or gone, or whose user is killed: nothing is lost."""

from __future__ import annotations

import os
import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, event

from harness.attest.reasons import Reason, Tier
from harness.clock import NS_PER_S, MonotonicClock
from harness.registry.database import Database
from harness.registry.errors import RegistryError
from harness.registry.registry import Registry, open_registry, sqlite_url
from tests.registry import postgres
from tests.registry.subjects import NONCE, condemned, enrolment, key, moment, result
from tests.registry.workers import killed_after, nothing, unprivileged

KEY = key("tpm of host-a").name


def fill(registry: Registry) -> None:
    registry.enrol(enrolment("host-a"))
    registry.issue(NONCE, attester="host-a", issued=moment(), expires=moment(60))


def accepted(registry: Registry, log: str = "") -> bool:
    _, version = registry.memory("host-a", KEY)
    return registry.accept(
        result(log=log),
        key_name=KEY,
        memory={"n": 1},
        version=version,
        generated=moment(),
        expires=moment(60),
    )


WRITES: dict[str, Callable[[Registry], object]] = {
    "enrol": lambda registry: registry.enrol(enrolment("host-b")),
    "re_enrol": lambda registry: registry.re_enrol(enrolment("host-a")),
    "revoke": lambda registry: registry.revoke("host-a", "gone"),
    "issue": lambda registry: registry.issue(
        NONCE[::-1], attester="host-a", issued=moment(), expires=moment(60)
    ),
    "consume": lambda registry: registry.consume(NONCE),
    "accept": accepted,
    "record": lambda registry: registry.record(
        result(tier=Tier.NONE, reason=Reason.TIMED_OUT), generated=moment()
    ),
    "set_property": lambda registry: registry.set_property(
        "host-a", "x", "y" * 10_000, source="boot", simulated=False
    ),
    "request": lambda registry: registry.protection.set("vm", {}, by="customer", why="new"),
    "begin": lambda registry: registry.responses.begin("vm", owner="watch-1", trigger={}, decision={}),
    "append": lambda registry: registry.audit.append("alarm", "vm", {}),
}


def everything(registry: Registry) -> Any:
    """All that a reader can see."""
    return (
        registry.attesters(),
        registry.history("host-a"),
        registry.memory("host-a", KEY),
        registry.results(),
        registry.properties("host-a"),
        registry.protection.history("vm"),
        registry.responses.of("vm"),
        registry.audit.verify(),
    )


# locked


@pytest.mark.parametrize("write", WRITES)
def test_a_writer_that_does_not_end_is_waited_for_and_then_named(url: str, write: str) -> None:
    with open_registry(url, wait_s=0.3) as registry:
        fill(registry)
        before = everything(registry)
        other = Database(url, wait_s=5)
        with other.sole_connection():
            started_ns = MonotonicClock().now_ns()
            with pytest.raises(RegistryError, match="another process is writing") as caught:
                WRITES[write](registry)
            waited_s = (MonotonicClock().now_ns() - started_ns) / NS_PER_S
            assert everything(registry) == before  # and reading waits for nobody
            open_registry(url, wait_s=0.3).close()  # nor does opening what is up to date
        other.close()
        assert caught.value.retry
        assert caught.value.where
        assert 0.25 <= waited_s < 5
        assert everything(registry) == before
        WRITES[write](registry)
        assert everything(registry) != before or write in {"issue", "consume"}


def test_a_new_registry_waits_for_whoever_writes_too(url: str) -> None:
    other = Database(url, wait_s=5)
    with other.sole_connection(), pytest.raises(RegistryError, match="another process is writing") as caught:
        open_registry(url, wait_s=0.3)
    other.close()
    assert caught.value.retry
    open_registry(url).close()


# read-only


@pytest.fixture
def shared(tmp_path: Path) -> Iterator[Path]:
    """A registry that everybody may read and its owner write, in a folder that everybody may enter."""
    folder = Path(tempfile.mkdtemp(prefix="sodbench-registry-"))
    path = folder / "registry.sqlite"
    with open_registry(sqlite_url(path)) as registry:
        fill(registry)
    path.chmod(0o444)
    folder.chmod(0o555)
    yield path
    folder.chmod(0o755)
    shutil.rmtree(folder)


def test_who_may_not_write_the_folder_is_told_so(shared: Path) -> None:
    what, message = unprivileged(sqlite_url(shared), _consume, NONCE)
    assert what in {"the registry cannot be opened", "the registry cannot be written"}
    assert str(shared) in message
    assert "folder" in message


def _consume(registry: Registry, nonce: bytes) -> bool:
    return registry.consume(nonce)


def test_who_may_not_write_the_file_is_told_so(shared: Path) -> None:
    shared.parent.chmod(0o777)
    what, message = unprivileged(sqlite_url(shared), _consume, NONCE)
    assert what == "the registry cannot be written"
    assert str(shared) in message
    assert "let this user write" in message
    with open_registry(sqlite_url(shared)) as registry:
        assert registry.consume(NONCE)


def _reading(_registry: Registry, path: Path) -> str:
    return path.read_text()


def test_a_worker_without_rights_reads_on_what_is_in_its_users_home(shared: Path, tmp_path: Path) -> None:
    """As a clone in root's home is, which the worker imports from."""
    (tmp_path / "code.py").write_text("nothing = None\n")
    tmp_path.chmod(0o700)
    shared.chmod(0o644)
    shared.parent.chmod(0o755)
    said = unprivileged(sqlite_url(shared), _reading, tmp_path / "code.py")
    assert said == ("ok", "nothing = None\n")


def test_who_may_not_make_the_file_is_told_so(shared: Path) -> None:
    what, message = unprivileged(sqlite_url(shared.with_name("new.sqlite")), nothing, None)
    assert what == "the registry cannot be opened"
    assert "folder" in message
    assert not shared.with_name("new.sqlite").exists()


def test_a_registry_that_is_opened_for_reading_is_read_and_not_written(tmp_path: Path) -> None:
    path = tmp_path / "registry.sqlite"
    with open_registry(sqlite_url(path)) as registry:
        fill(registry)
        before = everything(registry)
    with open_registry(f"sqlite:///file:{path}?mode=ro&uri=true") as registry:
        assert everything(registry) == before
        for write in WRITES.values():
            with pytest.raises(RegistryError, match="cannot be written") as caught:
                write(registry)
            assert str(path) in caught.value.where
            assert not caught.value.retry


# full


LARGE = "x" * 2**20
LARGE_WRITES: dict[str, Callable[[Registry], object]] = {
    "enrol": lambda registry: registry.enrol(replace(enrolment("host-b"), ek_certificate=LARGE.encode())),
    "re_enrol": lambda registry: registry.re_enrol(replace(enrolment(), ek_certificate=LARGE.encode())),
    "issue": lambda registry: registry.issue(
        LARGE.encode(), attester="host-a", issued=moment(), expires=moment(60)
    ),
    "accept": lambda registry: accepted(registry, LARGE),
    "record": lambda registry: registry.record(condemned(log=LARGE), generated=moment()),
    "set_property": lambda registry: registry.set_property(
        "host-a", "x", LARGE, source="boot", simulated=False
    ),
    "request": lambda registry: registry.protection.set("vm", {"x": LARGE}, by="customer", why="new"),
    "begin": lambda registry: registry.responses.begin(
        "vm", owner="watch-1", trigger={"x": LARGE}, decision={}
    ),
    "append": lambda registry: registry.audit.append("alarm", "vm", {"x": LARGE}),
}


@pytest.mark.parametrize("write", LARGE_WRITES)
def test_a_full_disk_stores_nothing_in_part_and_loses_nothing(tmp_path: Path, write: str) -> None:
    url = sqlite_url(tmp_path / "registry.sqlite")
    with open_registry(url) as registry:
        fill(registry)

    def no_more_pages(connection: sqlite3.Connection, _entry: object) -> None:
        ((_number, _schema, file),) = connection.execute("PRAGMA database_list")
        if file == str(tmp_path / "registry.sqlite"):  # not the one that `audit verify` compares it with
            connection.execute("PRAGMA max_page_count = 1")  # SQLite takes it as: no more than there are

    event.listen(Engine, "connect", no_more_pages)
    try:
        with open_registry(url) as registry:
            before = everything(registry)
            with pytest.raises(RegistryError, match="no space is left for the registry") as caught:
                LARGE_WRITES[write](registry)
            assert caught.value.retry
            assert caught.value.where == str(tmp_path / "registry.sqlite")
            assert everything(registry) == before
    finally:
        event.remove(Engine, "connect", no_more_pages)
    with open_registry(url) as registry:
        assert everything(registry) == before
        LARGE_WRITES[write](registry)


# not a registry


@pytest.mark.parametrize("content", [b"hello " * 1000, b"SQLite format 4\0" + bytes(4096)])
def test_a_file_of_another_kind_is_refused_and_left_alone(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "letter.txt"
    path.write_bytes(content)
    with pytest.raises(RegistryError, match="not a registry") as caught:
        open_registry(sqlite_url(path))
    assert caught.value.where == str(path)
    assert path.read_bytes() == content


@pytest.mark.parametrize("name", ["", "no/such/folder/registry.sqlite"])
def test_a_place_where_no_file_can_be_is_named(tmp_path: Path, name: str) -> None:
    with pytest.raises(RegistryError, match="cannot be opened") as caught:
        open_registry(sqlite_url(tmp_path / name))
    assert str(tmp_path) in caught.value.where
    assert "folder" in caught.value.remedy


@pytest.mark.parametrize("named", ["by its path", "by a URL"])
def test_a_place_whose_name_is_not_utf_8_is_refused(tmp_path: Path, named: str) -> None:
    path = tmp_path / os.fsdecode(b"caf\xe9.sqlite")
    with pytest.raises(RegistryError, match="has to be UTF-8") as caught:
        open_registry(sqlite_url(path) if named == "by its path" else f"sqlite:///{path}")
    assert "XDG_DATA_HOME" in caught.value.remedy


def test_a_damaged_registry_says_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / "registry.sqlite"
    with open_registry(sqlite_url(path)) as registry:
        fill(registry)
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.seek(4096)  # the first page holds the header and stays
        file.write(os.urandom(size - 4096))
    with (
        pytest.raises(RegistryError, match="is damaged") as caught,
        open_registry(sqlite_url(path)) as registry,
    ):
        everything(registry)
    assert "docs/registry.md" in caught.value.remedy


def test_a_text_that_is_none_is_damage_too(tmp_path: Path) -> None:
    path = tmp_path / "registry.sqlite"
    with open_registry(sqlite_url(path)) as registry:
        fill(registry)
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE attesters SET id = CAST(x'ff' AS TEXT)")
    connection.close()
    with open_registry(sqlite_url(path)) as registry:
        for read in (registry.attesters, registry.audit.verify):
            with pytest.raises(RegistryError, match="is damaged"):
                read()


# killed


def _enrol(registry: Registry, attester: str) -> None:
    registry.enrol(enrolment(attester))


def test_whoever_is_killed_in_the_middle_of_an_enrolment_has_enrolled_nothing(url: str) -> None:
    open_registry(url).close()
    statements = 1
    while killed_after(url, _enrol, "host-a", statements):
        with open_registry(url) as registry:
            assert registry.attesters() == ()
            assert registry.history("host-a") == ()
            assert registry.memory("host-a", KEY) == (None, 0)
        statements += 1
    assert statements > 4  # identity, keys, memories, history, and the commit
    with open_registry(url) as registry:
        (found,) = registry.attesters()
        assert len(found.keys) == 2


def _accepted(registry: Registry, _argument: None) -> None:
    accepted(registry)


def test_whoever_is_killed_while_accepting_has_stored_neither_result_nor_memory(url: str) -> None:
    with open_registry(url) as registry:
        fill(registry)
        before = everything(registry)
    statements = 1
    while killed_after(url, _accepted, None, statements):
        with open_registry(url) as registry:
            assert everything(registry) == before
        statements += 1
    assert statements > 2
    with open_registry(url) as registry:
        assert len(registry.results()) == 1


def _respond(registry: Registry, _argument: None) -> None:
    number = registry.responses.begin("vm", owner="watch-1", trigger={}, decision={"to": "host-b"}).number
    registry.responses.advance(number, "migrating", {}, owner="watch-1")
    registry.responses.advance(number, "called-off", {}, owner="watch-1")


def test_whoever_is_killed_in_a_response_leaves_a_whole_step_and_a_whole_log(url: str) -> None:
    open_registry(url).close()
    statements, seen = 1, set()
    while killed_after(url, _respond, None, statements):
        with open_registry(url) as registry:
            before = registry.audit.verify().number
            for left in registry.responses.open():
                steps = registry.responses.steps(left.number)
                assert steps[-1].state == left.state
                seen.add((len(steps), left.state.value))
                registry.responses.adopt(left.number, owner="watch-2", why="watch-1 was killed")
                registry.responses.advance(left.number, "abandoned", {}, owner="watch-2")
                assert registry.audit.verify().number == before + 2
            assert registry.responses.open() == ()
        statements += 1
    assert seen == {(1, "begun"), (2, "migrating")}
    assert statements > 12  # three transactions: row, step, entry, head, and the commit


# gone


@pytest.mark.programs
def test_a_server_that_ends_is_named_and_found_again_once_it_is_back() -> None:
    with postgres.server() as server, open_registry(server.url, wait_s=1) as registry:
        fill(registry)
        before = everything(registry)
        server.end()
        server.start()
        assert everything(registry) == before  # nobody asked in between, so nobody noticed
        server.end()
        attempts: tuple[Callable[[], object], ...] = (registry.attesters, lambda: registry.consume(NONCE))
        for attempt in attempts:
            with pytest.raises(RegistryError, match="server does not answer") as caught:
                attempt()
            assert caught.value.retry
        server.start()
        assert everything(registry) == before
        assert registry.consume(NONCE)
