"""Bounds on what standing programs and daemons of a machine send: without each, its flood succeeds."""

from __future__ import annotations

import io
import json
import threading
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from harness.campaign.run import fullness
from harness.clock import MonotonicClock
from harness.errors import GuestError, WorkloadError
from harness.evidence.journal import Journal, read
from harness.evidence.observers import job, output, qmp, remote
from harness.evidence.observers.output import Output
from harness.evidence.observers.qmp import Qmp
from harness.evidence.observers.remote import RemoteSeries
from harness.evidence.record import Record
from harness.registry.audit import export
from harness.registry.audit.chain import AuditError
from harness.rig import hypervisors, lock
from harness.rig.contract import CommandError
from harness.rig.guest import image
from harness.rig.lines import Answers
from harness.rig.state import facts
from harness.rig.state import read as state
from harness.workloads.contract import Process
from tests.security.removed import Attack, Removed, require_needed

FEW = 20


def _record(folder: Path) -> Record:
    clock = MonotonicClock()
    journal = Journal(folder / "journal.jsonl", clock)
    return Record(journal=journal, clock=clock, folder=folder, trial="001-idle", attempt=1)


def _failures(folder: Path) -> list[str]:
    return [str(event.data["reason"]) for event in read(folder / "journal.jsonl") if "reason" in event.data]


class Flooding:
    """A machine whose standing command sends these lines."""

    role = "a"
    endpoint = SimpleNamespace(address="192.0.2.1")

    def __init__(self, *lines: str) -> None:
        self.lines = lines
        self.refused = False
        self.ended = False

    def python(self, _program: Path, _arguments: str) -> str:
        return "python3"

    def stream(
        self, _command: str, on_line: Callable[[int, str], None], **_more: Callable[[str], None]
    ) -> Flooding:
        try:
            for line in self.lines:
                on_line(0, line)
        except OSError:  # as the channel that reads does: the command is given up
            self.refused = self.ended = True
        return self

    def close(self, **_limits: float) -> bool:
        return True


def _printed(folder: Path, *lines: str, **limits: int) -> bool:
    machine = Flooding(*lines)
    with pytest.MonkeyPatch.context() as patch:
        for name, value in limits.items():
            patch.setattr(output, name, value)
        made = Output(_record(folder))
        made.start(cast(Any, machine), Process(machine="client", command="x", source="generator"))
        return machine.refused and "was ended: more than" in str(made.ended)


def many_lines(folder: Path) -> bool:
    """A load generator prints lines without an end."""
    return _printed(folder, *["x"] * 2 * FEW, MOST_LINES=FEW)


def many_states_of_a_line(folder: Path) -> bool:
    """One line of a load generator is drawn again without an end."""
    return _printed(folder, "x" + "\r" * 2 * FEW, MOST_LINES=FEW)


def much_output(folder: Path) -> bool:
    """A load generator prints few lines and long ones."""
    return _printed(folder, *["x" * 600] * 2, MOST_BYTES=1000)


def wide_output(folder: Path) -> bool:
    """One wide character makes a text take four times its length."""
    return _printed(folder, "\U0001f600" + "x" * 600, MOST_BYTES=1000)


def many_rows(folder: Path) -> bool:
    """A program on a host sends rows of a series without an end."""
    machine = Flooding("ready", *["1,2"] * 2 * FEW)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(remote, "MOST_BYTES", 4 * FEW)
        series = RemoteSeries("wire", cast(Any, machine), Path("p"), "", _record(folder))
        series.start("wire-a.csv", "a,b")
    series.stop()
    return machine.refused and series.rows == FEW


class Daemon:
    """A host's libvirt, which tells of what it likes."""

    def on_qemu_event(self, told: Callable[..., None]) -> Callable[[], None]:
        self.event = told
        return lambda: None


def many_events(folder: Path) -> bool:
    """A host tells of QMP events without an end."""
    daemon, heard = Daemon(), list[str]()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(qmp, "MOST_EVENTS", FEW)
        observer = Qmp(lambda _role, event, _details: heard.append(event))
        scene = SimpleNamespace(connections={"a": daemon}, guest=SimpleNamespace(domain="d", name="guest"))
        observer.start(cast(Any, scene), _record(folder))
        for _ in range(2 * FEW):
            daemon.event("d", "STOP", 1, {})
    return len(heard) == FEW and _failures(folder) == [f"a: more than {FEW} events in one attempt"]


def many_completions(folder: Path) -> bool:
    """A host tells of one migration's completion without an end."""
    sampled = job._Sampled(
        scene=cast(Any, None),
        record=_record(folder),
        n=1,
        source="a",
        completed=threading.Event(),
    )
    for role in ("a", "b") * FEW:
        sampled.complete(role, {})
    return len(read(folder / "journal.jsonl")) == 2


DEEP = "[" * 16_000
NO_JSON = ("{", DEEP, "7", "")


def words_without_end(_folder: Path) -> bool:
    """The details of one event are as long as libvirt passes on."""
    return hypervisors._said('{"a": "' + "x" * 2**20 + '"}') == {}


def words_that_are_none(_folder: Path) -> bool:
    """The details of an event are no JSON, or nested too deeply."""
    try:
        return [hypervisors._said(said) for said in NO_JSON] == [{}] * len(NO_JSON)
    except (ValueError, RecursionError):
        return False


