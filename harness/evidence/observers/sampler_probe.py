"""Runs on a host: samples the machine and its QEMU processes with psutil at a fixed period.

Arguments: PERIOD_S. Rows ``t_ns,cpu_busy_s,qemu_cpu_s,memory_used_bytes,net_out_bytes,net_in_bytes``
(cumulative CPU seconds and bytes, CLOCK_MONOTONIC). Needs psutil, which provisioning installs; sent over SSH.
"""

import select
import sys
import time

import psutil


def qemu_processes() -> list[psutil.Process]:
    """The QEMU system emulators that run now; looking for them costs more than sampling them."""
    return [
        one for one in psutil.process_iter(["name"]) if (one.info["name"] or "").startswith("qemu-system")
    ]


def row(known: dict[int, float]) -> str:
    """One sample; `known` keeps each QEMU's last CPU seconds, so that the sum does not fall when one ends."""
    for process in qemu_processes():
        try:
            times = process.cpu_times()
        except psutil.NoSuchProcess:
            continue
        known[process.pid] = times.user + times.system
    now = time.monotonic_ns()
    cpu, memory, net = psutil.cpu_times(), psutil.virtual_memory(), psutil.net_io_counters()
    busy = sum(cpu) - cpu.idle - getattr(cpu, "iowait", 0.0) - getattr(cpu, "guest", 0.0)
    busy -= getattr(cpu, "guest_nice", 0.0)
    used = memory.total - memory.available
    return f"{now},{busy:.3f},{sum(known.values()):.3f},{used},{net.bytes_sent},{net.bytes_recv}"


def main() -> None:
    """Sample until standard input ends."""
    period = float(sys.argv[1])
    known: dict[int, float] = {}
    print("ready")
    while True:
        print(row(known), flush=True)
        ready, _, _ = select.select([sys.stdin], [], [], period)
        if ready and not sys.stdin.readline():
            return


if __name__ == "__main__":
    main()
