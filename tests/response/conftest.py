"""The stage of the response loop's tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.policy.request import request
from harness.registry.registry import open_registry
from tests.registry.blank import blank
from tests.registry.subjects import enrolment
from tests.response.played_stage import VM, Stage


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    with open_registry(blank(tmp_path)) as registry:
        for name in ("a", "b"):
            registry.enrol(enrolment(name))
        registry.enrol(enrolment(VM, kind="guest"))
        registry.place(VM, "a", 1)
        registry.protection.set(VM, request(["1", "2"]).to_json(), by="customer", why="test")
        found = Stage(registry)
        yield found
        if found.loop is not None:
            found.loop.stop()
