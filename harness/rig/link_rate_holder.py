"""Runs on a host of the rig: limits what it sends to the other host, until standard input ends.

Arguments: the address that the other host takes migrations at, the rate in bit/s, and the rate that the
inventory states for the link, or 0. Says in one line of JSON ``{"state": "held", "device": "...", "before":
"..."}`` or ``{"state": "refused", "why": "..."}``, and at the end puts back what was there. Standard library
only; sent over SSH by harness/rig/link_rate.py.
"""

import json
import signal
import subprocess
import sys
from collections.abc import Sequence

DEFAULTS = ("noqueue", "mq", "fq_codel", "fq", "pfifo_fast")
"""What Linux puts on a device by itself, and puts back when another discipline is deleted (tc(8))."""
BURST_S = 0.005
"""Bytes of so long at line rate may leave at once: fewer starve on kernels with a 4 ms tick (tc-tbf(8))."""
LEAST_BURST_BYTES = 65536
TOOL_LIMIT_S = 10


class RefusedError(Exception):
    """Why the link is left as it is."""


def tool(*command: str) -> str:
    """The output of a command of iproute2."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=TOOL_LIMIT_S, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise RefusedError(f"{command[0]}: {error}") from error
    if done.returncode != 0:
        raise RefusedError(f"{' '.join(command[:4])}: {done.stderr.strip()[:200]}")
    return done.stdout


def device_of(route: str) -> str:
    """The device in the output of ``ip route get``."""
    words = route.split()
    if "dev" not in words[:-1]:
        raise RefusedError(f"no device leads to the other host: {route.strip()[:200]}")
    return words[words.index("dev") + 1]


def limited(device: str, rate_bit_s: int) -> list[str]:
    """The command that limits what `device` sends."""
    burst = max(int(rate_bit_s / 8 * BURST_S), LEAST_BURST_BYTES)
    return [
        *("tc", "qdisc", "replace", "dev", device, "root", "tbf"),
        *("rate", f"{rate_bit_s}bit", "burst", str(burst), "latency", "50ms"),
    ]


def putting_back(device: str, before: str, stated_bit_s: int) -> list[str]:
    """The command that puts back the discipline `before`, as ``tc qdisc show`` names it."""
    words = before.split()
    kind = words[1] if len(words) > 1 else "noqueue"
    if kind in DEFAULTS:
        return ["tc", "qdisc", "del", "dev", device, "root"]
    if kind == "tbf" and stated_bit_s:
        return limited(device, stated_bit_s)
    raise RefusedError(f"{device} has a queueing discipline of its own, which could not be put back: {kind}")


def hold(address: str, rate_bit_s: int, stated_bit_s: int) -> None:
    """Limit the link until standard input ends."""
    device = device_of(tool("ip", "-o", "route", "get", address))
    before = tool("tc", "qdisc", "show", "dev", device, "root").strip()
    back = putting_back(device, before, stated_bit_s)
    tool(*limited(device, rate_bit_s))
    try:
        print(json.dumps({"state": "held", "device": device, "before": before[:200]}), flush=True)
        sys.stdin.read()
    finally:
        tool(*back)


def main(arguments: Sequence[str]) -> None:
    """Hold the link, or say why not."""
    for number in (signal.SIGHUP, signal.SIGTERM):
        signal.signal(number, lambda *_: sys.exit(0))
    try:
        hold(arguments[0], int(arguments[1]), int(arguments[2]))
    except RefusedError as error:
        print(json.dumps({"state": "refused", "why": str(error)}), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
