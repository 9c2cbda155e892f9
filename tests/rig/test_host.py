"""Connections to a machine: through a proxy, within its limits, and when it resets them."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from harness.errors import UnreachableError
from harness.rig.host import CommandError, Host
from harness.rig.limits import Limits
from harness.rig.pair import Endpoint
from tests.rig.ssh_server import serving

RELAY = """
import os, socket, sys, threading
link = socket.create_connection((sys.argv[1], int(sys.argv[2])))
def up():
    while data := os.read(0, 65536):
        link.sendall(data)
    link.shutdown(socket.SHUT_WR)
threading.Thread(target=up, daemon=True).start()
while data := link.recv(65536):
    os.write(1, data)
"""


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Endpoint]:
    with serving(tmp_path) as port:
        yield Endpoint(
            role="a",
            address="127.0.0.1",
            user="root",
            port=port,
            key=tmp_path / "key",
            known_hosts=tmp_path / "known_hosts",
        )


def test_a_machine_behind_a_jump_is_reached_through_its_proxy_command(
    machine: Endpoint, tmp_path: Path
) -> None:
    relay = tmp_path / "relay.py"
    relay.write_text(RELAY)
    endpoint = replace(machine, proxy=f"{sys.executable} {relay} %h %p")
    with Host(endpoint) as host:
        assert host.answers(timeout_s=20)
        assert host.run("uname") == "uname\n"
        host.close()
        assert host.run("again") == "again\n"


def test_what_a_proxy_command_complains_of_is_told(machine: Endpoint) -> None:
    endpoint = replace(machine, proxy="echo the bastion is closed >&2; exit 1; %h")
    with Host(endpoint) as host:
        assert not host.answers()
        with pytest.raises(UnreachableError) as caught:
            host.run("uname")
    assert "the bastion is closed" in caught.value.why


def test_a_limit_that_is_exceeded_names_its_variable(machine: Endpoint) -> None:
    endpoint = replace(machine, limits=Limits(command_s=0.2))
    with Host(endpoint) as host, pytest.raises(CommandError) as caught:
        host.run("hang")
    assert caught.value.what == "no end after 0.2 s: hang"
    assert "sodbench_limits.command_s" in caught.value.remedy


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
