"""What a guard says of its guest to the loop."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from harness.clock import MonotonicClock
from harness.errors import GuestError
from harness.evidence.events import GuardStarted
from harness.evidence.journal import Journal
from harness.evidence.record import Record
from harness.interrupt import Interrupt
from harness.registry.registry import Registry, open_registry
from harness.response.act.guard import Guard
from tests.registry.blank import blank

CLOCK = MonotonicClock()


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[Registry]:
    with open_registry(blank(tmp_path)) as opened:
        yield opened


@pytest.fixture
def guard(registry: Registry, tmp_path: Path) -> Guard:
    journal = Journal(tmp_path / "journal.jsonl", CLOCK)
    record = Record(journal=journal, clock=CLOCK, folder=tmp_path, trial="watch", attempt=1)
    settings: Any = SimpleNamespace(vm="guest")
    rig: Any = SimpleNamespace(subject=SimpleNamespace(name="guest"))
    return Guard(rig, registry, settings, record, Interrupt())


def test_what_it_tells_is_given_back(guard: Guard) -> None:
    told = guard.tell(GuardStarted(vm="guest", recovered=0), t_ns=7)
    assert (told.kind, told.observer, told.t_ns) == ("guard.started", "response", 7)


def test_a_guest_for_which_nothing_is_asked_is_not_guarded(guard: Guard) -> None:
    assert guard.vms() == {}


def test_a_guest_that_was_never_placed_is_refused_by_name(guard: Guard) -> None:
    with pytest.raises(GuestError, match="does not say where"):
        guard.placement("guest")
