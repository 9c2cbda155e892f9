"""URIs of hosts and migrations, read back by URI parsers and by libvirt itself."""

from __future__ import annotations

import shutil
import sys
from dataclasses import replace
from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlsplit

import libvirt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.migration.driver import parameters
from harness.migration.options import MigrationOptions
from harness.rig.pair import Endpoint, GuestNetwork, Pair


def pair(address: str, user: str = "bench", port: int = 22) -> Pair:
    machine = Endpoint(role="a", address=address, user=user, port=port)
    return Pair(
        inventory=Path("pair.yml"),
        rig="pair",
        machines={role: replace(machine, role=role) for role in ("a", "b", "client")},
        migration_address={"a": address, "b": address},
        link_bit_s=None,
        storage_path="/srv/shared",
        bridge="br0",
        guest_network=GuestNetwork(address="192.0.2.9"),
        image_options={},
    )


ADDRESSES = st.one_of(
    st.ip_addresses().map(str),
    st.just("fe80::12%eth0"),
    st.from_regex(r"[a-z0-9]([a-z0-9.-]{0,20}[a-z0-9])?", fullmatch=True),
)
NAMES = st.text(st.characters(min_codepoint=33, exclude_categories=("Cs", "Cc")), min_size=1, max_size=20)
PATHS = st.text(st.characters(min_codepoint=32, exclude_categories=("Cs", "Cc")), max_size=30).map(
    lambda text: Path("/t") / text.replace("/", "_").strip(".")
)


@given(address=ADDRESSES, user=NAMES, port=st.integers(1, 65535), command=PATHS)
def test_every_part_of_a_connection_is_read_back(address: str, user: str, port: int, command: Path) -> None:
    uri = pair(address, user, port).libvirt_uri("a", command)
    found = urlsplit(uri)
    assert unquote(found.username or "") == user
    assert unquote(found.hostname or "") == address
    assert (found.scheme, found.port, found.path) == ("qemu+ssh", port, "/system")
    assert parse_qsl(found.query, strict_parsing=True) == [("command", str(command))]
    assert found.fragment == ""


@given(address=ADDRESSES)
def test_the_address_of_a_migration_is_read_back(address: str) -> None:
    uri = parameters(MigrationOptions(), address=address)[libvirt.VIR_MIGRATE_PARAM_URI]
    found = urlsplit(str(uri))
    assert (found.scheme, unquote(found.hostname or ""), found.port) == ("tcp", address, None)


@pytest.mark.parametrize(
    ("address", "uri"),
    [
        ("192.0.2.1", "tcp://192.0.2.1"),
        ("2001:db8::2", "tcp://[2001:db8::2]"),
        ("fe80::2%eth0", "tcp://[fe80::2%25eth0]"),
    ],
)
def test_an_ipv6_address_stands_in_brackets(address: str, uri: str) -> None:
    assert parameters(MigrationOptions(), address=address)[libvirt.VIR_MIGRATE_PARAM_URI] == uri


@pytest.mark.parametrize(
    ("user", "address"),
    [
        ("bench", "192.0.2.1"),
        ("bench@example.com", "host-a"),
        ("EXAMPLE\\bench", "2001:db8::2"),
        ("a b&c#d%41?e/f", "host-a"),
        ("jörg", "fe80::2%eth0"),
    ],
)
def test_libvirt_itself_starts_the_command_with_what_was_meant(
    user: str, address: str, tmp_path: Path
) -> None:
    folder = tmp_path / "a b & c#d%41 ü"
    folder.mkdir()
    command = folder / "ssh"
    said = tmp_path / "arguments"
    copy = shutil.which("printf") or "printf"
    command.write_text(f"#!/bin/sh\n{copy} '%s\\n' \"$@\" > {said}\nexit 1\n")
    command.chmod(0o700)
    libvirt.registerErrorHandler(lambda _context, _error: None, None)
    with pytest.raises(libvirt.libvirtError):
        libvirt.open(pair(address, user, 2222).libvirt_uri("a", command))
    words = said.read_text(sys.getfilesystemencoding()).splitlines()
    assert words[words.index("-l") + 1] == user
    assert words[words.index("-p") + 1] == "2222"
    assert words[words.index("--") + 1] == address
