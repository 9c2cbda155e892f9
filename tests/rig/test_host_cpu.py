"""The CPU that a benchmark charges to a lab host is that of all processes under the host's first one."""

from __future__ import annotations

import subprocess
import sys

import psutil
import pytest

from benchmarks.tls import host_cpu_s

_BURN = "import time\nwhile time.process_time() < 0.3: pass\n"
_SAY = "print(flush=True); input()\n"
_RUN = "import subprocess, sys; subprocess.run([sys.executable, '-c', {!r}])\n"


@pytest.mark.parametrize(
    "program",
    [_RUN.format(_BURN) + _SAY, _RUN.format(_BURN + _SAY)],
    ids=["ended", "running"],
)
def test_a_process_counts_while_it_runs_and_after_it_ended(program: str) -> None:
    """A source's QEMU ends with its migration."""
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as leader:
        assert leader.stdout is not None
        leader.stdout.readline()
        spent_s = host_cpu_s(psutil.Process(leader.pid))
        leader.communicate("\n")
    assert spent_s >= 0.29
