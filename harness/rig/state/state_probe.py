"""Runs on a host: prints the files that its state is read from as one JSON object, and changes nothing.

``files`` has the text of each file by its path under the root, ``unreadable`` the reason of each that is
there and cannot be read, ``log`` the kernel's log (its end and its last errors) or null, ``log_reason`` why
it is null, ``irqbalance`` whether such a process runs. Standard library only; the root is the first argument.
"""

import contextlib
import json
import os
import stat
import sys
from collections.abc import Iterator
from pathlib import Path

CPU = "sys/devices/system/cpu"
PATTERNS = (
    f"{CPU}/cpufreq/policy*/scaling_driver",
    f"{CPU}/cpufreq/policy*/scaling_governor",
    f"{CPU}/cpufreq/policy*/energy_performance_preference",
    f"{CPU}/cpufreq/boost",
    f"{CPU}/intel_pstate/no_turbo",
    f"{CPU}/cpuidle/current_driver",
    f"{CPU}/cpu[0-9]*/cpuidle/state[0-9]*/name",
    f"{CPU}/cpu[0-9]*/cpuidle/state[0-9]*/disable",
    f"{CPU}/cpu[0-9]*/thermal_throttle/core_throttle_count",
    f"{CPU}/cpu[0-9]*/thermal_throttle/package_throttle_count",
    f"{CPU}/cpu[0-9]*/topology/physical_package_id",
    f"{CPU}/cpu0/microcode/version",
    f"{CPU}/smt/control",
    f"{CPU}/smt/active",
    f"{CPU}/vulnerabilities/*",
    "sys/kernel/mm/transparent_hugepage/enabled",
    "sys/kernel/mm/transparent_hugepage/defrag",
    "sys/kernel/mm/ksm/run",
    "sys/class/thermal/thermal_zone[0-9]*/temp",
    "sys/class/hwmon/hwmon[0-9]*/temp[0-9]*_input",
    "proc/cpuinfo",
    "proc/sys/kernel/numa_balancing",
    "proc/sys/vm/swappiness",
    "proc/sys/net/ipv4/tcp_no_metrics_save",
)
LONGEST_BYTES = 4096
MOST_FILES = 50_000
ERRORS_KEPT = 8
ERROR_CHARACTERS = 200
WORST_LEVEL = 3
"""``err``; lower levels are worse (syslog(2))."""


def text_of(path: Path) -> str:
    """The beginning of a file's text."""
    with path.open("rb") as file:
        return file.read(LONGEST_BYTES).decode(errors="replace")


def records(path: Path) -> Iterator[str]:
    """The kernel's log record by record, as /dev/kmsg yields one a read, without waiting for the next."""
    if stat.S_ISFIFO(path.stat().st_mode):
        raise OSError("it is a pipe: a container has no kernel log")
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    try:
        while True:
            try:
                text = os.read(handle, 8192)
            except BlockingIOError:
                return
            except BrokenPipeError:  # records were overwritten meanwhile; the next read goes on behind them
                continue
            if not text:
                return
            yield from text.decode(errors="replace").splitlines()
    finally:
        os.close(handle)


def log(path: Path) -> "dict[str, object]":
    """The number of the record that comes next, and the last errors of the kernel's own."""
    following = 0
    errors: list[list[object]] = []
    for line in records(path):
        head, _, message = line.partition(";")
        fields = head.split(",")
        if line.startswith(" ") or len(fields) < 2 or not (fields[0].isdigit() and fields[1].isdigit()):
            continue  # a record's dictionary
        priority, number = int(fields[0]), int(fields[1])
        following = number + 1
        if priority >> 3 == 0 and priority & 7 <= WORST_LEVEL:
            errors = [*errors, [number, message[:ERROR_CHARACTERS]]][-ERRORS_KEPT:]
    return {"next": following, "errors": errors}


def runs(root: Path, name: str) -> bool:
    """Whether a process of that name runs."""
    for path in root.glob("proc/[0-9]*/comm"):
        with contextlib.suppress(OSError):  # it has ended
            if text_of(path).strip() == name:
                return True
    return False


def main() -> None:
    """Read what is there."""
    root = Path(sys.argv[1] if len(sys.argv) > 1 else "/")
    files: dict[str, str] = {}
    unreadable: dict[str, str] = {}
    for path in (path for pattern in PATTERNS for path in sorted(root.glob(pattern))):
        if len(files) < MOST_FILES:
            try:
                files[str(path.relative_to(root))] = text_of(path)
            except OSError as error:
                unreadable[str(path.relative_to(root))] = error.strerror or str(error)
    found: dict[str, object] = {"files": files, "unreadable": unreadable, "log": None, "log_reason": ""}
    try:
        found["log"] = log(root / "dev/kmsg")
    except OSError as error:
        found["log_reason"] = error.strerror or str(error)
    print(json.dumps({**found, "irqbalance": runs(root, "irqbalance")}))


if __name__ == "__main__":
    main()
