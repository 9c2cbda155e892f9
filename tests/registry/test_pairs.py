"""Two pairs share a registry: a role is another machine in each, and the log holds for both."""

from __future__ import annotations

import pytest
from sqlalchemy import text

from harness.registry.database import Database
from harness.registry.errors import RegistryError
from harness.registry.registry import open_registry
from tests.registry.subjects import condemned, enrolment, moment
from tests.registry.test_upgrade import old  # noqa: F401 - a fixture


def test_a_role_is_another_machine_in_each_pair(url: str) -> None:
    with open_registry(url) as first, open_registry(url, pair="east") as second:
        first.enrol(enrolment("a"))
        second.enrol(enrolment("b"))
        assert first.attester("b") is None and second.attester("a") is None
        assert [one.id for one in first.attesters()] == ["a", "east/b"]
        assert [one.id for one in second.attesters()] == ["default/a", "b"]
        second.record(condemned("b"), generated=moment(1))
        assert second.attester("b").held and first.attester("east/b").held  # type: ignore[union-attr]
        assert [one.attester for one in first.results("east/b")] == ["east/b"]


def test_what_is_said_asked_and_done_in_one_pair_is_not_the_others(url: str) -> None:
    with open_registry(url) as first, open_registry(url, pair="east") as second:
        second.set_property("a", "architecture_type", "HyperWall", source="wall", simulated=True)
        second.protection.set("guest", {}, by="customer", why="new")
        begun = second.responses.begin("guest", owner="watch", trigger={}, decision={})
        assert first.properties("a") == {} and first.protection.current("guest") is None
        assert first.responses.of("guest") == ()
        assert begun.vm == "guest" and first.responses.of("east/guest")[0].number == begun.number
        first.responses.begin("guest", owner="watch", trigger={}, decision={})  # its own is not open


def test_the_log_names_the_pair_and_holds_whichever_pair_asks(url: str) -> None:
    with open_registry(url) as first, open_registry(url, pair="east") as second:
        first.enrol(enrolment("a"))
        second.enrol(enrolment("b"))
        second.responses.begin("guest", owner="watch", trigger={}, decision={})
        subjects = [one.subject for one in first.audit.entries()]
        assert subjects == ["registry", "a", "east/b", "east/guest"]
        assert [one.kind for one in second.audit.entries(subject="b")] == ["identity"]
        assert first.audit.verify() == second.audit.verify()


def test_ids_are_stored_with_their_pair(url: str) -> None:
    with open_registry(url) as first:
        first.enrol(enrolment("a"))
        with first._database.reading() as session:
            assert session.scalar(text("SELECT id FROM attesters")) == "default/a"


def test_an_old_registrys_ids_become_the_default_pairs(old: Database, url: str) -> None:  # noqa: F811
    with open_registry(url) as registry:
        assert [one.id for one in registry.attesters()] == ["guest-1", "host-a"]
        with registry._database.reading() as session:
            for table, column in (("attesters", "id"), ("results", "attester"), ("properties", "server")):
                stored = session.scalars(text(f"SELECT {column} FROM {table}")).all()
                assert stored and all(one.startswith("default/") for one in stored)


def test_an_old_registry_whose_ids_cannot_be_told_apart_is_refused_by_name(old: Database, url: str) -> None:  # noqa: F811
    with old.writing() as session:
        session.execute(text("UPDATE attesters SET id = 'east/a' WHERE number = 1"))
    with pytest.raises(RegistryError, match="cannot be upgraded") as caught:
        open_registry(url)
    assert "east/a" in caught.value.why and "attesters" in caught.value.where
