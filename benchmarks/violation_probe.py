"""Runs on a machine: extends a PCR for each line ``pcr bank digest`` and says when, by its own clock.

Answers ``before_ns after_ns kernel`` (CLOCK_MONOTONIC; uname's release and version, one word), or ``error``
and why. Its argument is the attester's configuration, which says where the TPM is. Standard library and
tpm2-tools only.
"""

import os
import subprocess
import sys
import time
import tomllib


def main() -> None:
    """Answer until standard input ends."""
    with open(sys.argv[1], "rb") as file:  # noqa: PTH123 - as short as it can be sent
        tcti = tomllib.load(file)["tcti"]
    name = os.uname()
    kernel = f"{name.release}/{name.version}".replace(" ", "_")
    for line in sys.stdin:
        pcr, bank, digest = line.split()
        before_ns = time.monotonic_ns()
        done = subprocess.run(
            ["tpm2_pcrextend", "--tcti", tcti, f"{pcr}:{bank}={digest}"],
            capture_output=True,
            text=True,
            check=False,
        )
        after_ns = time.monotonic_ns()
        said = (
            f"error {done.stderr.split(chr(10))[0]}"
            if done.returncode
            else f"{before_ns} {after_ns} {kernel}"
        )
        print(said, flush=True)


if __name__ == "__main__":
    main()
