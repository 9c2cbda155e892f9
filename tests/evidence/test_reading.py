"""Files of a run that are no files: nothing is waited for, and nothing outside the run's folder is read."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from harness import sums
from harness.analysis import table as results
from harness.errors import RecordError
from harness.evidence import journal, reading
from harness.evidence.folder import RunFolder
from harness.evidence.metric import NotMeasured
from harness.files import read_json
from tests.synthetic.evidence import build


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    return build(tmp_path / "run")


def pipe(path: Path) -> None:
    """In place of the file, a pipe; whoever would wait for its writer reads nothing from it."""
    path.unlink()
    os.mkfifo(path)
    threading.Thread(target=lambda: os.close(os.open(path, os.O_WRONLY)), daemon=True).start()


def link(path: Path) -> None:
    """In place of the file, a link to the same content elsewhere."""
    outside = path.with_name(f"{path.name}.elsewhere")
    path.rename(outside)
    path.symlink_to(outside)


REPLACED = pytest.mark.parametrize("replace", [pipe, link])


@REPLACED
def test_a_journal_is_a_regular_file(run: RunFolder, replace: Callable[[Path], None]) -> None:
    replace(run.journal)
    for reader in (journal.read, journal.repair_tail):
        with pytest.raises(RecordError, match="cannot be read"):
            reader(run.journal)


@REPLACED
def test_a_series_or_log_that_is_no_regular_file_is_missing_with_its_reason(
    run: RunFolder, replace: Callable[[Path], None]
) -> None:
    series = next(run.root.glob("trials/*/*/heartbeat.csv"))
    log = next(run.root.glob("trials/*/*/workload.log"))
    replace(series)
    replace(log)
    found = list(results.read_attempts(run))
    assert any("heartbeat.csv: cannot be read" in str(one.unread.get(series.name)) for one in found)
    assert any(
        isinstance(one.timeline, NotMeasured) and "workload.log cannot be read" in str(one.timeline)
        for one in found
    )


def grow(path: Path, size_bytes: int) -> None:
    """Make a file so long, without the disk or the memory that it would take."""
    with path.open("ab") as file:
        file.truncate(size_bytes)


def test_a_journal_without_end_is_refused_before_it_is_read(run: RunFolder) -> None:
    grow(run.journal, journal.MAX_BYTES + 1)
    with pytest.raises(RecordError, match="the journal cannot be read") as caught:
        journal.read(run.journal)
    assert "more than 536870912 bytes" in caught.value.why


@pytest.mark.parametrize("name", ["heartbeat.csv", "workload.log"])
def test_a_series_without_end_is_missing_with_its_reason(run: RunFolder, name: str) -> None:
    folder = run.attempt(journal.read(run.journal)[1].trial or "", 1)
    grow(folder / name, reading.MAX_BYTES + 1)
    attempt = next(results.read_attempts(run))
    said = attempt.timeline if name == "workload.log" else attempt.unread[name]
    assert "more than 536870912 bytes" in str(said)


def test_a_manifest_without_end_is_refused(run: RunFolder) -> None:
    grow(run.manifest, sums.MAX_BYTES + 1)
    with pytest.raises(RecordError, match="far too long"):
        read_json(run.manifest)
