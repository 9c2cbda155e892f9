"""An attester's program that behaves as a test says."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from harness.attest.attester.contract import AttesterError, Limits

FAKE = """
import json, os, pathlib, sys, time
code = compile(pathlib.Path(sys.argv[-1]).read_text(), "behaviour", "exec")
def say(value):
    print(value if isinstance(value, str) else json.dumps(value), flush=True)
def properties():
    said = {"architecture": "tpm", "simulated": False, "memory_violations": None}
    return {**said, "reasons": {}, "boot_id": "b"}
say({"ready": {}})
for number, line in enumerate(sys.stdin):
    request = json.loads(line)
    exec(code)
"""


ANSWER = 'say({"id": request["id"], "ok": properties()})'


LIMITS = Limits(start_s=30, request_s=10, key_s=1.0)


def refused(asked: Callable[[], object]) -> AttesterError:
    with pytest.raises(AttesterError) as caught:
        asked()
    return caught.value
