"""Whatever an attester sends, the controller that watches others too keeps its memory."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.security import flood_files
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


@pytest.mark.parametrize("what", flood_files.FLOODS)
def test_no_file_and_no_command_takes_the_controllers_memory(what: str) -> None:
    command = [sys.executable, "-m", "tests.security.flood_files", what]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    ended, most_mib = done.stdout.split()
    assert int(most_mib) < MOST_MIB
    assert (ended == "read") == (what in {"sums-many", "command-longest", "yaml-laughs"})
