"""One deadline over all of a command: a machine that sends a byte a second cannot keep the controller.

Each wait of paramiko has a limit of its own, which begins again with every byte. Two of its waits have none:
for the answer to a request to run a command, and for room for what is sent.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator

import paramiko

from harness.clock import NS_PER_S, Clock

MAX_OUTPUT_BYTES = 16 * 2**20
"""Of a command's output; a machine that sends more is not listened to any more."""
_PIECE_BYTES = 2**16


def outcome(channel: paramiko.Channel, clock: Clock, limit_s: float) -> tuple[int, str, str]:
    """Exit status, standard output and standard error of the command that runs in `channel`.

    Raises:
        TimeoutError: They were not complete after `limit_s`, however much of them came.
        OSError: One is longer than :data:`MAX_OUTPUT_BYTES`, or the channel's connection fails.
    """
    end_ns = clock.now_ns() + int(limit_s * NS_PER_S)

    def left_s() -> float:
        left_ns = end_ns - clock.now_ns()
        if left_ns <= 0:
            raise TimeoutError
        return left_ns / NS_PER_S

    out, err = (_all(receive, channel, left_s) for receive in (channel.recv, channel.recv_stderr))
    if not channel.status_event.wait(left_s()):
        raise TimeoutError
    return channel.recv_exit_status(), out, err


def _all(receive: Callable[[int], bytes], channel: paramiko.Channel, left_s: Callable[[], float]) -> str:
    pieces, size_bytes = list[bytes](), 0
    while True:
        channel.settimeout(left_s())
        data = receive(_PIECE_BYTES)
        if not data:
            return b"".join(pieces).decode(errors="replace")
        pieces.append(data)
        size_bytes += len(data)
        if size_bytes > MAX_OUTPUT_BYTES:
            channel.close()
            raise OSError(f"a command printed more than {MAX_OUTPUT_BYTES} bytes")


@contextlib.contextmanager
def closing_after(limit_s: float, close: Callable[[], None]) -> Iterator[None]:
    """Call `close` if the block, which waits for what it closes, has not ended after `limit_s`.

    Raises:
        TimeoutError: `close` was called, and the block failed.
    """
    expired = threading.Event()

    def expire() -> None:
        expired.set()
        close()

    timer = threading.Timer(limit_s, expire)
    timer.daemon = True
    timer.start()
    try:
        yield
    except (OSError, EOFError, paramiko.SSHException) as error:
        if expired.is_set():
            raise TimeoutError from error
        raise
    finally:
        timer.cancel()
