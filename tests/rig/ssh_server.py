"""A small SSH server in this process: one that answers commands, or that resets its connections."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import paramiko


class _Anybody(paramiko.ServerInterface):
    def check_auth_publickey(self, username: str, key: paramiko.PKey) -> int:
        return paramiko.common.AUTH_SUCCESSFUL

    def get_allowed_auths(self, username: str) -> str:
        return "publickey"

    def check_channel_request(self, kind: str, chanid: int) -> int:
        return paramiko.common.OPEN_SUCCEEDED

    def check_channel_exec_request(self, channel: paramiko.Channel, command: bytes) -> bool:
        if b"mute" in command:  # this thread is the connection's: nothing is answered any more
            time.sleep(10)
            return False
        threading.Thread(target=_answer, args=(channel, command.decode()), daemon=True).start()
        return True


def _answer(channel: paramiko.Channel, command: str) -> None:
    """``hang`` never ends, ``drip`` sends a byte ten times a second, ``mute`` is not even taken.

    ``reset`` ends the connection as a host that restarts does; the rest is echoed.

    Another thread says that the request was taken. A command that ended before that would close the channel
    under the client.
    """
    time.sleep(0.3)
    if "reset" in command:
        link = channel.get_transport().sock
        assert isinstance(link, socket.socket)
        link.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        link.close()
    elif "drip" in command:
        send = channel.sendall_stderr if "stderr" in command else channel.sendall
        if "stderr" in command:
            channel.shutdown_write()
        with contextlib.suppress(OSError):  # the client has closed it
            while True:
                send(b".")
                time.sleep(0.1)
    elif "hang" not in command:
        channel.sendall(f"{command}\n".encode())
        channel.send_exit_status(0)
        channel.close()


@contextmanager
def serving(folder: Path) -> Iterator[int]:
    """The port of a server on 127.0.0.1; `folder` gets its clients' ``key`` and ``known_hosts``."""
    host_key = paramiko.ECDSAKey.generate()
    paramiko.ECDSAKey.generate().write_private_key_file(str(folder / "key"))
    transports = []
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = int(server.getsockname()[1])
        name = f"[127.0.0.1]:{port}"
        (folder / "known_hosts").write_text(f"{name} {host_key.get_name()} {host_key.get_base64()}\n")

        def accept() -> None:
            while True:
                try:
                    link, _ = server.accept()
                except OSError:  # the block has ended
                    return
                transport = paramiko.Transport(link)
                transport.add_server_key(host_key)
                transports.append(transport)
                transport.start_server(server=_Anybody(), event=threading.Event())

        threading.Thread(target=accept, daemon=True).start()
        try:
            yield port
        finally:
            server.shutdown(socket.SHUT_RDWR)
            for transport in transports:
                transport.close()
