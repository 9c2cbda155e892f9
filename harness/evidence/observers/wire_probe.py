"""Runs on a host: reads the packet filter's counters of the migration ports at a fixed period.

Arguments: PERIOD_S. Rows ``t_ns,out_bytes,out_packets,in_bytes,in_packets,peer_in_bytes,peer_in_packets,
peer_out_bytes,peer_out_packets`` (cumulative, CLOCK_MONOTONIC). Standard library only; sent over SSH.
"""

import json
import select
import subprocess
import sys
import time

TABLE = ["inet", "sodbench_wire"]
COUNTERS = ("out", "in", "peer_in", "peer_out")


def row() -> str:
    """One reading of all counters."""
    listed = subprocess.run(
        ["nft", "--json", "list", "counters", "table", *TABLE], capture_output=True, text=True, check=False
    )
    now = time.monotonic_ns()
    if listed.returncode != 0:
        raise SystemExit(f"error: {listed.stderr.strip() or 'nft failed'}")
    found = {
        entry["counter"]["name"]: entry["counter"]
        for entry in json.loads(listed.stdout)["nftables"]
        if "counter" in entry
    }
    missing = [name for name in COUNTERS if name not in found]
    if missing:
        raise SystemExit(f"error: no counter {missing[0]!r} in table {' '.join(TABLE)}")
    values = (str(found[name][field]) for name in COUNTERS for field in ("bytes", "packets"))
    return f"{now},{','.join(values)}"


def main() -> None:
    """Read until standard input ends, and once more then."""
    period = float(sys.argv[1])
    first = row()
    print("ready")
    print(first, flush=True)
    while True:
        ready, _, _ = select.select([sys.stdin], [], [], period)
        print(row(), flush=True)
        if ready and not sys.stdin.readline():
            return


if __name__ == "__main__":
    main()
