"""What the server counts: the program on real files, and the test that is made of it."""

from __future__ import annotations

import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.workloads.contract import Process
from harness.workloads.generators import counter, serving
from tests.workloads.generators.stamped import stamped, well_formed


def first_line(process: Process) -> str:
    running = subprocess.Popen(shlex.split(process.command)[1:], stdout=subprocess.PIPE, text=True)
    assert running.stdout is not None
    line = running.stdout.readline().strip()
    running.terminate()
    running.communicate(timeout=10)
    return line


def test_smtp_sinks_last_count_is_read(tmp_path: Path) -> None:
    counters = tmp_path / "counters"
    counters.write_bytes(
        b"".join(b"sess=%d quit=%d mesg=%d\r" % (n, n, n) for n in range(1000)) + b"sess=1000 q"
    )
    assert first_line(counter.messages(str(counters))) == "count 999"
    counters.write_bytes(b"")
    assert first_line(counter.messages(str(counters))) == "count 0"


def test_a_logs_size_and_the_kernels_segments_are_read(tmp_path: Path) -> None:
    log = tmp_path / "some log"
    log.write_bytes(b"x" * 1234)
    assert first_line(counter.size(str(log))) == "count 1234"
    assert int(first_line(counter.segments()).removeprefix("count ")) >= 0


def said(counts: list[int]) -> list[str]:
    return [f"count {count}" for count in counts]


@pytest.mark.parametrize(
    ("counts", "floor", "is_steady"),
    [
        ([0, 10, 20, 30, 40, 50, 60], 0, True),
        ([0, 10, 20, 30, 40, 50], 0, False),
        ([5, 5, 5, 5, 5, 5, 5], 0, False),
        ([0, 10, 20, 30, 60, 90, 120], 0, False),
        ([0, 10, 20, 30, 40, 50, 60], 11, False),
        ([0, 10, 20, 30, 40, 50, 60], 10, True),
    ],
)
def test_steady(counts: list[int], floor: float, is_steady: bool) -> None:
    assert counter.steady(stamped(said(counts), counter.SERVER), floor=floor) is is_steady
    assert not counter.steady(stamped(said(counts)), floor=floor), "another source's lines count nothing"


@given(st.lists(st.one_of(st.text(), st.integers().map(lambda count: f"count {count}"))))
def test_arbitrary_output_never_raises(texts: list[str]) -> None:
    counter.steady(stamped(texts, counter.SERVER))


@pytest.mark.parametrize(
    "process", [counter.messages("/run/it's"), counter.size("/var/a b"), counter.segments()]
)
def test_the_commands_are_well_formed(process: Process) -> None:
    assert well_formed(process.command)
    assert (process.machine, process.source, process.finish_s) == ("guest", "server", 0)


def test_waiting_for_a_server_is_bounded_and_says_why() -> None:
    command = serving.answering("http://127.0.0.1:9/", 0.1)
    assert well_formed(command) and well_formed(serving.listening(25, 1))
    words = [sys.executable, *shlex.split(command)[1:]]
    done = subprocess.run(words, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode != 0 and "does not serve" in done.stderr
