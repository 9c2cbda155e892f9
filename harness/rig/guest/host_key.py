"""How a guest is recognised: by the SSH host key that it made in this boot and told on its serial console.

A host writes the console into a file on the shared storage, and the controller asks a host for it over SSH
before each connection to the guest. So the first connection is to a known machine, and no two guests have
one key. Of a console only the first key counts: it is told before anything else than the image's own
programs runs, and whoever is root in the guest later has the key anyway.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from functools import partial
from pathlib import Path

from harness.clock import Clock
from harness.errors import UnreachableError
from harness.rig.contract import Machine
from harness.rig.guest import domain
from harness.rig.guest.guest import Guest
from harness.rig.host import Host
from harness.rig.pair import Pair

_SIZE_BYTES = 1 << 20
"""Of a console's beginning are searched."""

_PATTERN = "sodbench-host-key ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI[A-P][A-Za-z0-9+/]{42}"
"""The kind, then the kind and 32 bytes in base64, each with its length before it (RFC 8709, section 4)."""
_LINE = re.compile(rf"^{_PATTERN}(?=\r?$)", re.MULTILINE)


def told(console: str) -> str | None:
    """The key that a `console` tells first, as known_hosts has it after the address; None without one."""
    found = _LINE.search(console[:_SIZE_BYTES])
    return found[0].partition(" ")[2] if found else None


def reached(pair: Pair, guest: Guest, hosts: Mapping[str, Machine], folder: Path, clock: Clock) -> Host:
    """SSH to `guest`, whose host key is looked up before each connection and kept in `folder` meanwhile."""
    known_hosts = folder / guest.domain
    recognise = partial(learn, pair, guest, hosts, known_hosts)
    return Host(pair.guest(guest, known_hosts), clock, before_connecting=recognise)


def learn(pair: Pair, guest: Guest, hosts: Mapping[str, Machine], known_hosts: Path) -> None:
    """Write the key that `guest` told to `known_hosts`, in the format of that name; any host is asked.

    Raises:
        UnreachableError: No host answers, or the guest told none within two seconds.
    """
    console = domain.console(pair, guest)
    key = told(_said(list(hosts.values()), console))
    if key is None:
        raise UnreachableError(
            "the guest has not told its SSH host key",
            where=f"{guest.name}, {console}",
            why="its console has no line with one, by which the controller would recognise it",
            remedy="see what the console says; a guest of an older image is ended and started again",
            retry=True,
        )
    known_hosts.write_text(f"{guest.address} {key}\n")


def _said(hosts: list[Machine], console: str) -> str:
    """The console's line with the key, by the first of `hosts` that answers; empty where there is none.

    The line may still be on its way when the guest's SSH server answers already.
    """
    beginning = f"head -c {_SIZE_BYTES} {shlex.quote(console)} 2>/dev/null"
    look = f"{beginning} | grep -aEm1 {shlex.quote(f'^{_PATTERN}[[:cntrl:]]?$')}"
    command = f"for _ in $(seq 20); do {look} && exit; sleep 0.1; done"
    *others, last = hosts
    for host in others:
        try:
            return host.attempt(command)[1]
        except UnreachableError:
            continue
    return last.attempt(command)[1]
