"""A connection through a ProxyCommand, as a socket: what the program reads and writes is the other end's."""

from __future__ import annotations

import socket
import subprocess
import tempfile
import threading


class ProxyConnection:
    """A running ProxyCommand; closing :attr:`socket` ends it.

    A socket of its own rather than paramiko's ProxyCommand, which spins for ever once the program has ended.
    """

    def __init__(self, command: str) -> None:
        """Start the shell command `command`."""
        self.socket, theirs = socket.socketpair()
        self._complaints = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the connection
        with theirs:
            process = subprocess.Popen(
                ["/bin/sh", "-c", f"exec {command}"],
                stdin=theirs.fileno(),
                stdout=theirs.fileno(),
                stderr=self._complaints,
                start_new_session=True,  # an interrupt at the terminal is the harness's to handle
            )
        threading.Thread(target=process.wait, daemon=True, name="ssh-proxy").start()

    def said(self) -> str:
        """The end of what the program printed to standard error, in one line."""
        self._complaints.seek(0)
        return " ".join(self._complaints.read(65536).decode(errors="replace").split())[-500:]

    def close(self) -> None:
        """End the connection."""
        self.socket.close()
        self._complaints.close()
