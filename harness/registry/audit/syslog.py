"""Anchors sent to a log daemon, of this machine or of another: a copy that this controller cannot take back.

A message has the form that every daemon takes, ``<priority>sodbench: text`` (RFC 3164, section 4.1), on the
daemon's datagram socket, or over TCP with a line feed at its end (RFC 6587, section 3.4.2). Over UDP a lost
message goes unseen.
"""

from __future__ import annotations

import re
import socket
from dataclasses import dataclass
from logging.handlers import SysLogHandler

from harness.errors import StorageError, UsageError
from harness.legible import legible

LIMIT_S = 2.0
"""For each step of sending: a log host that is silent delays a transaction no longer than two of these."""
_PRIORITY = SysLogHandler.LOG_AUTHPRIV << 3 | SysLogHandler.LOG_NOTICE
_TCP = re.compile(r"tcp://(?:\[(?P<literal>[0-9A-Fa-f:.]+)\]|(?P<host>[A-Za-z0-9._-]+)):(?P<port>[0-9]{1,5})")


@dataclass(frozen=True, slots=True)
class Syslog:
    """Where anchors are sent.

    Attributes:
        address: The path of the daemon's socket, such as ``/dev/log``, or ``tcp://host:port``.
    """

    address: str

    def __post_init__(self) -> None:
        """Refuse what is neither, before anything is stored.

        Raises:
            UsageError: It is neither.
        """
        if not self.address.startswith("/") and _target(self.address) is None:
            raise UsageError(
                "no log daemon for the audit log's anchors",
                where=legible(self.address),
                remedy="name its socket, such as /dev/log, or tcp://host:port",
            )

    def send(self, text: str) -> None:
        """Hand one line to the daemon.

        A daemon at the other end of TCP closes once it has read to the end; only that counts as received.

        Raises:
            StorageError: It does not take the line, or does not close in :data:`LIMIT_S`.
        """
        target, message = _target(self.address), f"<{_PRIORITY}>sodbench: {text}".encode()
        try:
            if target is None:
                _to_socket(self.address, message)
            else:
                _to_host(target, message + b"\n")
        except (OSError, UnicodeError) as error:  # the latter: a name that no host has
            raise StorageError(
                "the audit log's head cannot be anchored: the log daemon does not take it",
                where=legible(self.address),
                why=str(error),
                remedy="see that the daemon runs and takes messages there; the registry has everything",
            ) from error


def _target(address: str) -> tuple[str, int] | None:
    found = _TCP.fullmatch(address)
    if found is None or not 0 < int(found["port"]) < 2**16:
        return None
    return found["literal"] or found["host"], int(found["port"])


def _to_socket(path: str, message: bytes) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as opened:
        opened.settimeout(LIMIT_S)
        opened.connect(path)
        opened.send(message)


def _to_host(target: tuple[str, int], message: bytes) -> None:
    with socket.create_connection(target, timeout=LIMIT_S) as opened:
        opened.sendall(message)
        opened.shutdown(socket.SHUT_WR)
        if opened.recv(1):
            raise OSError("it answers, which no log daemon does")
