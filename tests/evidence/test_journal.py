from __future__ import annotations

import json
import resource
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.clock import MonotonicClock
from harness.errors import RecordError, StorageError
from harness.evidence.events import WireStarted, WorkloadPrepared
from harness.evidence.journal import Event, Journal, parse, read, repair_tail
from tests.synthetic.vocabulary import said


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.jsonl"


def note(number: float, machine: str = "a", what: str = "note") -> WorkloadPrepared:
    """An event that says a number."""
    return WorkloadPrepared(what=what, machine=machine, seconds=number)


def fill(path: Path, count: int) -> list[Event]:
    with Journal(path, MonotonicClock()) as journal:
        return [journal.add(note(index)) for index in range(count)]


@contextmanager
def file_size_limit(size: int) -> Iterator[None]:
    """A disk that is full after `size` bytes of a file (setrlimit(2); Python ignores SIGXFSZ)."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_what_was_added_is_read_back(path: Path) -> None:
    with Journal(path, MonotonicClock()) as journal:
        first = journal.add(said("run.started", controller="Größe\n"), durable=True)
        second = journal.add(WireStarted(host="a", file="wire-a.csv"), trial="001-idle", attempt=1, t_ns=7)
    assert (first.seq, second.seq, second.t_ns) == (0, 1, 7)
    assert read(path) == [first, second]


def test_events_are_in_the_file_before_close(path: Path) -> None:
    journal = Journal(path, MonotonicClock())
    event = journal.add(note(0))
    assert read(path) == [event]
    journal.close()


def test_a_killed_writer_loses_nothing_it_was_told_is_written(path: Path) -> None:
    script = (
        "import os,sys,signal;from pathlib import Path\n"
        "from harness.clock import MonotonicClock;from harness.evidence.journal import Journal\n"
        "j=Journal(Path(sys.argv[1]),MonotonicClock())\n"
        "from harness.evidence.events import WorkloadPrepared\n"
        "for i in range(50): j.add(WorkloadPrepared(what='note',machine='a',seconds=i))\n"
        "os.kill(os.getpid(),signal.SIGKILL)\n"
    )
    done = subprocess.run([sys.executable, "-c", script, str(path)], check=False)
    assert done.returncode == -9
    assert [event.data["seconds"] for event in read(path)] == list(range(50))


@given(data=st.data())
def test_a_torn_tail_is_left_out_wherever_it_is_torn(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("torn") / "journal.jsonl"
    events = fill(path, 4)
    raw = path.read_bytes()
    cut = data.draw(st.integers(0, len(raw)))
    path.write_bytes(raw[:cut])
    whole = raw[:cut].count(b"\n")
    assert read(path) == events[:whole]
    assert repair_tail(path) == whole
    assert path.read_bytes() == b"".join(raw.splitlines(keepends=True)[:whole])


def test_a_tail_of_anything_is_torn(path: Path) -> None:
    events = fill(path, 2)
    with path.open("ab") as file:
        file.write(b"\x00\xff\xfe garbage")
    assert read(path) == events
    assert repair_tail(path) == 2
    with Journal(path, MonotonicClock(), next_seq=2) as journal:
        journal.add(said("run.resumed"))
    assert [event.seq for event in read(path)] == [0, 1, 2]


@pytest.mark.parametrize(
    "line",
    [
        b"{}",
        b"[]",
        b"null",
        b"",
        b'{"seq":1',
        b"\xff\xfe",
        b'{"seq":1,"t_ns":1,"observer":"o","kind":"k","surprise":1}',
        b'{"seq":1,"t_ns":1,"observer":"o","kind":5}',
        b'{"seq":1,"t_ns":1,"observer":"runner","kind":"guest.vanished"}',
        b'{"seq":1,"t_ns":1,"observer":"o","kind":"k","data":[]}',
        b'{"seq":1,"t_ns":"1","observer":"o","kind":"k"}',
        b"[" * 100_000,
    ],
)
def test_damage_before_the_last_line_is_an_error_with_its_line(path: Path, line: bytes) -> None:
    fill(path, 3)
    lines = path.read_bytes().split(b"\n")
    lines[1] = line
    path.write_bytes(b"\n".join(lines))
    before = path.read_bytes()
    for reader in (read, repair_tail):
        with pytest.raises(RecordError, match="not a journal line") as caught:
            reader(path)
        assert caught.value.where == f"{path}:2"
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    "change",
    [
        {"trial": ["x"]},
        {"trial": 5},
        {"trial": "../../elsewhere"},
        {"trial": ".."},
        {"trial": "a\0b"},
        {"attempt": "1"},
        {"attempt": 1.5},
        {"attempt": True},
        {"attempt": {}},
    ],
)
def test_an_event_of_no_trial_or_attempt_that_there_can_be_is_an_error(
    path: Path, change: dict[str, object]
) -> None:
    fill(path, 3)
    lines = path.read_text().splitlines()
    lines[1] = json.dumps({**json.loads(lines[1]), **change})
    path.write_text("".join(f"{line}\n" for line in lines))
    with pytest.raises(RecordError, match="not a journal line") as caught:
        read(path)
    assert caught.value.where == f"{path}:2"


@pytest.mark.parametrize("order", [[0, 2], [1], [0, 0], [0, 1, 1, 2]])
def test_gaps_and_doubles_are_errors(path: Path, order: list[int]) -> None:
    fill(path, 3)
    lines = path.read_text().splitlines(keepends=True)
    with pytest.raises(RecordError, match="sequence"):
        parse("".join(lines[index] for index in order))


def test_a_missing_journal_is_an_error(path: Path) -> None:
    with pytest.raises(RecordError, match="cannot be read"):
        read(path)
    with pytest.raises(RecordError, match="cannot be read"):
        repair_tail(path)


def test_a_full_disk_leaves_whole_lines_and_the_run_can_go_on(path: Path) -> None:
    with Journal(path, MonotonicClock()) as journal:
        first = journal.add(note(0))
        size = path.stat().st_size
        with file_size_limit(size + 20), pytest.raises(StorageError, match="journal") as caught:
            journal.add(note(1), durable=True)
        assert (caught.value.where, caught.value.retry, caught.value.exit_code) == (str(path), True, 11)
        assert "File too large" in caught.value.why
        assert path.stat().st_size == size
        second = journal.add(note(2))
    assert second.seq == 1
    assert read(path) == [first, second]


def test_a_device_without_space_is_a_storage_error() -> None:
    journal = Journal(Path("/dev/full"), MonotonicClock())
    with pytest.raises(StorageError, match="journal") as caught:
        journal.add(note(0))
    assert "No space left" in caught.value.why


def test_a_journal_that_cannot_be_opened_is_a_storage_error(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="journal"):
        Journal(tmp_path / "none" / "journal.jsonl", MonotonicClock())


def test_a_closed_journal_writes_nowhere(path: Path, tmp_path: Path) -> None:
    journal = Journal(path, MonotonicClock())
    journal.close()
    journal.close()
    with (tmp_path / "other").open("wb") as other:  # takes the descriptor that the journal had
        with pytest.raises(StorageError, match="cannot be written") as caught:
            journal.add(note(0))
        other.flush()
    assert "closed" in caught.value.why
    assert (tmp_path / "other").read_bytes() == b""
    assert path.read_bytes() == b""


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_what_json_has_not_is_refused_and_leaves_no_gap(path: Path, value: float) -> None:
    with Journal(path, MonotonicClock()) as journal:
        with pytest.raises(ValueError, match="JSON"):
            journal.add(note(value))
        journal.add(note(0))
    assert [event.seq for event in read(path)] == [0]


def test_threads_write_whole_lines_in_one_sequence(path: Path) -> None:
    with Journal(path, MonotonicClock()) as journal:

        def work(name: str) -> None:
            for index in range(200):
                journal.add(note(index, name, "x" * index))

        threads = [threading.Thread(target=work, args=(f"t{number}",)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    events = read(path)
    assert len(events) == 800
    assert [event.t_ns for event in events] == sorted(event.t_ns for event in events)
    for number in range(4):
        own = [event.data["seconds"] for event in events if event.data["machine"] == f"t{number}"]
        assert own == list(range(200))


def test_one_line_is_one_json_object(path: Path) -> None:
    fill(path, 2)
    for line in path.read_text(encoding="ascii").splitlines():
        assert set(json.loads(line)) == {"seq", "t_ns", "observer", "kind", "trial", "attempt", "data"}
