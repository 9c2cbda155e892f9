"""Runs on a machine: answers each line with both of its clocks, its kernel and its boot.

Rows ``monotonic_ns realtime_ns kernel boot`` (uname's release and version, one word; the boot's id, or ``-``
where the machine does not tell it). Standard library only.
"""

import os
import sys
import time
from pathlib import Path


def boot() -> str:
    """The id of this boot (proc(5)); a container has one of its own."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip() or "-"
    except OSError:
        return "-"


def main() -> None:
    """Answer until standard input ends."""
    name = os.uname()
    kernel = f"{name.release}/{name.version}".replace(" ", "_")
    this_boot = boot()
    for _ in sys.stdin:
        print(time.monotonic_ns(), time.time_ns(), kernel, this_boot, flush=True)


if __name__ == "__main__":
    main()
