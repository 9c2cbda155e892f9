"""What a run needs of machines and hypervisors, so that it can be carried out on others than real ones.

The real ones are in ``host.py`` (SSH) and ``hypervisors.py`` (libvirt), the played ones in ``played/``. What
orchestrates a run imports this module and neither of them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from enum import IntEnum
from pathlib import Path
from typing import Protocol, TypeAlias

from harness.errors import SodbenchError
from harness.json_types import Json
from harness.rig.limits import LimitName
from harness.rig.pair import Endpoint

LineHandler: TypeAlias = Callable[[int, str], None]
"""Called with the controller's CLOCK_MONOTONIC in ns on arrival, and the line without its end."""

CompletionHandler: TypeAlias = Callable[[str, Mapping[str, Json]], None]
"""Called with a domain's name and the final statistics of its migration, on the hypervisor's own thread."""

QemuHandler: TypeAlias = Callable[[str, str, int, Mapping[str, Json]], None]
"""Called with a domain's name, the event's, the host's wall clock in microseconds and the event's details."""

Unsubscribe: TypeAlias = Callable[[], None]
"""Ends a subscription; twice does no harm."""


class CommandError(SodbenchError):
    """A command on a machine of the rig failed."""

    exit_code = 5
    kind = "command"


class HypervisorError(SodbenchError):
    """A hypervisor refuses, or does not answer."""

    exit_code = 8
    kind = "hypervisor"


class NoDomainError(HypervisorError):
    """The hypervisor does not know the domain."""


class WrongStateError(HypervisorError):
    """The domain is not in a state in which that can be done, or has gone while it was asked."""


class DomainState(IntEnum):
    """The states that are told apart, with libvirt's numbers (virDomainState)."""

    RUNNING = 1
    BLOCKED = 2
    PAUSED = 3
    OFF = 5
    SUSPENDED_BY_GUEST = 7


class PausedReason(IntEnum):
    """Why a domain is paused, with libvirt's numbers (virDomainPausedReason)."""

    USER = 1
    MIGRATION = 2
    POST_COPY = 12
    POST_COPY_FAILED = 13


class Stream(Protocol):
    """A standing command on a machine: its lines arrive stamped, lines can be sent, closing ends it."""

    exit_status: int | None

    def send(self, line: str) -> None:
        """Send one line to the command's standard input.

        Raises:
            UnreachableError: The command has ended, or its machine is gone.
        """
        ...

    @property
    def ended(self) -> bool:
        """Whether the command has ended or the connection is gone."""
        ...

    def close(self, *, wait_s: float = 5.0) -> bool:
        """End the command within `wait_s`; whether it ended."""
        ...


class Machine(Protocol):
    """One machine of the rig, or the guest."""

    endpoint: Endpoint
    role: str

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
        ...

    def attempt(
        self,
        command: str,
        *,
        timeout_s: float | None = None,
        limit: LimitName = "command_s",
        root: bool = True,
    ) -> tuple[int, str, str]:
        """Exit status, standard output and standard error of `command`; a failure is an answer here."""
        ...

    def stream(
        self,
        command: str,
        on_line: LineHandler,
        *,
        on_close: Callable[[str], None] = lambda _reason: None,
        root: bool = True,
        fits: Callable[[int], bool] | None = None,
    ) -> Stream:
        """Start `command` and hand over each line of its output; `on_close` is called once, with the reason.

        A line whose bytes so far do not fit, by default those of 16 MiB, ends the command, and so does an
        OSError of `on_line`.

        Raises:
            UnreachableError: The machine does not answer.
        """
        ...

    def python(self, program: Path, arguments: str = "") -> str:
        """The command that runs a Python program of ours there without leaving a file behind."""
        ...

    def answers(self, *, timeout_s: float = 2.0) -> bool:
        """Whether the machine lets itself be greeted; no login."""
        ...

    def close(self) -> None:
        """Close the connection; a later call opens it again."""
        ...


class Job(Protocol):
    """The migration of a domain, seen from a host that has it. Each call may raise HypervisorError."""

    def limit_downtime(self, milliseconds: int) -> None:
        """Set the longest blackout that the next migration aims at."""
        ...

    def migrate(self, destination: Hypervisor, parameters: Mapping[str, str | int], flags: int) -> None:
        """Move the domain to `destination`; blocks until it is over.

        `parameters` and `flags` are virDomainMigrate3's (:mod:`harness.migration.driver`).
        """
        ...

    def switch_to_post_copy(self) -> None:
        """Let the guest run at the destination now, its memory following."""
        ...

    def cancel(self) -> None:
        """Ask the running migration to stop."""
        ...

    def running(self) -> bool:
        """Whether a migration is under way."""
        ...

    def statistics(self, *, completed: bool = False) -> Mapping[str, Json]:
        """The running migration's statistics, or those of the `completed` one, which are kept."""
        ...

    def qemu(self, command: str, arguments: Mapping[str, Json] | None = None) -> Json:
        """The answer of the domain's QEMU to the monitor command of that name (QMP)."""
        ...


class Domain(Protocol):
    """A guest as one host knows it. Each call may raise HypervisorError."""

    @property
    def job(self) -> Job:
        """Its migration."""
        ...

    def uuid(self) -> str:
        """Its UUID."""
        ...

    def state(self) -> tuple[int, int]:
        """Its state and the reason of it (virDomainState; :class:`DomainState`, :class:`PausedReason`)."""
        ...

    def secret(self) -> str | None:
        """The UUID of the secret that its TPM's state is encrypted with; None where it is not."""
        ...

    def suspend(self) -> None:
        """Stop its processors; its memory stays."""
        ...

    def resume(self) -> None:
        """Let it run on."""
        ...

    def destroy(self) -> None:
        """End it at once."""
        ...

    def save(self, path: str) -> None:
        """Write its memory to `path` on the host; it is gone from the host afterwards."""
        ...


class Hypervisor(Protocol):
    """One host's hypervisor. Each call may raise HypervisorError."""

    def version(self) -> int:
        """A number that changes with the hypervisor's version."""
        ...

    def domain(self, name: str) -> Domain:
        """The domain of that name.

        Raises:
            NoDomainError: There is none.
        """
        ...

    def domains(self) -> Sequence[str]:
        """The names of all its domains, whatever their state."""
        ...

    def set_secret(self, secret: str, domain: str, value: bytes) -> None:
        """Hold `value` under that UUID, in memory, for the TPM of `domain`; it replaces another of its."""
        ...

    def forget_secret(self, domain: str) -> None:
        """Forget the secret of that domain's TPM; fine where there is none."""
        ...

    def start(self, xml: str) -> None:
        """Start the domain that `xml` describes."""
        ...

    def restore(self, path: str) -> None:
        """Bring the domain that was saved to `path` to life."""
        ...

    def on_completed(self, told: CompletionHandler) -> Unsubscribe:
        """Have `told` called for each migration that completes, until unsubscribed."""
        ...

    def on_qemu_event(self, told: QemuHandler) -> Unsubscribe:
        """Have `told` called for each event of a QEMU, until unsubscribed; it must not call back."""
        ...


class Hypervisors(Protocol):
    """The hypervisors of both hosts."""

    def connect(self) -> Mapping[str, Hypervisor]:
        """Live connections by host, opening those that are not.

        Raises:
            UnreachableError: A host's hypervisor does not answer.
        """
        ...
