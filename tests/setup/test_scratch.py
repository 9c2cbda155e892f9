"""What a killed run left is cleared by the next, also where two begin at once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest

from tests.setup import containers

NO_PROCESS = 1 << 30
"""More than any process's number (kernel, pid_max)."""


def test_two_that_begin_at_once_clear_what_a_killed_run_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(containers, "CACHE", tmp_path)
    left, together = tmp_path / f"run-{NO_PROCESS}-left", Barrier(2)
    for number in range(2000):
        (left / str(number % 40)).mkdir(parents=True, exist_ok=True)
        (left / str(number % 40) / str(number)).touch()

    def begin(_which: int) -> Path:
        together.wait(20)
        with containers.scratch() as folder:
            assert folder.is_dir()
            assert not left.exists()
            return folder

    with ThreadPoolExecutor(2) as pool:
        begun = list(pool.map(begin, range(2)))
    assert len(set(begun)) == 2
    assert not any(one.exists() for one in begun)
