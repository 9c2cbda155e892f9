"""Runs on a host: holds a guest's memory open, finds canaries in it, overwrites it and reads it back.

Argument: the memory's file, such as ``/proc/PID/fd/N`` of the guest's QEMU. It stays open after QEMU has
ended, so that its pages still are the guest's. Each line of standard input is a request, and each gets one
line of JSON: ``{"count": [HEX, ...]}`` and ``{"overwrite": true}``. Standard library only; sent over SSH.
"""

import json
import os
import sys
import time
from collections.abc import Iterator

CHUNK_BYTES = 4 * 2**20
LONGEST_CANARY_BYTES = 4096


def state(memory: int) -> dict[str, int]:
    """The memory's size, and what of it has pages, in bytes. Freed pages are neither read nor written."""
    found = os.fstat(memory)
    return {"size_bytes": found.st_size, "allocated_bytes": found.st_blocks * 512}


def extents(memory: int) -> Iterator[tuple[int, int]]:
    """Where the memory has pages: offset and end of each stretch, in bytes."""
    size, at = os.fstat(memory).st_size, 0
    while at < size:
        try:
            at = os.lseek(memory, at, os.SEEK_DATA)
        except OSError:  # ENXIO: the rest has no pages
            return
        end = os.lseek(memory, at, os.SEEK_HOLE)
        yield at, end
        at = end


def chunks(memory: int) -> Iterator[tuple[int, int]]:
    """The stretches in pieces of at most CHUNK_BYTES: offset and length, in bytes."""
    for begin, end in extents(memory):
        for at in range(begin, end, CHUNK_BYTES):
            yield at, min(CHUNK_BYTES, end - at)


def count(memory: int, canaries: list[bytes]) -> dict[str, int]:
    """How often each canary is in the memory; one that lies across two pieces counts as well."""
    found = dict.fromkeys(canaries, 0)
    tails, tail_end = dict.fromkeys(canaries, b""), 0
    for at, length in chunks(memory):
        piece = os.pread(memory, length, at)
        for canary in canaries:
            # Of the piece before, one byte less than the canary has: none is found twice.
            text = tails[canary] + piece if at == tail_end else piece
            found[canary] += text.count(canary)
            tails[canary] = text[-(len(canary) - 1) :] if len(canary) > 1 else b""
        tail_end = at + len(piece)
    return {canary.hex(): number for canary, number in found.items()}


def overwrite(memory: int) -> dict[str, int]:
    """Write random bytes over every page, then read all of it back.

    The bytes are drawn for this call: pages that were freed instead read as zeros, which are not these.
    """
    pattern = os.urandom(CHUNK_BYTES)
    begin = time.monotonic_ns()
    written = sum(os.pwrite(memory, pattern[:length], at) for at, length in chunks(memory))
    between = time.monotonic_ns()
    equal = sum(length for at, length in chunks(memory) if os.pread(memory, length, at) == pattern[:length])
    done = time.monotonic_ns()
    return {
        "written_bytes": written,
        "read_back_bytes": equal,
        "write_ns": between - begin,
        "read_ns": done - between,
    }


def answer(memory: int, request: dict[str, object]) -> dict[str, object]:
    """What is said to one request."""
    if request.get("overwrite") is True:
        done = overwrite(memory)
        return {"overwritten": {**done, **state(memory)}}
    asked = request.get("count")
    if not isinstance(asked, list):
        raise SystemExit("error: neither a count nor an overwrite was asked for")
    canaries = [bytes.fromhex(one) for one in asked]
    if not all(0 < len(one) <= LONGEST_CANARY_BYTES for one in canaries):
        raise SystemExit(f"error: a canary has 1 to {LONGEST_CANARY_BYTES} bytes")
    return {"counted": count(memory, canaries), **state(memory)}


def main() -> None:
    """Answer until standard input ends."""
    memory = os.open(sys.argv[1], os.O_RDWR)
    print(json.dumps({"ready": state(memory)}), flush=True)
    for line in sys.stdin:
        print(json.dumps(answer(memory, json.loads(line))), flush=True)


if __name__ == "__main__":
    main()