def deep_state(_folder: Path) -> bool:
    """What a host says of its state is nested too deeply."""
    host: Any = SimpleNamespace(role="a", endpoint=Flooding.endpoint, python=lambda _probe: "python3")
    host.run = lambda _command, **_limits: DEEP
    try:
        state.state(host)
    except CommandError:
        return True
    except RecursionError:
        return False
    return False


def many_parts_of_a_state(_folder: Path) -> bool:
    """What a host says of its state has parts that take twenty times the memory of their text."""
    text = '{"files": {}, "unreadable": {}, "x": [' + "{}," * (facts.MOST_CHARACTERS // 3) + "{}]}"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(json, "loads", lambda _text: {"files": {}, "unreadable": {}})
        try:
            facts.parse(text)
        except ValueError:
            return True
    return False


def many_parts_of_a_cache(_folder: Path) -> bool:
    """So has what a guest says of its page cache."""
    text = '{"read_bytes": 1, "cached_bytes": 1, "x": [' + "{}," * 1000 + "{}]}"
    try:
        fullness._told(cast(Any, SimpleNamespace(role="guest")), text)
    except WorkloadError:
        return True
    return False


def answers_of_no_lock(_folder: Path) -> bool:
    """What a host says of the rig's lock is no JSON, or nested too deeply."""
    limits = SimpleNamespace(answer_s=1)
    host: Any = SimpleNamespace(role="a", endpoint=SimpleNamespace(limits=limits))
    try:
        for line in NO_JSON:
            answers = Answers()
            answers.put(0, line)
            assert lock._first(answers, host)["state"] not in {"held", "locked"}
    except (ValueError, RecursionError):
        return False
    return True


def _described(said: str) -> bool:
    pair: Any = SimpleNamespace(storage_path="/srv")
    builder: Any = SimpleNamespace(attempt=lambda _command: (0, said, ""))
    try:
        image.describe(pair, builder, "key")
    except GuestError:
        return True
    except (ValueError, RecursionError, TypeError):
        return False
    return False


def description_of_no_image(_folder: Path) -> bool:
    """The description of an image, which lies on storage that the hosts can write, is something else."""
    return all(_described(said) for said in (*NO_JSON, "[[1, 2]]"))


def endless_description(_folder: Path) -> bool:
    """The description of an image has more parts than memory has room for."""
    return _described('{"a": [' + "[]," * 2**19 + "[]]}")


def endless_export(_folder: Path) -> bool:
    """A line of an exported audit log has no end."""

    class Endless(io.BytesIO):
        def readline(self, size: int | None = -1, /) -> bytes:
            return bytes(size if size is not None and size >= 0 else 2 * export.MAX_LINE_BYTES)

    try:
        next(export.bounded(Endless(), "log"))
    except AuditError:
        return True
    return False


REMOVED: tuple[tuple[Removed, Attack], ...] = (
    (
        Removed(function=Output._bound, check="self._printed_lines > MOST_LINES", by="False"),
        many_lines,
    ),
    (
        Removed(function=Output._bound, check=' + text.count("\\r")', by=""),
        many_states_of_a_line,
    ),
    (
        Removed(function=Output._bound, check="self._printed_bytes > MOST_BYTES", by="False"),
        much_output,
    ),
    (
        Removed(function=Output._bound, check="(1 if text.isascii() else 4)", by="1"),
        wide_output,
    ),
    (Removed(function=RemoteSeries._on_line, check="self._left_bytes < 0", by="False"), many_rows),
    (Removed(function=qmp._subscribe, check=" or left < 0", by=""), many_events),
    (Removed(function=job._Sampled.complete, check="role in self.told", by="False"), many_completions),
    (Removed(function=export.bounded, check="len(line) > MAX_LINE_BYTES", by="False"), endless_export),
    (
        Removed(function=hypervisors._said, check=" if len(text) <= _MOST_SAID else None", by=""),
        words_without_end,
    ),
    (
        Removed(function=hypervisors._said, check="(ValueError, RecursionError)", by="ZeroDivisionError"),
        words_that_are_none,
    ),
    (Removed(function=state.state, check="(ValueError, RecursionError)", by="ValueError"), deep_state),
    (
        Removed(function=facts.parse, check="len(output) > MOST_CHARACTERS", by="False"),
        many_parts_of_a_state,
    ),
    (Removed(function=fullness._told, check="out[:_LONGEST])  #", by="out)  #"), many_parts_of_a_cache),
    (
        Removed(function=lock._first, check="(ValueError, RecursionError)", by="ZeroDivisionError"),
        answers_of_no_lock,
    ),
    (
        Removed(function=image.describe, check="(ValueError, RecursionError)", by="ZeroDivisionError"),
        description_of_no_image,
    ),
    (
        Removed(function=image.describe, check=" if len(out) <= _MOST_DESCRIBED else None", by=""),
        endless_description,
    ),
)


@pytest.mark.parametrize(("removed", "attack"), REMOVED, ids=lambda one: getattr(one, "id", ""))
def test_an_attack_notices_that_its_check_is_missing(
    removed: Removed, attack: Attack, tmp_path: Path
) -> None:
    require_needed(removed, attack, tmp_path)
