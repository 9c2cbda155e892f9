from __future__ import annotations

import threading
from typing import cast

import paramiko
import pytest

from harness.clock import MonotonicClock
from harness.rig import lines
from harness.rig.host import Channel


class Pieces:
    """What arrives from a machine, in the pieces in which it arrives."""

    def __init__(self, *pieces: bytes) -> None:
        self._pieces = list(pieces)
        self.closed = False

    def recv(self, _count: int) -> bytes:
        return self._pieces.pop(0) if self._pieces and not self.closed else b""

    def recv_stderr(self, _count: int) -> bytes:
        return b""

    def recv_exit_status(self) -> int:
        return 0

    def close(self) -> None:
        self.closed = True


def heard(pieces: Pieces) -> tuple[list[str], str]:
    said: list[str] = []
    over, reasons = threading.Event(), list[str]()

    def closed(reason: str) -> None:
        reasons.append(reason)
        over.set()

    Channel(cast("paramiko.Channel", pieces), lambda _t_ns, line: said.append(line), MonotonicClock(), closed)
    assert over.wait(5.0)
    return said, reasons[0]


def test_a_line_is_whole_however_it_arrives() -> None:
    said, reason = heard(Pieces(b"a", b"b\nc\r", b"\n\nd", b"e\n", b"lost"))
    assert said == ["ab", "c", "", "de"]
    assert reason == "exit status 0"


def test_a_line_without_end_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines, "LONGEST_LINE_BYTES", 100)
    pieces = Pieces(b"good\n" + b"x" * 60, b"x" * 60, b"x" * 60)
    said, reason = heard(pieces)
    assert said == ["good"]
    assert "a line of more than" in reason
    assert pieces.closed
