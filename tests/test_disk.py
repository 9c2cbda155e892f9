"""What a file system refuses has one remedy for each cause, wherever in the program it refuses."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from harness import sums
from harness.clock import MonotonicClock
from harness.errors import RecordError, StorageError
from harness.evidence.events import RunFinished
from harness.evidence.folder import create
from harness.evidence.journal import Journal
from harness.evidence.record import Series
from harness.files import write_atomic

WORDS = {
    errno.ENOSPC: "free space on its disk",
    errno.EDQUOT: "quota",
    errno.EROFS: "read-only",
    errno.EACCES: "access",
    errno.EPERM: "access",
    errno.EMFILE: "open files",
    errno.EIO: "kernel's log",
}

WRITERS: dict[str, Callable[[Path], object]] = {
    "a file": lambda folder: write_atomic(folder / "x.json", b"{}"),
    "a run's folder": lambda folder: create(folder, "demo"),
    "the journal": lambda folder: Journal(folder / "journal.jsonl", MonotonicClock()),
    "a series": lambda folder: Series(folder / "heartbeat.csv"),
}


@pytest.mark.parametrize("writer", WRITERS)
@pytest.mark.parametrize("code", WORDS, ids=lambda code: errno.errorcode[code])
def test_the_remedy_fits_the_cause(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, writer: str, code: int
) -> None:
    def refuse(*_arguments: object, **_named: object) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(Path, "open", refuse)
    monkeypatch.setattr(Path, "mkdir", refuse)
    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(StorageError) as caught:
        WRITERS[writer](tmp_path)
    monkeypatch.undo()
    assert WORDS[code] in caught.value.remedy
    assert ("free space" in caught.value.remedy) == (code in {errno.ENOSPC, errno.EDQUOT})
    assert caught.value.why == os.strerror(code)
    assert caught.value.retry == (code in {errno.ENOSPC, errno.EDQUOT, errno.EMFILE})


def test_a_cause_without_a_remedy_of_its_own_is_told_as_it_is(tmp_path: Path) -> None:
    with Journal(tmp_path / "journal.jsonl", MonotonicClock()) as journal:
        pass
    with pytest.raises(StorageError) as caught:
        journal.add(RunFinished())
    assert "free space" not in caught.value.remedy


def test_a_file_that_is_not_there_is_not_blamed_on_its_folder(tmp_path: Path) -> None:
    with pytest.raises(RecordError) as caught:
        sums.digest(tmp_path / "none")
    assert "it is not there" in caught.value.remedy
