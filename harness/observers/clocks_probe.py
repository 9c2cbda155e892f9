"""Runs on a machine: answers each line with both of its clocks and its kernel.

Rows ``monotonic_ns realtime_ns kernel`` (uname's release and version, one word). Standard library only.
"""

import os
import sys
import time


def main() -> None:
    """Answer until standard input ends."""
    name = os.uname()
    kernel = f"{name.release}/{name.version}".replace(" ", "_")
    for _ in sys.stdin:
        print(time.monotonic_ns(), time.time_ns(), kernel, flush=True)


if __name__ == "__main__":
    main()
