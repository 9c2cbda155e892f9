"""Connections to a machine: through a proxy, and within its limits."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import pytest

from harness.errors import UnreachableError
from harness.rig.contract import CommandError
from harness.rig.host import Host
from harness.rig.limits import Limits
from harness.rig.pair import Endpoint

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
