"""The programs that are sent to machines, run here: they need no rig."""

from __future__ import annotations

import json
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.clock import boot_id, sleep
from harness.evidence.observers import clocks, heartbeat, sampler
from harness.evidence.observers.clocks import own_kernel
from harness.evidence.observers.heartbeat_probe import (
    LOST_AFTER_NS,
    SO_TIMESTAMPNS,
    checksum,
    echo,
    give_up,
    replies,
)
from harness.rig import lock_holder
from harness.rig.doctor.facts import lock_holder_of
from tests import skips

LIMIT_S = 20.0


@contextmanager
def running(source: str, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """The program as the harness starts it on a machine, with its standard input open."""
    argv = [sys.executable, "-u", "-c", source, *arguments]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def line_of(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().rstrip("\n")


def say(process: subprocess.Popen[str], text: str) -> None:
    assert process.stdin is not None
    process.stdin.write(text)
    process.stdin.flush()


# -- heartbeat


def test_the_checksum_is_that_of_rfc_1071() -> None:
    # RFC 1071, section 3: the words 0001 f203 f4f5 f6f7 add up to ddf2, whose complement is the checksum.
    assert checksum(bytes.fromhex("0001f203f4f5f6f7")) == 0xFFFF ^ 0xDDF2
    assert checksum(b"\0\0") == 0xFFFF
    assert checksum(b"\xff\xff") == 0


@given(identity=st.integers(0, 0xFFFF), seq=st.integers(0, 2**64 - 1))
def test_an_echo_request_is_whole_and_carries_its_whole_number(identity: int, seq: int) -> None:
    packet = echo(identity, seq)
    kind, code, _, sender, short = struct.unpack("!BBHHH", packet[:8])
    assert (kind, code, sender, short) == (8, 0, identity, seq & 0xFFFF)
    assert struct.unpack("!Q", packet[8:]) == (seq,)
    assert checksum(packet) == 0  # RFC 1071: over a packet with its checksum the sum is all ones


def test_a_request_without_a_reply_is_given_up_after_the_limit_and_not_before() -> None:
    waiting, done = {1: 0, 2: 10}, list[str]()
    give_up(waiting, done, LOST_AFTER_NS + 5)
    assert (waiting, done) == ({2: 10}, ["1,0,"])


class Heard:
    """A raw socket that has received these packets, each with this ancillary data."""

    def __init__(self, packets: list[bytes], control: list[tuple[int, int, bytes]]) -> None:
        self._packets, self._control = list(packets), control

    def recvmsg(self, _length: int, _ancillary: int) -> tuple[bytes, list[tuple[int, int, bytes]], int, None]:
        if not self._packets:
            raise BlockingIOError
        return self._packets.pop(0), self._control, 0, None


def reply(identity: int, seq: int) -> bytes:
    """An IPv4 packet with the reply to that request."""
    return b"\x45" + bytes(19) + b"\0" + echo(identity, seq)[1:]


RUNTS = [b"", b"\x45", reply(7, 1)[:20], reply(7, 1)[:27], reply(7, 1)[:35], b"\x4f" + reply(7, 1)[1:24]]


@pytest.mark.parametrize("runt", RUNTS, ids=len)
def test_a_runt_packet_is_no_reply_and_ends_nothing(runt: bytes) -> None:
    sock = cast("socket.socket", Heard([runt, reply(7, 5)], []))
    assert [number for number, _ in replies(sock, 7)] == [5]


def test_a_stamp_that_is_cut_short_is_none() -> None:
    cut = [(socket.SOL_SOCKET, SO_TIMESTAMPNS, b"\0" * 7)]
    ((number, stamp),) = replies(cast("socket.socket", Heard([reply(7, 5)], cut)), 7)
    assert number == 5
    assert abs(time.monotonic_ns() - stamp) < 10**9


@given(st.lists(st.binary(max_size=60)))
def test_no_packet_makes_it_raise(packets: list[bytes]) -> None:
    sock = cast("socket.socket", Heard(packets, []))
    assert len(replies(sock, 7)) <= len(packets)


@skips.as_root
def test_the_heartbeat_beats_at_its_rate_and_ends_with_its_input() -> None:
    source = heartbeat.PROGRAM.read_text()
    begun = time.monotonic()
    with running(source, "127.0.0.1", "50") as process:
        assert line_of(process) == "ready"
        sleep(1.0)
        out, _ = process.communicate(timeout=LIMIT_S)
    most = 50 * (time.monotonic() - begun)
    rows = [line.split(",") for line in out.splitlines()]
    assert process.returncode == 0
    assert sorted(int(seq) for seq, _, _ in rows) == list(range(len(rows)))
    assert 30 <= len(rows) <= most
    answered = [(int(sent), int(received)) for _, sent, received in rows if received]
    assert len(answered) == len(rows)
    assert all(0 < received - sent < 500_000_000 for sent, received in answered)
    gaps = [after[0] - before[0] for before, after in pairwise(answered)]
    assert sorted(gaps)[len(gaps) // 2] == pytest.approx(20_000_000, rel=0.25)


# -- clocks


def test_the_clocks_probe_answers_each_line_with_this_machines_clocks() -> None:
    with running(clocks.PROGRAM.read_text()) as process:
        for _ in range(2):
            before = time.monotonic_ns(), time.time_ns()
            say(process, "?\n")
            monotonic, realtime, kernel, boot = line_of(process).split(" ")
            assert before[0] <= int(monotonic) <= time.monotonic_ns()
            assert before[1] <= int(realtime) <= time.time_ns()
            assert kernel == own_kernel()
            assert boot == boot_id()
        process.communicate(timeout=LIMIT_S)
    assert process.returncode == 0


# -- samples


def test_the_sampler_counts_upwards_and_ends_with_its_input() -> None:
    with running(sampler.PROGRAM.read_text(), "0.1") as process:
        assert line_of(process) == "ready"
        first = [float(cell) for cell in line_of(process).split(",")]
        second = [float(cell) for cell in line_of(process).split(",")]
        process.communicate(timeout=LIMIT_S)
    assert process.returncode == 0
    assert len(first) == len(sampler._HEADER.split(","))
    assert second[0] - first[0] > 50_000_000
    assert all(later >= earlier for earlier, later in zip(first[:3], second[:3], strict=True))
    assert first[3] > 0


# -- lock


def locker(path: Path) -> str:
    source = Path(lock_holder.__file__).read_text()
    assert lock_holder.PATH in source
    return source.replace(lock_holder.PATH, str(path))


def answer(process: subprocess.Popen[str]) -> dict[str, str]:
    return dict(json.loads(line_of(process)))


def test_the_second_one_is_told_the_holders_name_and_gives_up(tmp_path: Path) -> None:
    source = locker(tmp_path / "lock")
    with running(source) as first:
        say(first, "ada@desk: a run\n")
        assert answer(first) == {"state": "held"}
        with running(source) as second:
            say(second, "bob\n")
            told = answer(second)
            assert told["state"] == "locked"
            assert told["holder"].startswith("ada@desk: a run, since 20")
            assert second.wait(timeout=LIMIT_S) == 0


def test_the_lock_ends_with_the_holders_input(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with running(locker(path)) as first:
        say(first, "ada\n")
        assert answer(first) == {"state": "held"}
        first.communicate(timeout=LIMIT_S)
        assert path.read_text() == ""
        with running(locker(path)) as second:
            say(second, "bob\n")
            assert answer(second) == {"state": "held"}


def test_a_holder_that_is_killed_leaves_its_name_and_no_lock(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with running(locker(path)) as first:
        say(first, "ada with a long name\n")
        assert answer(first) == {"state": "held"}
        first.kill()
        first.wait(timeout=LIMIT_S)
        assert path.read_text().startswith("ada")
    with running(locker(path)) as second:
        say(second, "bob\n")
        assert answer(second) == {"state": "held"}
        assert path.read_text().startswith("bob, since")
        assert "ada" not in path.read_text()


def test_a_link_in_the_locks_place_is_not_followed(tmp_path: Path) -> None:
    victim, path = tmp_path / "victim", tmp_path / "lock"
    victim.write_text("kept")
    path.symlink_to(victim)
    with running(locker(path)) as first:
        say(first, "ada\n")
        assert first.wait(timeout=LIMIT_S) != 0
    assert victim.read_text() == "kept"


def test_the_lock_is_in_a_folder_of_its_own_that_only_root_may_write() -> None:
    folder = Path(lock_holder.PATH).parent
    assert folder.parent == Path("/run")
    assert folder != Path("/run/sodbench")  # RuntimeDirectory of sodbench-swtpm.service: goes when that ends


def test_doctor_sees_a_held_lock_and_who_has_it(tmp_path: Path) -> None:
    path = tmp_path / "lock"

    def seen() -> str | None:
        place = path.stat()
        locks = Path("/proc/locks").read_text()
        return lock_holder_of(f"{place.st_dev} {place.st_ino}\n{path.read_text()}\n{locks}")

    with running(locker(path)) as first:
        say(first, "ada\n")
        assert answer(first) == {"state": "held"}
        assert str(seen()).startswith("ada, since")
        first.kill()
        first.wait(timeout=LIMIT_S)
    assert seen() is None
