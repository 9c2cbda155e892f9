"""Two machines with real TPMs that one authority has certified, and a registry for a test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.registry.registry import Registry, open_registry
from tests.attest.machine import Machine, machine
from tests.registry.blank import blank


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("machines")


@pytest.fixture(scope="module")
def one(lab: Path) -> Iterator[Machine]:
    with machine(lab / "one") as made:
        yield made


@pytest.fixture(scope="module")
def other(lab: Path) -> Iterator[Machine]:
    """A machine whose TPM the same authority has certified."""
    with machine(lab / "other", authority=lab / "one" / "authority") as made:
        yield made


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[Registry]:
    with open_registry(blank(tmp_path)) as opened:
        yield opened
