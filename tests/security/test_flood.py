"""Whatever an attester sends, the controller that watches others too keeps its memory."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.security.flood import FLOODS

MOST_MIB = 500

pytestmark = pytest.mark.programs


@pytest.mark.parametrize("what", FLOODS)
def test_the_controller_keeps_its_memory(what: str) -> None:
    command = [sys.executable, "-m", "tests.security.flood", what]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    reason, most_mib = done.stdout.split()
    assert int(most_mib) < MOST_MIB
    expected = {
        "keys": {"size-limit"},
        "line": {"size-limit"},
        "quote-line": {"size-limit"},
        "lines-after": {"answered"},
        "stderr": {"attester-failed"},
        "quote-not-ascii": {"attester-failed"},
    }
    assert reason in expected.get(what, {"malformed-evidence"})
