"""The server's own count, once a second: the test of steadiness for generators that are silent.

One small Python program in the guest reads a file and prints a number. It does not fork, because a fork costs
an emulated guest about 20 ms.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from itertools import pairwise

from harness.workloads.contract import Line, Process
from harness.workloads.steadiness import DRIFT, SPAN, level

SERVER = "server"
"""The source of the counter's lines."""

_LINE = re.compile(r"count (?P<count>\d{1,18})", re.ASCII)

_PROGRAM = """\
import os, re, sys, time
kind, path = sys.argv[1:]
def messages():
    with open(path, "rb") as file:
        file.seek(max(0, os.fstat(file.fileno()).st_size - 400))
        found = re.findall(rb"mesg=(\\d+)\\r", file.read())
    return int(found[-1]) if found else 0
def size():
    return os.stat(path).st_size
def segments():
    with open(path) as file:
        names, values = [line.split() for line in file if line.startswith("Tcp:")]
    return int(values[names.index("InSegs")])
read = {"messages": messages, "size": size, "segments": segments}[kind]
due = time.monotonic()
while True:
    print("count", read(), flush=True)
    due += 1
    time.sleep(max(0, due - time.monotonic()))
"""


def messages(path: str) -> Process:
    """smtp-sink's own count of messages, from the file that its output goes to."""
    return _process("messages", path)


def size(path: str) -> Process:
    """The size of a log that has one line per request."""
    return _process("size", path)


def segments() -> Process:
    """The TCP segments that the guest has received (InSegs, RFC 4022)."""
    return _process("segments", "/proc/net/snmp")


def _process(kind: str, path: str) -> Process:
    command = f"exec python3 -c {shlex.quote(_PROGRAM)} {kind} {shlex.quote(path)}"
    return Process(machine="guest", command=command, source=SERVER)


def steady_test(what: str, least: str = "0") -> str:
    """In words what :func:`steady` tests of the counted `what`, where `least` is what is not enough."""
    spans = f"in the last {SPAN} s and in the {SPAN} s before"
    return f"{what} {spans} differ by at most {DRIFT:.0%} of their mean, and neither is {least}"


def steady(lines: Sequence[Line], *, floor: float = 0.0) -> bool:
    """Whether the counter's last seconds agree with those before, each stretch above `floor` a second."""
    said = [_LINE.fullmatch(line.text) for line in lines if line.source == SERVER]
    counts = [int(found["count"]) for found in said if found is not None]
    rates = [float(max(0, after - before)) for before, after in pairwise(counts)]
    last = rates[-2 * SPAN :]
    enough = min(sum(last[:SPAN]), sum(last[SPAN:])) >= floor * SPAN
    return enough and level(rates)
