"""Files of a run that are no files: nothing is waited for, and nothing outside the run's folder is read."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.analysis import table as results
from harness.errors import RecordError
from harness.evidence import journal
from harness.evidence.folder import RunFolder
from harness.evidence.metric import NotMeasured
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
