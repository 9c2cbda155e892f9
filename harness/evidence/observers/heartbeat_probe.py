"""Runs on the client: ICMP echo to the guest at a constant rate, with the kernel's own receive stamps.

Arguments: ADDRESS RATE_HZ. Rows ``seq,sent_ns,received_ns`` in this machine's CLOCK_MONOTONIC; an echo
without a reply within 2 s is a row with an empty third field. Standard library only; sent over SSH, never
installed.
"""

import os
import select
import socket
import struct
import sys
import time

SO_TIMESTAMPNS = 35
"""Linux, asm-generic/socket.h; the socket module has no name for it in Python 3.11."""

LOST_AFTER_NS = 2_000_000_000
LAST_REPLIES_S = 0.3
GATHER_HZ = 4
"""How often replies are read and rows are printed."""


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
        number = answered(packet, identity)
        if number is None:
            continue
        stamp = realtime
        for level, name, value in control:
            if level == socket.SOL_SOCKET and name == SO_TIMESTAMPNS and len(value) >= 16:
                seconds, nanoseconds = struct.unpack("qq", value[:16])
                stamp = seconds * 1_000_000_000 + nanoseconds
        found.append((number, monotonic - (realtime - stamp)))


def answered(packet: bytes, identity: int) -> int | None:
    """Which request an IPv4 packet answers; None for another's reply, another message, or a runt."""
    icmp = packet[(packet[0] & 15) * 4 :] if packet else b""
    if len(icmp) < 16:
        return None
    kind, _, _, sender, _ = struct.unpack("!BBHHH", icmp[:8])
    number: int = struct.unpack("!Q", icmp[8:16])[0]
    return number if kind == 0 and sender == identity else None


def open_socket(address: str) -> socket.socket:
    """A raw ICMP socket that hears only `address`, with stamps and room for a burst after an outage."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
    sock.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
    sock.connect((address, 0))
    sock.setblocking(False)
    return sock


def write(done: list[str]) -> None:
    """Print finished rows."""
    if done:
        sys.stdout.write("\n".join(done) + "\n")
        sys.stdout.flush()
        done.clear()


def give_up(waiting: dict[int, int], done: list[str], now: int) -> None:
    """Turn requests that are older than the limit into rows without a reply."""
    # They wait in the order of their sending, so the first young one ends the search.
    for seq, sent in list(waiting.items()):
        if now - sent <= LOST_AFTER_NS:
            return
        done.append(f"{seq},{waiting.pop(seq)},")


def gather(sock: socket.socket, identity: int, waiting: dict[int, int], done: list[str]) -> None:
    """Turn what has arrived into rows."""
    for number, stamp in replies(sock, identity):
        if number in waiting:
            done.append(f"{number},{waiting.pop(number)},{stamp}")


def beat(sock: socket.socket, packets: list[bytes], due: int, period: int) -> tuple[list[int], int]:
    """Send `packets` a period apart from `due` on; their stamps, and when the next one is due.

    The loop does nothing else: it wakes up on a cold cache each time, and every line in it is paid for then.
    """
    send, sleep, monotonic_ns = sock.send, time.sleep, time.monotonic_ns
    stamps = []
    for packet in packets:
        now = monotonic_ns()
        if now < due:
            sleep((due - now) / 1e9)
            now = monotonic_ns()
        stamps.append(now)
        try:  # noqa: SIM105 - contextlib.suppress costs more than the beat
            send(packet)
        except OSError:  # no route or neighbour just now: that request is a lost one
            pass
        due += period * max(1, (now - due) // period)
    return stamps, due


def main() -> None:
    """Send until standard input ends, then wait shortly for what is still on its way.

    Replies are read in batches: the kernel has stamped each on arrival, so that reading late loses nothing,
    and waking up for every one would double what the heartbeat costs its machine.
    """
    address, rate_hz = sys.argv[1], int(sys.argv[2])
    period, batch = 1_000_000_000 // rate_hz, max(1, rate_hz // GATHER_HZ)
    sock, identity = open_socket(address), os.getpid() & 0xFFFF
    waiting: dict[int, int] = {}
    done: list[str] = []
    print("ready", flush=True)
    seq, due = 0, time.monotonic_ns()
    while not (select.select([sys.stdin], [], [], 0)[0] and not os.read(0, 4096)):
        packets = [echo(identity, seq + ahead) for ahead in range(batch)]
        stamps, due = beat(sock, packets, due, period)
        waiting.update(enumerate(stamps, start=seq))
        seq += batch
        gather(sock, identity, waiting, done)
        give_up(waiting, done, time.monotonic_ns())
        write(done)
    time.sleep(LAST_REPLIES_S)
    gather(sock, identity, waiting, done)
    done.extend(f"{left},{sent}," for left, sent in waiting.items())
    write(done)


if __name__ == "__main__":
    main()
