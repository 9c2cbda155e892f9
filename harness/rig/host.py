"""A machine over SSH: commands with their output, and standing channels whose lines are stamped on arrival.

One connection a machine, kept open: a measurement must not pay for a handshake. Host keys are checked and an
unknown one is refused; the user's own files are used only where the inventory names none of its own.
"""

from __future__ import annotations

import contextlib
import logging
import shlex
import socket
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import paramiko
from fabric import Config, Connection

from harness.clock import Clock, MonotonicClock
from harness.errors import UnreachableError
from harness.rig import deadline, lines
from harness.rig.contract import CommandError, LineHandler
from harness.rig.limits import LimitName, Limits
from harness.rig.pair import Endpoint
from harness.rig.proxy import ProxyConnection
from harness.rig.ssh_arguments import expand

# What paramiko logs of a lost connection is raised as an error too, which says where; without a handler
# Python would print it as well.
logging.getLogger("paramiko").addHandler(logging.NullHandler())

SEND_S = 15.0
"""How long a standing command may take to make room for a line that is sent to it."""
_KEEPALIVE_S = 5
_UNREAD_S = 900
"""How long a machine may leave unread what was sent to it."""
_GONE = "the connection to the machine is gone"


class Channel:
    """A standing command on a machine: its lines arrive stamped, lines can be sent, closing ends it.

    The remote program is expected to end when its standard input does, so that nothing of it stays behind
    when the controller dies.
    """

    def __init__(
        self,
        channel: paramiko.Channel,
        on_line: LineHandler,
        clock: Clock,
        on_close: Callable[[str], None],
        fits: lines.Fits | None = None,
    ) -> None:
        self._channel = channel
        self._cutter = lines.LineCutter(on_line, fits or _fits)
        self._on_close = on_close
        self._clock = clock
        self._ended = threading.Event()
        self.exit_status: int | None = None
        self._reader = threading.Thread(target=self._read, daemon=True, name="ssh-lines")
        self._reader.start()

    def _read(self) -> None:
        reason = ""
        try:
            self._read_lines()
            said = lines.last_line(self._channel.recv_stderr)
            self.exit_status = self._channel.recv_exit_status()
            lost = self.exit_status == -1 and _lost(self._channel)
            reason = said or (_GONE if lost else f"exit status {self.exit_status}")
        except (OSError, EOFError, paramiko.SSHException) as error:
            reason = str(error) or type(error).__name__
            self._channel.close()
        finally:
            self._ended.set()
            self._on_close(reason)

    def _read_lines(self) -> None:
        """Hand over line by line until the output ends; OSError for a line that is too long."""
        while data := self._channel.recv(65536):
            self._cutter.feed(self._clock.now_ns(), data)

    def send(self, line: str) -> None:
        """Send one line to the command's standard input.

        Raises:
            UnreachableError: The command has ended, or its machine is gone.
        """
        data = line.encode() + b"\n"
        # A timer costs a thread, and a request is timed: a program that listens has room for one.
        full = self._channel.out_window_size < len(data)
        try:
            with deadline.closing_after(SEND_S, self._channel.close) if full else contextlib.nullcontext():
                self._channel.sendall(data)
        except (OSError, EOFError, paramiko.SSHException) as error:
            raise UnreachableError(
                "a standing command does not listen any more", why=str(error) or "closed", retry=True
            ) from error

    @property
    def ended(self) -> bool:
        """Whether the command has ended or the connection is gone."""
        return self._ended.is_set()

    def close(self, *, wait_s: float = 5.0) -> bool:
        """End the command, its input first and the channel after `wait_s` at most; whether it ended."""
        with contextlib.suppress(OSError):  # it has ended already
            self._channel.shutdown_write()
        ended = self._ended.wait(wait_s)
        self._channel.close()
        return ended


