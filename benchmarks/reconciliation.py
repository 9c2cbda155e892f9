"""How long it takes to reconcile two logs of a million events each, next to reading their lines as JSON.

Two processes of their own do the same files after each other: the baseline parses every line and keeps
nothing, the other reconciles. So the ratio is of one run. The logs have an order for every event, but for a
few that are named. Run it with ``python -m benchmarks.reconciliation``.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil

from benchmarks import provenance
from harness.clock import NS_PER_S
from harness.pvi import event_log
from harness.pvi.event_log import Side
from harness.pvi.reconcile import reconcile

OUT = Path(__file__).parent / "measured" / "reconciliation.json"
COUNT = 1_000_000
LIMIT_S, LIMIT_BYTES = 60.0, 500_000_000
GUESTS = 100
EVERY_S = 5
ODD = 10


def write(folder: Path, count: int) -> tuple[Path, Path, int]:
    """Both logs, of `count` events a side, ten or more, and how many of them have no counterpart."""
    inside, outside = folder / "inside.jsonl", folder / "outside.jsonl"
    begin_ns, odd = 1_800_000_000 * NS_PER_S, 0
    with inside.open("w") as own, outside.open("w") as other:
        for file, side in ((own, "inside"), (other, "outside")):
            file.write(json.dumps({"log": side, "version": 1}) + "\n")
        for number in range(count):
            at_ns, guest = begin_ns + number * EVERY_S * NS_PER_S, f"vm-{number % GUESTS}"
            stray = number % (count // ODD) == 0
            odd += 2 * stray
            ordered = {"t_ns": at_ns, "uncertainty_ns": 1000, "kind": "pause.ordered", "guest": guest}
            late_ns = at_ns + (3600 if stray else 1) * NS_PER_S
            own.write(json.dumps(ordered) + "\n")
            other.write(json.dumps({**ordered, "t_ns": late_ns, "kind": "guest.paused"}) + "\n")
    return inside, outside, odd


def peak_bytes() -> int:
    """The most memory that this process had; `ru_maxrss` would count what its parent had before (proc(5))."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * int(next(line for line in lines if line.startswith("VmHWM:")).split()[1])


def one(what: str, inside: Path, outside: Path) -> dict[str, float]:
    """Do one of the two in this process, and say what it took."""
    began, spent = time.monotonic(), time.process_time()
    oddities = 0
    if what == "lines":
        for path in (inside, outside):
            with path.open("rb") as file:
                for line in file:
                    json.loads(line)
    else:
        done = reconcile(event_log.read(inside, Side.INSIDE), event_log.read(outside, Side.OUTSIDE))
        oddities = len(done.oddities)
    return {
        "wall_s": time.monotonic() - began,
        "cpu_s": time.process_time() - spent,
        "peak_bytes": peak_bytes(),
        "oddities": oddities,
    }


def alone(what: str, inside: Path, outside: Path) -> dict[str, float]:
    """The same in a process of its own, so that its memory is its own."""
    command = [sys.executable, "-m", "benchmarks.reconciliation", "--one", what, str(inside), str(outside)]
    ran = subprocess.run(command, check=True, capture_output=True, text=True, cwd=provenance.HERE)
    found: dict[str, float] = json.loads(ran.stdout)
    return found


def main() -> None:
    """Measure, print, store."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--count", type=int, default=COUNT, help="events a side")
    parser.add_argument("--out", type=Path, default=OUT)
    parser.add_argument("--one", nargs=3, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one:
        what, inside, outside = given.one
        print(json.dumps(one(what, Path(inside), Path(outside))))
        return
    load = list(psutil.getloadavg())
    with tempfile.TemporaryDirectory(prefix="sodbench-logs-") as folder:
        *logs, odd = write(Path(folder), given.count)
        inside, outside = logs
        lines, done = (alone(what, inside, outside) for what in ("lines", "reconcile"))
    assert done["oddities"] == odd, (done, odd)
    ratio = done["cpu_s"] / lines["cpu_s"]
    kept = done["cpu_s"] <= LIMIT_S and done["peak_bytes"] <= LIMIT_BYTES
    print(
        f"{given.count} events a side: {done['cpu_s']:.1f} s of CPU ({done['wall_s']:.1f} s), "
        f"{done['peak_bytes'] / 1e6:.0f} MB; the lines alone {lines['cpu_s']:.1f} s: {ratio:.2f} times"
    )
    found = {
        **provenance.here("numpy"),
        "load_before": load,
        "events": given.count,
        "limit_s": LIMIT_S,
        "limit_bytes": LIMIT_BYTES,
        "within": kept,
        "lines": lines,
        "reconcile": done,
        "ratio": ratio,
    }
    given.out.write_text(json.dumps(found) + "\n")


if __name__ == "__main__":
    main()
