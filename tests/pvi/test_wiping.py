"""A guest's memory is found by its canaries, overwritten in place and read back; freeing it is not enough."""

from __future__ import annotations

import ctypes
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from harness.pvi import destruction, wipe_probe
from harness.pvi.destruction import Fate, Finding, Looked, Overwritten

CANARIES = (b"a canary of one process", b"another one, \x00 included")
SIZE_BYTES = 3 * wipe_probe.CHUNK_BYTES
_KEEP_SIZE, _PUNCH_HOLE = 1, 2


@pytest.fixture
def memory() -> Iterator[int]:
    """A guest's memory: half of it never touched, canaries in it, one across two pieces."""
    descriptor = os.memfd_create("a guest")
    os.truncate(descriptor, SIZE_BYTES)
    os.pwrite(descriptor, os.urandom(wipe_probe.CHUNK_BYTES + 65_536), 0)
    for at in (100, 8_192, wipe_probe.CHUNK_BYTES - 5):
        os.pwrite(descriptor, CANARIES[0], at)
    os.pwrite(descriptor, CANARIES[1], 2 * wipe_probe.CHUNK_BYTES + 7)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


PLANTED = {CANARIES[0].hex(): 3, CANARIES[1].hex(): 1}


def _looked(memory: int) -> Looked:
    return Looked(counted=wipe_probe.count(memory, list(CANARIES)), **wipe_probe.state(memory))


def _finding(memory: int, wipe: Callable[[int], Mapping[str, int]] = wipe_probe.overwrite) -> Finding:
    """What is found where `wipe` is what is done to the memory."""
    before = _looked(memory)
    done = Overwritten.model_validate({**wipe(memory), **wipe_probe.state(memory)})
    return destruction.memory(PLANTED, before, done, _looked(memory))


def test_canaries_are_found_in_the_planted_number(memory: int) -> None:
    assert _looked(memory).counted == PLANTED


def test_memory_that_is_overwritten_is_destroyed(memory: int) -> None:
    allocated = wipe_probe.state(memory)["allocated_bytes"]
    found = _finding(memory)
    assert found.fate is Fate.DESTROYED, found.why
    assert found.figures["written_bytes"] == found.figures["read_back_bytes"] == allocated
    assert allocated < SIZE_BYTES, "pages that the guest never touched are not made"
    assert (found.figures["found_before"], found.figures["found_after"]) == (4, 0)


def _claimed(memory: int) -> dict[str, int]:
    """What one says who has done nothing, or something else."""
    allocated = wipe_probe.state(memory)["allocated_bytes"]
    return {"written_bytes": allocated, "read_back_bytes": allocated, "write_ns": 1, "read_ns": 1}


def _truncated(memory: int) -> dict[str, int]:
    said = _claimed(memory)
    os.ftruncate(memory, 0)
    return said


def _truncated_and_grown(memory: int) -> dict[str, int]:
    said = _truncated(memory)
    os.ftruncate(memory, SIZE_BYTES)
    return said


def _punched(memory: int) -> dict[str, int]:
    said = _claimed(memory)
    libc = ctypes.CDLL(None, use_errno=True)
    offset, length = ctypes.c_int64(0), ctypes.c_int64(SIZE_BYTES)
    assert libc.fallocate64(memory, _KEEP_SIZE | _PUNCH_HOLE, offset, length) == 0
    return said


def _partly(memory: int) -> dict[str, int]:
    """All canaries are gone, and one page was not written."""
    said = dict(wipe_probe.overwrite(memory))
    return {**said, "written_bytes": said["written_bytes"] - 4096}


@pytest.mark.parametrize(
    ("wipe", "fate"),
    [
        (_truncated, Fate.UNKNOWN),
        (_truncated_and_grown, Fate.UNKNOWN),
        (_punched, Fate.UNKNOWN),
        (_partly, Fate.UNKNOWN),
        (_claimed, Fate.LEFT),
    ],
)
def test_what_is_not_overwritten_in_place_is_not_destroyed(
    wipe: Callable[[int], Mapping[str, int]], fate: Fate, memory: int
) -> None:
    assert _finding(memory, wipe).fate is fate


def test_pages_that_were_freed_before_the_overwriting_are_noticed(memory: int) -> None:
    def punched_then_overwritten(descriptor: int) -> Mapping[str, int]:
        _punched(descriptor)
        return wipe_probe.overwrite(descriptor)

    assert _finding(memory, punched_then_overwritten).fate is Fate.UNKNOWN


def test_a_hole_does_not_read_back_as_written(memory: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where writing does nothing, reading back says so."""
    monkeypatch.setattr(os, "pwrite", lambda _memory, data, _at: len(data))
    assert wipe_probe.overwrite(memory)["read_back_bytes"] == 0


@pytest.mark.parametrize("planted", [{}, {CANARIES[0].hex(): 0}, {**PLANTED, CANARIES[0].hex(): 4}])
def test_memory_without_its_canaries_shows_nothing(planted: dict[str, int], memory: int) -> None:
    before = _looked(memory)
    done = Overwritten.model_validate({**wipe_probe.overwrite(memory), **wipe_probe.state(memory)})
    assert destruction.memory(planted, before, done, _looked(memory)).fate is Fate.UNKNOWN


def test_no_canary_at_all_shows_nothing(memory: int) -> None:
    none = Looked(counted={}, **wipe_probe.state(memory))
    done = Overwritten.model_validate({**wipe_probe.overwrite(memory), **wipe_probe.state(memory)})
    assert destruction.memory({}, none, done, none).fate is Fate.UNKNOWN


def test_other_canaries_looked_for_show_nothing(memory: int) -> None:
    before = _looked(memory)
    done = Overwritten.model_validate({**wipe_probe.overwrite(memory), **wipe_probe.state(memory)})
    after = Looked(counted={"00": 0}, **wipe_probe.state(memory))
    assert destruction.memory(PLANTED, before, done, after).fate is Fate.UNKNOWN


def test_the_program_answers_line_by_line(memory: int, tmp_path: Path) -> None:
    """As it runs on a host: the memory of another process, which ends while the program holds it."""
    holder = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, pass_fds=[memory])
    program = subprocess.Popen(
        [sys.executable, str(wipe_probe.__file__), f"/proc/{holder.pid}/fd/{memory}"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert program.stdin is not None
    assert program.stdout is not None
    assert json.loads(program.stdout.readline())["ready"]["size_bytes"] == SIZE_BYTES
    holder.communicate(b"\n", timeout=60)
    asked = [{"count": [one.hex() for one in CANARIES]}, {"overwrite": True}]
    said, _ = program.communicate("".join(f"{json.dumps(one)}\n" for one in (*asked, asked[0])), timeout=60)
    before, done, after = (json.loads(line) for line in said.splitlines())
    finding = destruction.memory(
        PLANTED,
        Looked.model_validate(before),
        Overwritten.model_validate(done["overwritten"]),
        Looked.model_validate(after),
    )
    assert finding.fate is Fate.DESTROYED, finding.why


@pytest.mark.parametrize("request_", [{}, {"count": 1}, {"count": [""]}, {"count": ["00" * 4097]}])
def test_what_was_not_asked_for_ends_the_program(request_: dict[str, object], memory: int) -> None:
    with pytest.raises(SystemExit, match="error: "):
        wipe_probe.answer(memory, request_)
