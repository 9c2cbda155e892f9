"""Standing libvirt connections to both hosts, with the event loop that keeps them alive.

A connection that has died (libvirtd restarted, host gone) is opened again by `connect`; nothing here retries
a measurement. libvirt allows one event loop in a process: it is started with the first value and ends with
the process. What libvirt raises becomes a HypervisorError of the contract, with libvirt's own words.
"""

from __future__ import annotations

import contextlib
import json
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import cast
from xml.etree import ElementTree as Xml

import libvirt
import libvirt_qemu

from harness.errors import UnreachableError
from harness.json_types import Json
from harness.pair_name import HOSTS
from harness.rig.contract import (
    CompletionHandler,
    Domain,
    Hypervisor,
    HypervisorError,
    NoDomainError,
    QemuHandler,
    Unsubscribe,
    WrongStateError,
)
from harness.rig.pair import Pair, ssh_command_text

_KEEPALIVE_S = 5
_KEEPALIVE_COUNT = 3
_MICROSECONDS = 1_000_000
_MOST_SAID = 16 * 2**10
"""Characters of an event's details or an answer of QEMU's, which have a few thousand at most."""

_ERRORS = MappingProxyType(
    {
        libvirt.VIR_ERR_NO_DOMAIN: NoDomainError,
        libvirt.VIR_ERR_OPERATION_INVALID: WrongStateError,
    }
)


@contextmanager
def _asked() -> Iterator[None]:
    """Libvirt is asked in the block; what it raises says the same in the contract's terms."""
    try:
        yield
    except libvirt.libvirtError as error:
        raise _ERRORS.get(error.get_error_code(), HypervisorError)(str(error)) from error


@dataclass(frozen=True, slots=True)
class LibvirtDomain:
    """A domain of a host's libvirt, and its migration: :class:`~harness.rig.contract.Domain` and ``Job``."""

    _domain: libvirt.virDomain

    @property
    def job(self) -> LibvirtDomain:
        """Its migration."""
        return self

    def uuid(self) -> str:
        """Its UUID."""
        with _asked():
            return str(self._domain.UUIDString())

    def state(self) -> tuple[int, int]:
        """Its state and the reason of it."""
        with _asked():
            state, reason = self._domain.state()
        return int(state), int(reason)

    def secret(self) -> str | None:
        """The UUID of the secret of its TPM, from its description (libvirt, domain XML, TPM device)."""
        with _asked():
            described = Xml.fromstring(self._domain.XMLDesc())
        found = described.find("devices/tpm/backend/encryption")
        return None if found is None else found.get("secret")

    def suspend(self) -> None:
        """Stop its processors."""
        with _asked():
            self._domain.suspend()

    def resume(self) -> None:
        """Let it run on."""
        with _asked():
            self._domain.resume()

    def destroy(self) -> None:
        """End it at once."""
        with _asked():
            self._domain.destroy()

    def save(self, path: str) -> None:
        """Write its memory to `path`."""
        with _asked():
            self._domain.save(path)

    def limit_downtime(self, milliseconds: int) -> None:
        """Set the longest blackout that the next migration aims at (virDomainMigrateSetMaxDowntime)."""
        with _asked():
            self._domain.migrateSetMaxDowntime(milliseconds)

    def migrate(self, destination: Hypervisor, parameters: Mapping[str, str | int], flags: int) -> None:
        """Move it (virDomainMigrate3); blocks until it is over."""
        with _asked():
            there = cast("LibvirtHost", destination).connection
            self._domain.migrate3(there, dict(parameters), flags)

    def switch_to_post_copy(self) -> None:
        """Let it run at the destination now (virDomainMigrateStartPostCopy)."""
        with _asked():
            self._domain.migrateStartPostCopy()

    def cancel(self) -> None:
        """Ask the running migration to stop (virDomainAbortJob)."""
        with _asked():
            self._domain.abortJob()

    def running(self) -> bool:
        """Whether a job of it runs (virDomainGetJobInfo)."""
        with _asked():
            return bool(self._domain.jobInfo()[0] != libvirt.VIR_DOMAIN_JOB_NONE)

    def statistics(self, *, completed: bool = False) -> Mapping[str, Json]:
        """Its job's statistics (virDomainGetJobStats); those of a completed one stay readable."""
        kept = libvirt.VIR_DOMAIN_JOB_STATS_COMPLETED | libvirt.VIR_DOMAIN_JOB_STATS_KEEP_COMPLETED
        with _asked():
            return dict(self._domain.jobStats(kept if completed else 0))

    def qemu(self, command: str, arguments: Mapping[str, Json] | None = None) -> Json:
        """The answer of its QEMU's monitor (virDomainQemuMonitorCommand)."""
        asked = (
            {"execute": command} if arguments is None else {"execute": command, "arguments": {**arguments}}
        )
        with _asked():
            answer = libvirt_qemu.qemuMonitorCommand(self._domain, json.dumps(asked), 0)
        return _said(answer).get("return")


