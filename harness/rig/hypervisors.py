"""Standing libvirt connections to both hosts, with the event loop that keeps them alive.

A connection that has died (libvirtd restarted, host gone) is opened anew by `connect`; nothing here retries a
measurement. libvirt allows one event loop in a process: it is started with the first value and ends with the
process.
"""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path

import libvirt

from harness.errors import UnreachableError
from harness.rig.pair import HOSTS, Pair, ssh_command_text

_KEEPALIVE_S = 5
_KEEPALIVE_COUNT = 3


class Hypervisors(AbstractContextManager["Hypervisors"]):
    """libvirt on host a and host b. A context manager: leaving it closes the connections."""

    def __init__(self, pair: Pair) -> None:
        self._pair = pair
        self._commands = tempfile.TemporaryDirectory(prefix="sodbench-ssh-")
        self._connections: dict[str, libvirt.virConnect] = {}
        _start_event_loop()
        for role in HOSTS:
            command = Path(self._commands.name) / role
            command.write_text(ssh_command_text(pair.machines[role]))
            command.chmod(0o700)

    def connect(self) -> Mapping[str, libvirt.virConnect]:
        """Live connections by host, opening those that are not.

        Raises:
            UnreachableError: A host's libvirt does not answer.
        """
        for role in HOSTS:
            if not _alive(self._connections.get(role)):
                self._connections[role] = self._open(role)
        return dict(self._connections)

    def _open(self, role: str) -> libvirt.virConnect:
        uri = self._pair.libvirt_uri(role, Path(self._commands.name) / role)
        try:
            connection = libvirt.open(uri)
            connection.setKeepAlive(_KEEPALIVE_S, _KEEPALIVE_COUNT)
        except libvirt.libvirtError as error:
            raise UnreachableError(
                "libvirt does not answer",
                where=f"host {role} ({self._pair.machines[role].address})",
                why=str(error),
                remedy="`systemctl status libvirtd` there; `sodbench provision` installs and starts it",
                retry=True,
            ) from error
        return connection

    def close(self) -> None:
        """Close both connections."""
        for connection in self._connections.values():
            try:
                connection.close()
            except libvirt.libvirtError:  # it is gone already, which is what was wanted
                continue
        self._connections.clear()
        self._commands.cleanup()

    def __exit__(self, *details: object) -> None:
        self.close()


def _alive(connection: libvirt.virConnect | None) -> bool:
    """Whether the daemon behind `connection` answers: asked, because isAlive() learns of a death late."""
    if connection is None:
        return False
    try:
        return bool(connection.isAlive()) and connection.getLibVersion() > 0
    except libvirt.libvirtError:
        return False


def _start_event_loop() -> None:
    if any(thread.name == "libvirt-events" for thread in threading.enumerate()):
        return
    # The default handler prints every error to stderr; ours carry the same text in the exception.
    libvirt.registerErrorHandler(lambda _context, _error: None, None)
    libvirt.virEventRegisterDefaultImpl()
    threading.Thread(target=_run_events, name="libvirt-events", daemon=True).start()


def _run_events() -> None:
    while True:
        libvirt.virEventRunDefaultImpl()
