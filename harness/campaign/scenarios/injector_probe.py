"""Runs on a host: does one of two bad things for each line it reads, and says when, by its own clock.

``count PATH NUMBER`` writes the simulated number of memory violations; ``extend PCR BANK DIGEST TCTI``
extends a PCR of the host's TPM, which nothing but a restart of the TPM takes back. Answers ``before_ns
after_ns kernel`` (CLOCK_MONOTONIC; uname's release and version as one word), or ``error`` and why. Standard
library and tpm2-tools only.
"""

import os
import subprocess
import sys
import time
from collections.abc import Sequence


def act(words: Sequence[str]) -> str:
    """What went wrong, or nothing."""
    if words[0] == "count":
        path, number = words[1:]
        with open(f"{path}.new", "w", encoding="ascii") as file:  # noqa: PTH123 - as short as it can be sent
            file.write(f"{int(number)}\n")
        os.replace(f"{path}.new", path)  # noqa: PTH105
        return ""
    pcr, bank, digest, tcti = words[1:]
    done = subprocess.run(
        ["tpm2_pcrextend", "--tcti", tcti, f"{int(pcr)}:{bank}={digest}"],
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stderr.split("\n")[0] or "tpm2_pcrextend failed" if done.returncode else ""


def main() -> None:
    """Answer until standard input ends."""
    name = os.uname()
    kernel = f"{name.release}/{name.version}".replace(" ", "_")
    print("ready", flush=True)
    for line in sys.stdin:
        before_ns = time.monotonic_ns()
        try:
            wrong = act(line.split())
        except (OSError, ValueError) as error:
            wrong = str(error)
        after_ns = time.monotonic_ns()
        print(f"error {wrong}" if wrong else f"{before_ns} {after_ns} {kernel}", flush=True)


if __name__ == "__main__":
    main()