class _Completions:
    """One subscription to a connection's completed jobs, for all who want to be told of them.

    libvirt refuses a second subscription of one connection to one kind of event, and each guest's observer
    asks for one.

    Args:
        connection: Whose jobs.
    """

    def __init__(self, connection: libvirt.virConnect) -> None:
        self._connection = connection
        self._lock = threading.Lock()
        self._told: dict[object, CompletionHandler] = {}
        self._number: int | None = None

    def add(self, told: CompletionHandler) -> Unsubscribe:
        """Have `told` called too; the first one subscribes and the last one to end unsubscribes."""
        key = object()
        with self._lock:
            if self._number is None:
                self._number = self._subscribed()
            self._told = {**self._told, key: told}
        return partial(self._end, key)

    def _subscribed(self) -> int:
        kind = libvirt.VIR_DOMAIN_EVENT_ID_JOB_COMPLETED
        with _asked():
            return int(self._connection.domainEventRegisterAny(None, kind, self._event, None))

    def _event(
        self, _connection: object, domain: libvirt.virDomain, stats: Mapping[str, Json], _opaque: object
    ) -> None:
        # Without the lock: its holder may wait for the event loop, which calls this.
        for told in self._told.values():
            told(domain.name(), dict(stats))

    def _end(self, key: object) -> None:
        with self._lock:
            self._told = {one: told for one, told in self._told.items() if one is not key}
            if self._told or self._number is None:
                return
            # A connection that has died has nothing left to unsubscribe.
            with contextlib.suppress(libvirt.libvirtError):
                self._connection.domainEventDeregisterAny(self._number)
            self._number = None


