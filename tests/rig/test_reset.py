"""A machine that resets its connections, as one that restarts does."""

from __future__ import annotations

import subprocess
import sys

from harness.rig.host import Host
from harness.rig.pair import Endpoint


def test_a_host_that_resets_its_connections_is_told_once_and_in_one_sentence(machine: Endpoint) -> None:
    program = (
        "from pathlib import Path\n"
        "from harness.errors import UnreachableError\n"
        "from harness.rig.host import Host\n"
        "from harness.rig.pair import Endpoint\n"
        f"host = Host(Endpoint(role='a', address='127.0.0.1', user='root', port={machine.port},"
        f" key=Path({str(machine.key)!r}), known_hosts=Path({str(machine.known_hosts)!r})))\n"
        "try:\n"
        "    host.run('reset')\n"
        "except UnreachableError as error:\n"
        "    print(error.why)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.stderr == ""
    assert done.stdout.startswith("the connection to the machine is gone")
    assert len(done.stdout.splitlines()) == 1


def test_a_standing_command_says_that_the_connection_is_gone(machine: Endpoint) -> None:
    reasons: list[str] = []
    with Host(machine) as host:
        channel = host.stream("reset", lambda _t_ns, _line: None, on_close=reasons.append)
        assert channel.close()
    assert reasons == ["the connection to the machine is gone"]
