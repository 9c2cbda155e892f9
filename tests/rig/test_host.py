"""Connections to a machine: through a proxy, and within its limits."""

from __future__ import annotations

import socket
import sys
import time
from dataclasses import replace
from pathlib import Path

import paramiko
import pytest

from harness.errors import UnreachableError
from harness.rig import host as host_module
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


def test_a_machine_whose_key_is_not_known_is_told_nothing(machine: Endpoint, tmp_path: Path) -> None:
    """Whoever answers in a machine's place would get the controller's commands, and its answers count."""
    nobody = tmp_path / "known_hosts"
    nobody.write_text("")
    with Host(replace(machine, known_hosts=nobody)) as host, pytest.raises(UnreachableError) as caught:
        host.run("uname")
    assert "not found in known_hosts" in caught.value.why


def test_a_machine_with_another_key_is_told_nothing(machine: Endpoint, tmp_path: Path) -> None:
    assert machine.known_hosts is not None
    place, kind, _ = machine.known_hosts.read_text().split()
    other = tmp_path / "known_hosts"
    other.write_text(f"{place} {kind} {paramiko.ECDSAKey.generate().get_base64()}\n")
    with Host(replace(machine, known_hosts=other)) as host, pytest.raises(UnreachableError):
        host.run("uname")


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


@pytest.mark.parametrize("command", ["drip", "drip on stderr"])
def test_a_byte_now_and_then_does_not_keep_the_controller(machine: Endpoint, command: str) -> None:
    endpoint = replace(machine, limits=Limits(command_s=1.0))
    with Host(endpoint) as host:
        host.run("warm up", timeout_s=20)
        began = time.monotonic()
        with pytest.raises(CommandError, match="no end after 1 s"):
            host.run(command)
        assert time.monotonic() - began < 5


def test_a_machine_that_never_says_whether_it_runs_a_command_is_given_up(machine: Endpoint) -> None:
    with Host(machine) as host:
        host.run("warm up", timeout_s=20)
        host.endpoint = replace(machine, limits=Limits(connect_s=0.5))
        began = time.monotonic()
        with pytest.raises(UnreachableError) as caught:
            host.run("mute")
        assert "does not say whether it runs this: mute" in caught.value.why
        assert time.monotonic() - began < 5
    with Host(machine) as host:
        host.run("warm up", timeout_s=20)
        host.endpoint = replace(machine, limits=Limits(connect_s=0.5))
        with pytest.raises(UnreachableError):
            host.stream("mute", lambda _stamp_ns, _line: None)


def test_a_standing_command_that_makes_no_room_is_given_up(
    machine: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(host_module, "SEND_S", 0.5)
    with Host(machine) as host:
        stream = host.stream("hang", lambda _stamp_ns, _line: None)
        stream.send("a line that fits")
        began = time.monotonic()
        with pytest.raises(UnreachableError, match="does not listen"):
            stream.send("x" * 4 * 2**20)
        assert time.monotonic() - began < 5


def test_a_connection_that_leaves_all_unread_ends(machine: Endpoint) -> None:
    with Host(machine) as host:
        host.run("warm up", timeout_s=20)
        link = host._connected().transport.sock
        assert link.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 900_000