class LibvirtHost:
    """A host's libvirt: :class:`~harness.rig.contract.Hypervisor`.

    Attributes:
        connection: The standing connection to it.
    """

    def __init__(self, connection: libvirt.virConnect) -> None:
        self.connection = connection
        self._completions = _Completions(connection)

    def version(self) -> int:
        """The hypervisor's version (virConnectGetVersion)."""
        with _asked():
            return int(self.connection.getVersion())

    def domain(self, name: str) -> Domain:
        """The domain of that name."""
        with _asked():
            return LibvirtDomain(self.connection.lookupByName(name))

    def domains(self) -> Sequence[str]:
        """The names of all its domains (virConnectListAllDomains)."""
        with _asked():
            return [str(one.name()) for one in self.connection.listAllDomains()]

    def set_secret(self, secret: str, domain: str, value: bytes) -> None:
        """Define an ephemeral secret whose value no client can ask for, and set it (libvirt, secret XML)."""
        self.forget_secret(domain)
        described = Xml.Element("secret", ephemeral="yes", private="yes")
        Xml.SubElement(described, "uuid").text = secret
        usage = Xml.SubElement(described, "usage", type="vtpm")
        Xml.SubElement(usage, "name").text = domain
        with _asked():
            self.connection.secretDefineXML(Xml.tostring(described, encoding="unicode")).setValue(value)

    def forget_secret(self, domain: str) -> None:
        """Undefine the secret whose use is that domain's TPM."""
        try:
            self.connection.secretLookupByUsage(libvirt.VIR_SECRET_USAGE_TYPE_VTPM, domain).undefine()
        except libvirt.libvirtError as error:
            if error.get_error_code() != libvirt.VIR_ERR_NO_SECRET:
                raise HypervisorError(str(error)) from error

    def start(self, xml: str) -> None:
        """Start a domain that is gone when it ends."""
        with _asked():
            self.connection.createXML(xml)

    def restore(self, path: str) -> None:
        """Bring the domain that was saved to `path` to life."""
        with _asked():
            self.connection.restore(path)

    def on_completed(self, told: CompletionHandler) -> Unsubscribe:
        """Tell of each job that completes (VIR_DOMAIN_EVENT_ID_JOB_COMPLETED)."""
        return self._completions.add(told)

    def on_qemu_event(self, told: QemuHandler) -> Unsubscribe:
        """Tell of each QMP event (virConnectDomainQemuMonitorEventRegister)."""

        def event(
            _connection: object,
            domain: libvirt.virDomain,
            name: str,
            seconds: int,
            micros: int,
            details: str | None,
            _opaque: object,
        ) -> None:
            realtime_us = seconds * _MICROSECONDS + micros
            told(domain.name(), name, realtime_us, _said(details or ""))

        with _asked():
            number = libvirt_qemu.qemuMonitorEventRegister(self.connection, None, None, event, None, 0)

        def end() -> None:
            with contextlib.suppress(libvirt.libvirtError):
                libvirt_qemu.qemuMonitorEventDeregister(self.connection, number)

        return end


class LibvirtHosts(AbstractContextManager["LibvirtHosts"]):
    """libvirt on host a and host b. A context manager: leaving it closes the connections."""

    def __init__(self, pair: Pair) -> None:
        self._pair = pair
        self._commands = tempfile.TemporaryDirectory(prefix="sodbench-ssh-")
        self._hosts: dict[str, LibvirtHost] = {}
        _start_event_loop()
        for role in HOSTS:
            command = Path(self._commands.name) / role
            command.write_text(ssh_command_text(pair.machines[role]))
            command.chmod(0o700)

    def connect(self) -> Mapping[str, Hypervisor]:
        """Live connections by host, opening those that are not, side by side.

        Raises:
            UnreachableError: A host's libvirt does not answer.
        """
        lost = [role for role in HOSTS if not _alive(self._hosts.get(role))]
        if lost:
            with ThreadPoolExecutor(len(lost)) as pool:
                opening = {role: pool.submit(self._open, role) for role in lost}
            for role, one in opening.items():
                if one.exception() is None:
                    self._hosts[role] = LibvirtHost(one.result())
            for one in opening.values():
                one.result()
        return dict(self._hosts)

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
        for host in self._hosts.values():
            try:
                host.connection.close()
            except libvirt.libvirtError:  # it is gone already, which is what was wanted
                continue
        self._hosts.clear()
        self._commands.cleanup()

    def __exit__(self, *details: object) -> None:
        self.close()


def _said(text: str) -> Mapping[str, Json]:
    """What a host says that QEMU says; nothing where that is no object, or longer than any of QEMU's."""
    try:
        said = json.loads(text) if len(text) <= _MOST_SAID else None
    except (ValueError, RecursionError):
        return {}
    return said if isinstance(said, dict) else {}


def _alive(host: LibvirtHost | None) -> bool:
    """Whether the host's daemon answers: asked, because isAlive() learns of a death late."""
    if host is None:
        return False
    try:
        return bool(host.connection.isAlive()) and host.connection.getLibVersion() > 0
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