class Host(AbstractContextManager["Host"]):
    """One machine of the rig, or the guest. Connects on first use."""

    def __init__(
        self,
        endpoint: Endpoint,
        clock: Clock | None = None,
        *,
        before_connecting: Callable[[], None] = lambda: None,
    ) -> None:
        """`before_connecting` is called before each connection: it may write the known host key."""
        self.endpoint = endpoint
        self._before_connecting = before_connecting
        self.role = endpoint.role
        self._clock = clock or MonotonicClock()
        self._lock = threading.Lock()
        self._connection: Connection | None = None
        self._proxy: ProxyConnection | None = None

    def _connected(self) -> Connection:
        with self._lock:
            if self._connection is not None and self._connection.is_connected:
                return self._connection
            self._connection = self._connect()
            return self._connection

    def _connect(self) -> Connection:
        self._before_connecting()
        endpoint, limit_s = self.endpoint, self.endpoint.limits.connect_s
        arguments: dict[str, object] = {"banner_timeout": limit_s, "auth_timeout": limit_s}
        if endpoint.key:
            arguments |= {"key_filename": str(endpoint.key), "look_for_keys": False, "allow_agent": False}
        if endpoint.proxy:
            self._proxy = self._through_proxy(endpoint.proxy)
            arguments["sock"] = self._proxy.socket
        connection = Connection(
            endpoint.address,
            user=endpoint.user,
            port=endpoint.port,
            gateway=False if endpoint.proxy else None,
            connect_timeout=limit_s,
            connect_kwargs=arguments,
            config=Config(overrides={"load_ssh_configs": endpoint.reads_configuration}),
        )
        client = connection.client
        client.set_missing_host_key_policy(paramiko.RejectPolicy())
        try:
            if endpoint.known_hosts:
                client.load_host_keys(str(endpoint.known_hosts))
            else:
                client.load_system_host_keys()
            connection.open()
        except (OSError, paramiko.SSHException, EOFError) as error:
            connection.close()
            raise self._unreachable(error) from error
        connection.transport.set_keepalive(_KEEPALIVE_S)
        link = connection.transport.sock
        if isinstance(link, socket.socket) and link.family != socket.AF_UNIX:
            # Small requests are timed: none may wait for the acknowledgement of another's bytes (tcp(7)).
            link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            # Its receiver could otherwise keep a sender for ever by never making room.
            link.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _UNREAD_S * 1000)
        return connection

    def _through_proxy(self, proxy: str) -> ProxyConnection:
        one = self.endpoint
        return ProxyConnection(expand(proxy, address=one.address, port=one.port, user=one.user))

    def _unreachable(self, error: BaseException) -> UnreachableError:
        endpoint = self.endpoint
        why = f"{type(error).__name__}: {error}"
        if isinstance(error, EOFError | ConnectionError):
            why = f"{_GONE} ({why})"
        if self._proxy is not None:
            why = f"{why}; its proxy command said: {self._proxy.said() or 'nothing'}"
        remedy, retry = f"check that {endpoint.address} is up and its sshd answers", True
        if isinstance(error, TimeoutError) or str(error) == "Error reading SSH protocol banner":
            remedy += f"; {Limits.advice('connect_s', self.role)}"
        if isinstance(error, paramiko.AuthenticationException):
            remedy, retry = f"put the public half of {endpoint.key or 'your key'} there", False
        elif isinstance(error, paramiko.BadHostKeyException) or "not found in known_hosts" in str(error):
            remedy, retry = f"put the machine's host key into {endpoint.known_hosts or 'known_hosts'}", False
        return UnreachableError(
            "the machine cannot be reached over ssh",
            where=f"{self.role} ({endpoint.user}@{endpoint.address}:{endpoint.port})",
            why=why,
            remedy=remedy,
            retry=retry,
        )

    def run(
        self,
        command: str,
        *,
        timeout_s: float | None = None,
        limit: LimitName = "command_s",
        root: bool = True,
    ) -> str:
        """The standard output of `command` there.

        Raises:
            CommandError: It failed, or took longer than `timeout_s`, by default the machine's `limit`.
            UnreachableError: The machine does not answer.
        """
        status, out, err = self.attempt(command, timeout_s=timeout_s, limit=limit, root=root)
        if status != 0:
            raise CommandError(
                f"exit status {status} of: {command[:300]}",
                where=f"{self.role} ({self.endpoint.address})",
                why=(err or out).strip()[-800:],
            )
        return out

    def attempt(
        self,
        command: str,
        *,
        timeout_s: float | None = None,
        limit: LimitName = "command_s",
        root: bool = True,
    ) -> tuple[int, str, str]:
        """Exit status, standard output and standard error of `command`; a failure is an answer here."""
        wait_s = self.endpoint.limits.seconds(limit) if timeout_s is None else timeout_s
        try:
            channel = self._open(command, root=root)
            status, out, err = deadline.outcome(channel, self._clock, wait_s)
        except TimeoutError as error:
            raise CommandError(
                f"no end after {wait_s:g} s: {command[:300]}",
                where=f"{self.role} ({self.endpoint.address})",
                remedy=Limits.advice(limit, self.role) if timeout_s is None else "",
                retry=True,
            ) from error
        except (OSError, paramiko.SSHException, EOFError) as error:
            raise self._unreachable(error) from error
        if status == -1 and _lost(channel):
            raise self._unreachable(EOFError(f"while this ran: {command[:100]}"))
        return status, out, err

    def _open(self, command: str, *, root: bool) -> paramiko.Channel:
        # Fabric's own create_session() waits an hour for a machine that has gone silent.
        limit_s = self.endpoint.limits.connect_s
        transport: paramiko.Transport = self._connected().transport
        try:
            with deadline.closing_after(2 * limit_s, transport.close):
                channel = transport.open_session(timeout=limit_s)
                channel.exec_command(self._as_root(command) if root else command)
        except TimeoutError as error:
            silent = TimeoutError(f"it does not say whether it runs this: {command[:100]}")
            raise self._unreachable(silent) from error
        return channel

    def _as_root(self, command: str) -> str:
        if self.endpoint.user == "root":
            return command
        return f"sudo -n sh -c {shlex.quote(command)}"

    def stream(
        self,
        command: str,
        on_line: LineHandler,
        *,
        on_close: Callable[[str], None] = lambda _reason: None,
        root: bool = True,
        fits: lines.Fits | None = None,
    ) -> Channel:
        """Start `command` and hand over each line of its output as it arrives.

        A line whose bytes so far do not fit, by default those of 16 MiB, ends the command, and so does an
        OSError of `on_line`.

        `on_line` and `on_close` are called from the channel's own thread; `on_close` once, with the reason.
        """
        try:
            channel = self._open(command, root=root)
        except (OSError, paramiko.SSHException, EOFError) as error:
            raise self._unreachable(error) from error
        return Channel(channel, on_line, self._clock, on_close, fits)

    def python(self, program: Path, arguments: str = "") -> str:
        """The command that runs a Python program of ours there without leaving a file behind."""
        return f"exec python3 -u -c {shlex.quote(program.read_text())} {arguments}"

    def answers(self, *, timeout_s: float = 2.0) -> bool:
        """Whether an sshd greets on the machine's port; no login."""
        one = self.endpoint
        try:
            if one.proxy:
                with contextlib.closing(self._through_proxy(one.proxy)) as proxied:
                    return _greets(proxied.socket, timeout_s)
            with socket.create_connection((one.address, one.port), timeout_s) as connection:
                return _greets(connection, timeout_s)
        except OSError:
            return False

    def close(self) -> None:
        """Close the connection; a later call opens it again."""
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None
            if self._proxy is not None:
                self._proxy.close()
                self._proxy = None

    def __exit__(self, *details: object) -> None:
        self.close()


def _fits(size_bytes: int) -> bool:
    return size_bytes <= lines.LONGEST_LINE_BYTES


def _lost(channel: paramiko.Channel) -> bool:
    """Whether the channel's connection has ended; one channel may also end by itself, by a signal."""
    transport = channel.get_transport()
    return not transport.is_active() or transport.saved_exception is not None


def _greets(connection: socket.socket, timeout_s: float) -> bool:
    connection.settimeout(timeout_s)
    return connection.recv(4) == b"SSH-"
