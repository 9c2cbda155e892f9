"""A program that floods whoever asks it, and a controller in a process of its own whose memory is measured.

python -m tests.security.flood WHAT      prints the reason and the most memory of the process, in MiB
"""

from __future__ import annotations

import contextlib
import sys
import tempfile
import time
from pathlib import Path

from harness.attest.attester.contract import Ask, AttesterError, Limits
from harness.attest.played.local_attester import LocalAttester
from harness.clock import MonotonicClock
from harness.errors import SodbenchError

ANSWER = (
    b'{"id":1,"ok":{"architecture":"tpm","simulated":false,"memory_violations":0,"reasons":{},'
    b'"boot_id":"b"}}\n'
)
SERVE = """
import sys
what = sys.argv[-1]
out, err = sys.stdout.buffer, sys.stderr.buffer
out.write(b'{"ready":{}}\\n'); out.flush()
sys.stdin.readline()
def forever(stream, piece):
    while True:
        stream.write(piece)
MIB = b"x" * 2**20
if what == "keys":
    out.write(b'{"id":1,"ok":{' + b",".join(b'"%d":[]' % n for n in range(3_000_000)) + b"}}\\n")
elif what == "quote-keys":
    out.write(b'{"id":1,"ok":{' + b",".join(b'"%d":[]' % n for n in range(3_000_000)) + b"}}\\n")
elif what == "quote-depth":
    out.write(b'{"id":1,"ok":' + b"[" * 100_000_000 + b"\\n")
elif what == "quote-wide":
    out.write(b'{"id":1,"ok":{"attest":"\\\\ud83d\\\\ude00' + 100 * MIB + b'"}}\\n')
elif what == "quote-not-ascii":
    out.write(b'{"id":1,"ok":{"attest":"' + "\\U0001f600".encode() + 100 * MIB + b'"}}\\n')
elif what == "quote-long":
    out.write(b'{"id":1,"ok":{"attest":"' + 100 * MIB + b'"}}\\n')
elif what == "line":
    out.write(b'{"id":1,"ok":{"'); forever(out, MIB)
elif what == "quote-line":
    out.write(b'{"id":1,"ok":{"'); forever(out, MIB)
elif what == "stderr":
    import os; out.flush(); os.close(1); forever(err, MIB)
elif what == "lines-after":
    out.write(ANSWER); out.flush(); forever(out, b"more\\n" * 10_000)
out.flush()
sys.stdin.readline()
"""
FLOODS = (
    *("keys", "quote-keys", "quote-depth", "quote-wide", "quote-not-ascii", "quote-long"),
    *("line", "quote-line", "stderr", "lines-after"),
)


def main(what: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        program = Path(folder) / "flood.py"
        program.write_text(SERVE.replace("ANSWER", repr(ANSWER)))
        limits = Limits(start_s=30, request_s=60, key_s=60)
        attester = LocalAttester(
            Path(what), MonotonicClock(), program=program, python=sys.executable, limits=limits
        )
        reason = "answered"
        with contextlib.closing(attester):
            try:
                if what.startswith("quote"):
                    attester.quote(Ask(key="ecc-p256", nonce=bytes(32), pcrs=(0,), ima_from=0))
                else:
                    attester.properties()
            except AttesterError as error:
                reason = error.reason.value
            except SodbenchError as error:
                reason = error.kind
            if what == "lines-after":
                time.sleep(1.0)
    # Not ru_maxrss: that keeps what the process that started this one held when it forked.
    status = Path("/proc/self/status").read_text(encoding="ascii")
    print(reason, int(status.partition("VmHWM:")[2].split()[0]) // 1024)


if __name__ == "__main__":
    main(sys.argv[1])
