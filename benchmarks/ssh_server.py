"""An SSH server on this machine's loopback interface, in a process of its own, for benchmarks without a rig.

It prints its port, lets in who holds the key in FOLDER, and runs what it is asked to run, as an sshd would,
until its input closes. Run it with ``python -m benchmarks.ssh_server FOLDER``.
"""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
import threading
from pathlib import Path

import paramiko

HOST_KEY, USER_KEY = "host", "user"
"""Private keys in the folder."""


class _OneUser(paramiko.ServerInterface):
    """Lets in who has the key, and runs commands."""

    def __init__(self, key: paramiko.PKey) -> None:
        self._key = key

    def get_allowed_auths(self, username: str) -> str:
        """By key alone."""
        return "publickey"

    def check_auth_publickey(self, username: str, key: paramiko.PKey) -> int:
        """Whether it is the one key."""
        return paramiko.AUTH_SUCCESSFUL if key == self._key else paramiko.AUTH_FAILED

    def check_channel_request(self, kind: str, chanid: int) -> int:
        """Sessions only."""
        if kind == "session":
            return paramiko.OPEN_SUCCEEDED
        return paramiko.OPEN_FAILED_ADMINISTRATIVELY_PROHIBITED

    def check_channel_exec_request(self, channel: paramiko.Channel, command: bytes) -> bool:
        """Run it."""
        threading.Thread(target=_run, args=(channel, command.decode()), daemon=True).start()
        return True


def _run(channel: paramiko.Channel, command: str) -> None:
    process = subprocess.Popen(command, shell=True, bufsize=0, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdin is not None
    assert process.stdout is not None
    reader = threading.Thread(target=_feed, args=(channel, process), daemon=True)
    reader.start()
    while data := process.stdout.read(65536):
        channel.sendall(data)
    channel.send_exit_status(process.wait())
    channel.close()


def _feed(channel: paramiko.Channel, process: subprocess.Popen[bytes]) -> None:
    assert process.stdin is not None
    with process.stdin as to:
        while data := channel.recv(65536):
            to.write(data)


def _serve(connection: socket.socket, folder: Path) -> None:
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    transport = paramiko.Transport(connection)
    transport.add_server_key(paramiko.ECDSAKey.from_private_key_file(str(folder / HOST_KEY)))
    user = paramiko.ECDSAKey.from_private_key_file(str(folder / USER_KEY))
    transport.start_server(server=_OneUser(user))


def main(folder: Path) -> None:
    """Serve until standard input ends."""
    assert shutil.which("sh")
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def accept() -> None:
            while True:
                _serve(listening.accept()[0], folder)

        threading.Thread(target=accept, daemon=True).start()
        print(listening.getsockname()[1], flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
