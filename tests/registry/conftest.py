"""Registries for tests, on SQLite and on PostgreSQL alike: what holds must hold on both."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.registry.registry import Registry, open_registry, sqlite_url
from tests.registry import postgres
from tests.registry.subjects import SteppedPresent


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """A server on which registries can be made."""
    given = os.environ.get(postgres.GIVEN_URL)
    if given:
        yield given
        return
    with postgres.server() as server:
        yield server.url


@pytest.fixture(params=postgres.DATABASES)
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """Where a registry may be made."""
    if request.param == "sqlite":
        yield sqlite_url(tmp_path / "registry.sqlite")
        return
    server = request.getfixturevalue("postgres_url")
    name = f"registry_{uuid.uuid4().hex}"
    yield postgres.new_schema(server, name)
    postgres.drop_schema(server, name)


@pytest.fixture
def present() -> SteppedPresent:
    """A present that stands still until it is told to go on."""
    return SteppedPresent()


@pytest.fixture
def registry(url: str, present: SteppedPresent) -> Iterator[Registry]:
    """A new registry."""
    with open_registry(url, now=present) as opened:
        yield opened
