"""Runs on a host of the rig: takes the rig's lock and holds it until standard input ends.

Standard library only; sent over SSH by harness/rig/lock.py, never installed.
"""

import datetime
import fcntl
import json
import os
import pathlib
import sys

PATH = "/run/sodbench-rig/lock"
"""In a folder of root's: /run/lock is open to all, who could hold the lock or put a link in its place.

And of its own: systemd removes /run/sodbench, with all in it, when the software TPM's service ends.
"""


def main() -> None:
    """Say ``held`` or ``locked`` with the holder's name in one line of JSON, then wait."""
    purpose = sys.stdin.readline().strip()
    pathlib.Path(PATH).parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    file = os.fdopen(os.open(PATH, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600), "r+")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        print(json.dumps({"state": "locked", "holder": file.read().strip() or "unknown"}), flush=True)
        return
    now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    file.truncate(0)
    file.write(f"{purpose}, since {now}\n")
    file.flush()
    print(json.dumps({"state": "held"}), flush=True)
    sys.stdin.read()
    file.truncate(0)


if __name__ == "__main__":
    main()
