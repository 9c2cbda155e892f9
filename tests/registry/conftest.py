"""Registries for tests, on SQLite and on PostgreSQL alike: what holds must hold on both."""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.registry.database import Database
from harness.registry.registry import Registry, open_registry, sqlite_url
from tests.registry import postgres
from tests.registry.audited import fill
from tests.registry.blank import blank
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
def registry(url: str, present: SteppedPresent, tmp_path: Path) -> Iterator[Registry]:
    """A new registry."""
    if url == sqlite_url(tmp_path / "registry.sqlite"):
        url = blank(tmp_path, present())
    with open_registry(url, now=present) as opened:
        yield opened


@pytest.fixture(scope="module", params=postgres.DATABASES)
def filled(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    """The database of a registry with a log; every test takes its edits back."""
    server = request.getfixturevalue("postgres_url") if request.param == "postgresql" else ""
    name = f"registry_{uuid.uuid4().hex}"
    folder = tmp_path_factory.mktemp("audit")
    url = postgres.new_schema(server, name) if server else sqlite_url(folder / "registry.sqlite")
    with open_registry(url, now=SteppedPresent()) as registry:
        fill(registry)
    database = Database(url, wait_s=5)
    yield database
    database.close()
    if server:
        postgres.drop_schema(server, name)
    shutil.rmtree(folder)
