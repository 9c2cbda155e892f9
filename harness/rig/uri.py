"""Addresses inside URIs, quoted (RFC 3986): nothing of a name or a path is taken for a part of the URI."""

from __future__ import annotations

from ipaddress import IPv6Address
from pathlib import Path
from urllib.parse import quote


def host_part(address: str) -> str:
    """`address` as a URI's host: an IPv6 address in brackets, its zone quoted (RFC 6874)."""
    plain, percent, zone = address.partition("%")
    try:
        IPv6Address(plain)
    except ValueError:
        return quote(address, safe="")
    return f"[{plain}%25{quote(zone, safe='')}]" if percent else f"[{plain}]"


def libvirt_over_ssh(*, user: str, address: str, port: int, command: Path) -> str:
    """The URI of a host's libvirt over SSH, through the ssh-like program `command` (libvirt, remote URIs)."""
    # A blank is %20: libvirt does not read + as one.
    program = quote(str(command), safe="/")
    return f"qemu+ssh://{quote(user, safe='')}@{host_part(address)}:{port}/system?command={program}"


def migration(address: str) -> str:
    """Where a migration connects to: QEMU's stream over TCP, on a port that the destination chooses."""
    return f"tcp://{host_part(address)}"
