"""Runs on the client: ICMP echo to the guest at a constant rate, with the kernel's own receive stamps.

Arguments: ADDRESS RATE_HZ. Rows ``seq,sent_ns,received_ns`` in this machine's CLOCK_MONOTONIC; an echo
without a reply within 2 s is a row with an empty third field. Standard library only; sent over SSH, never
installed.
"""

import contextlib
import os
import select
import socket
import struct
import sys
import time

SO_TIMESTAMPNS = 35
"""Linux, asm-generic/socket.h; the socket module has no name for it in Python 3.11."""

LOST_AFTER_NS = 2_000_000_000
REPORT_EVERY_NS = 250_000_000


def checksum(data: bytes) -> int:
    """The Internet checksum (RFC 1071) of an even number of bytes."""
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    total = (total >> 16) + (total & 0xFFFF)
    return ~(total + (total >> 16)) & 0xFFFF


def echo(identity: int, seq: int) -> bytes:
    """An ICMP echo request (RFC 792) that carries the whole sequence number as its data."""
    data = struct.pack("!Q", seq)
    head = struct.pack("!BBHHH", 8, 0, 0, identity, seq & 0xFFFF)
    return struct.pack("!BBHHH", 8, 0, checksum(head + data), identity, seq & 0xFFFF) + data


def replies(sock: socket.socket, identity: int) -> list[tuple[int, int]]:
    """What has arrived: (sequence number, receive stamp in CLOCK_MONOTONIC ns)."""
    found: list[tuple[int, int]] = []
    while True:
        try:
            packet, control, _, _ = sock.recvmsg(512, 128)
        except BlockingIOError:
            return found
        # The kernel stamps in CLOCK_REALTIME. Both clocks read here take it over, so that a step of the
        # wall clock during the run cannot shift a stamp.
        realtime, monotonic = time.time_ns(), time.monotonic_ns()
        icmp = packet[(packet[0] & 15) * 4 :]
        kind, _, _, sender, _ = struct.unpack("!BBHHH", icmp[:8])
        if kind != 0 or sender != identity or len(icmp) < 16:
            continue
        stamp = realtime
        for level, name, value in control:
            if level == socket.SOL_SOCKET and name == SO_TIMESTAMPNS:
                seconds, nanoseconds = struct.unpack("qq", value[:16])
                stamp = seconds * 1_000_000_000 + nanoseconds
        found.append((struct.unpack("!Q", icmp[8:16])[0], monotonic - (realtime - stamp)))


def open_socket(address: str) -> socket.socket:
    """A raw ICMP socket that hears only `address`, with stamps and room for a burst after an outage."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
    sock.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
    sock.connect((address, 0))
    sock.setblocking(False)
    return sock


def flush(waiting: dict[int, int], done: list[str], now: int) -> None:
    """Print finished rows, and give up on requests that are older than the limit."""
    lost = [seq for seq, sent in waiting.items() if now - sent > LOST_AFTER_NS]
    done.extend(f"{seq},{waiting.pop(seq)}," for seq in lost)
    if done:
        sys.stdout.write("\n".join(done) + "\n")
        sys.stdout.flush()
        done.clear()


def main() -> None:
    """Send until standard input ends, then wait shortly for what is still on its way."""
    address, period = sys.argv[1], 1_000_000_000 // int(sys.argv[2])
    sock, identity = open_socket(address), os.getpid() & 0xFFFF
    waiting: dict[int, int] = {}
    done: list[str] = []
    print("ready", flush=True)
    seq, due = 0, time.monotonic_ns()
    reported, ends = due, None
    while ends is None or time.monotonic_ns() < ends:
        now = time.monotonic_ns()
        if ends is None and now >= due:
            waiting[seq] = now
            with contextlib.suppress(OSError):  # no route or neighbour just now: that request is a lost one
                sock.send(echo(identity, seq))
            seq += 1
            due += period * max(1, (now - due) // period)
        timeout = max(0.0, (due - time.monotonic_ns()) / 1e9) if ends is None else 0.05
        ready, _, _ = select.select([sock, *([sys.stdin] if ends is None else [])], [], [], timeout)
        if sock in ready:
            for answered, stamp in replies(sock, identity):
                if answered in waiting:
                    done.append(f"{answered},{waiting.pop(answered)},{stamp}")
        if sys.stdin in ready and not os.read(0, 4096):
            ends = time.monotonic_ns() + 300_000_000
        if time.monotonic_ns() - reported > REPORT_EVERY_NS:
            reported = time.monotonic_ns()
            flush(waiting, done, reported)
    flush(waiting, done, time.monotonic_ns() + LOST_AFTER_NS)


if __name__ == "__main__":
    main()
