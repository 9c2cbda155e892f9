"""The guest: what it is, and how it comes to life and goes away on a host.

The description is a value and its XML a pure function of it. Where the guest runs is always asked of the
hosts, never remembered: five migrations leave it on the other one.
"""

from __future__ import annotations

import contextlib
import shlex
import threading
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final
from xml.etree import ElementTree as Xml

from harness.clock import Clock
from harness.errors import GuestError, SodbenchError
from harness.pair_name import FIRST
from harness.rig.contract import (
    DomainState,
    Hypervisor,
    HypervisorError,
    Machine,
    NoDomainError,
    WrongStateError,
)
from harness.rig.guest import digest, vtpm
from harness.rig.guest.guest import Guest
from harness.rig.guest.kind import STANDARD, Kind
from harness.rig.pair import Pair, is_of_harness

START: Final = FIRST
"""The host on which a trial starts its guest; one that is deployed starts where its request is satisfied."""

_CONSOLE_LINES = 8
"""Of a console's end are told."""

_MEASURED = "sodbench.measured"
"""On the kernel's command line it makes an image load its IMA policy (roles guest_image and small_image)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GuestSpec:
    """A guest to be started.

    Attributes:
        guest: Which one.
        memory_mib: RAM in MiB.
        vcpus: Virtual CPUs.
        accelerator: ``kvm`` or ``tcg``.
        image: Folder with vmlinuz, initrd and the golden disk, if it has one, on the shared storage.
        folder: Folder on the shared storage for the guest's own disk and console.
        uuid: The domain's UUID.
        cmdline: Kernel command line.
        bridge: Bridge on the hosts.
        tpm: Whether the guest has a virtual TPM, and with it a kernel that measures what it executes.
        kind: What its image is.
        vtpm_key: What the secret of its TPM is made from; without one the TPM's state is not encrypted.
        digests: Those of the image's files, by name; empty where they are not known and not checked.
    """

    guest: Guest
    memory_mib: int
    vcpus: int
    accelerator: str
    image: str
    folder: str
    uuid: str
    cmdline: str
    bridge: str
    tpm: bool = False
    kind: Kind = STANDARD
    vtpm_key: bytes = field(default=b"", repr=False)
    digests: Mapping[str, str] = field(default_factory=dict, repr=False)

    @property
    def encrypted(self) -> bool:
        """Whether it has a TPM whose state is encrypted, with a secret of the domain's UUID."""
        return self.tpm and bool(self.vtpm_key)

    @property
    def disk(self) -> str:
        """The guest's own layer over the golden image."""
        return f"{self.folder}/disk.qcow2"

    @property
    def golden(self) -> str:
        """The golden image's disk."""
        return f"{self.image}/guest.qcow2"

    @property
    def image_files(self) -> tuple[str, ...]:
        """The image's files that it starts from."""
        disk = ("guest.qcow2",) if self.kind.has_disk else ()
        return (self.kind.kernel(tpm=self.tpm), self.kind.initrd(tpm=self.tpm), *disk)

    @property
    def console(self) -> str:
        """What the guest printed on its serial port."""
        return _console(self.folder)

    @property
    def cpu_model(self) -> str:
        """The same named model on both hosts; under emulation the plainest one QEMU has."""
        return "qemu64" if self.accelerator == "tcg" else "host-model"


def specify(
    pair: Pair,
    guest: Guest,
    *,
    memory_mib: int,
    vcpus: int,
    accelerator: str,
    image_key: str,
    tpm: bool = False,
    kind: Kind = STANDARD,
    vtpm_key: bytes = b"",
    digests: Mapping[str, str] = MappingProxyType({}),
) -> GuestSpec:
    """`guest` as a trial on `pair` starts it, with a new UUID."""
    network = pair.guest_network
    route = f"{network.gateway or ''}:{_netmask(network.prefix)}"
    return GuestSpec(
        guest=guest,
        memory_mib=memory_mib,
        vcpus=vcpus,
        accelerator=accelerator,
        image=f"{pair.storage_path}/images/{image_key}",
        folder=folder(pair, guest.domain),
        uuid=str(uuid.uuid4()),
        cmdline=f"{kind.root}console=ttyS0 net.ifnames=0 quiet "
        f"ip={guest.address}::{route}:sodbench-guest:eth0:none" + (f" {_MEASURED}" if tpm else ""),
        bridge=pair.bridge,
        tpm=tpm,
        kind=kind,
        vtpm_key=vtpm_key,
        digests=digests,
    )


def folder(pair: Pair, name: str) -> str:
    """The folder on the shared storage of the guest whose domain has that `name`."""
    return f"{pair.storage_path}/guests/{name}"


def console(pair: Pair, guest: Guest) -> str:
    """The file on the shared storage with what `guest` printed on its serial port since it was started."""
    return _console(folder(pair, guest.domain))


def _console(guests_folder: str) -> str:
    return f"{guests_folder}/console.log"


def _netmask(prefix: int) -> str:
    bits = (0xFFFFFFFF << (32 - prefix)) & 0xFFFFFFFF
    return ".".join(str(bits >> shift & 255) for shift in (24, 16, 8, 0))


def domain_xml(spec: GuestSpec) -> str:
    """The libvirt domain of `spec`.

    ``cache='none'`` because a guest on shared storage may only migrate without host caching (libvirt,
    migration safety); no balloon and no USB, so that memory changes by the workload alone.
    """
    root = Xml.Element("domain", type="kvm" if spec.accelerator == "kvm" else "qemu")
    _texts(root, name=spec.guest.domain, uuid=spec.uuid, vcpu=str(spec.vcpus))
    Xml.SubElement(root, "memory", unit="MiB").text = str(spec.memory_mib)
    system = Xml.SubElement(root, "os")
    Xml.SubElement(system, "type", arch="x86_64", machine="q35").text = "hvm"
    kernel = f"{spec.image}/{spec.kind.kernel(tpm=spec.tpm)}"
    initrd = f"{spec.image}/{spec.kind.initrd(tpm=spec.tpm)}"
    _texts(system, kernel=kernel, initrd=initrd, cmdline=spec.cmdline)
    features = Xml.SubElement(root, "features")
    Xml.SubElement(features, "acpi")
    Xml.SubElement(features, "apic")
    if spec.accelerator == "kvm":
        Xml.SubElement(root, "cpu", mode="host-model")
    else:
        cpu = Xml.SubElement(root, "cpu", mode="custom", match="exact", check="none")
        Xml.SubElement(cpu, "model", fallback="forbid").text = spec.cpu_model
    Xml.SubElement(root, "clock", offset="utc")
    _texts(root, on_poweroff="destroy", on_reboot="destroy", on_crash="destroy")
    _devices(Xml.SubElement(root, "devices"), spec)
    return Xml.tostring(root, encoding="unicode")


def _texts(parent: Xml.Element, **texts: str) -> None:
    for tag, text in texts.items():
        Xml.SubElement(parent, tag).text = text


def _devices(devices: Xml.Element, spec: GuestSpec) -> None:
    if spec.kind.has_disk:
        _disk(Xml.SubElement(devices, "disk", type="file", device="disk"), spec)
    link = Xml.SubElement(devices, "interface", type="bridge")
    Xml.SubElement(link, "mac", address=spec.guest.mac)
    Xml.SubElement(link, "source", bridge=spec.bridge)
    Xml.SubElement(link, "model", type="virtio")
    Xml.SubElement(link, "rom", enabled="no")
    serial = Xml.SubElement(devices, "serial", type="file")
    Xml.SubElement(serial, "source", path=spec.console, append="on")
    Xml.SubElement(serial, "target", port="0")
    Xml.SubElement(devices, "controller", type="usb", model="none")
    Xml.SubElement(devices, "memballoon", model="none")
    random = Xml.SubElement(devices, "rng", model="virtio")
    Xml.SubElement(random, "backend", model="random").text = "/dev/urandom"
    if spec.tpm:
        tpm = Xml.SubElement(devices, "tpm", model="tpm-crb")
        backend = Xml.SubElement(tpm, "backend", type="emulator", version="2.0")
        if spec.encrypted:
            Xml.SubElement(backend, "encryption", secret=spec.uuid)
        # One bank: a quote over a bank that nothing measures into would say nothing.
        Xml.SubElement(Xml.SubElement(backend, "active_pcr_banks"), "sha256")


def _disk(disk: Xml.Element, spec: GuestSpec) -> None:
    Xml.SubElement(disk, "driver", name="qemu", type="qcow2", cache="none")
    Xml.SubElement(disk, "source", file=spec.disk)
    _golden_image(disk, spec)
    Xml.SubElement(disk, "target", dev="vda", bus="virtio")


def _golden_image(disk: Xml.Element, spec: GuestSpec) -> None:
    """The layer under the guest's own, which stays its owner's.

    libvirt gives each file of a guest to QEMU's user. The image is only read, by every guest, and where
    owners are not remembered (NFS) nothing would give it back (libvirt, domain XML, security label).
    """
    below = Xml.SubElement(disk, "backingStore", type="file")
    Xml.SubElement(below, "format", type="qcow2")
    source = Xml.SubElement(below, "source", file=spec.golden)
    Xml.SubElement(source, "seclabel", model="dac", relabel="no")
    Xml.SubElement(below, "backingStore")


def locate(connections: Mapping[str, Hypervisor], guest: Guest) -> dict[str, int]:
    """On which hosts `guest` is known, with its libvirt state there (virDomainState).

    Raises:
        GuestError: A host's libvirt does not answer: then nothing is known, which is not "nowhere".
    """
    found = {}
    for role, connection in connections.items():
        try:
            found[role] = connection.domain(guest.domain).state()[0]
        except NoDomainError:
            continue
        except HypervisorError as error:
            raise GuestError(
                "cannot ask where the guest is", where=f"host {role}", why=str(error), retry=True
            ) from error
    return found


def active_on(connections: Mapping[str, Hypervisor], guest: Guest) -> str:
    """The one host that `guest` runs on.

    Raises:
        GuestError: It runs nowhere, or on both.
    """
    states = locate(connections, guest)
    running = [role for role, state in states.items() if state == DomainState.RUNNING]
    if len(running) != 1:
        raise GuestError(
            "the guest runs on both hosts" if running else "the guest runs on neither host",
            where=", ".join(f"{role}: state {state}" for role, state in states.items())
            or "a, b: unknown to both",
            remedy="the attempt is not valid; the next one starts a guest of its own",
        )
    return running[0]


def only_on(connections: Mapping[str, Hypervisor], guest: Guest) -> tuple[str, bool]:
    """The one host that has `guest` with its memory, and whether it runs there; it may be suspended.

    Raises:
        GuestError: No host has it, or both.
    """
    alive = {DomainState.RUNNING, DomainState.BLOCKED, DomainState.PAUSED}
    found = {role: state for role, state in locate(connections, guest).items() if state in alive}
    if len(found) != 1:
        raise GuestError(
            "both hosts have the guest" if found else "neither host has the guest",
            where=", ".join(f"{role}: state {state}" for role, state in found.items()) or "a, b",
            remedy="`virsh list --all` on both hosts says more",
        )
    ((role, state),) = found.items()
    return role, state != DomainState.PAUSED


def of_harness(connections: Mapping[str, Hypervisor]) -> Sequence[str]:
    """The names of the domains on the hosts that are guests of the harness, whichever run started them.

    Raises:
        GuestError: A host's libvirt does not answer.
    """
    try:
        found = {name for connection in connections.values() for name in connection.domains()}
    except HypervisorError as error:
        raise GuestError("cannot ask which guests there are", why=str(error), retry=True) from error
    return sorted(filter(is_of_harness, found))


def destroy(connections: Mapping[str, Hypervisor], name: str, host: Machine, spec_folder: str) -> None:
    """Take the domain `name` off every host and remove its disk; fine when it is not there."""
    for connection in connections.values():
        try:
            with contextlib.suppress(NoDomainError, WrongStateError):
                connection.domain(name).destroy()
            connection.forget_secret(name)
        except HypervisorError as error:
            raise GuestError(
                "the guest cannot be destroyed", why=str(error), remedy="see `virsh list --all` there"
            ) from error
    host.run(f"rm -rf {shlex.quote(spec_folder)}")


def boot(connection: Hypervisor, host: Machine, spec: GuestSpec) -> None:
    """Start the guest; where its image has a disk, on a fresh layer over it.

    Raises:
        GuestError: The image is not the one that was built, or libvirt or QEMU refuses.
    """
    digest.require(host, spec.image, spec.digests, spec.image_files)
    # A console that an earlier guest left tells an earlier key.
    prepare = f"mkdir -p {shlex.quote(spec.folder)} && rm -f {shlex.quote(spec.console)}"
    if spec.kind.has_disk:
        layers = f"-b {shlex.quote(spec.golden)} {shlex.quote(spec.disk)}"
        prepare += f" && qemu-img create -q -f qcow2 -F qcow2 {layers}"
    host.run(prepare)
    try:
        if spec.encrypted:
            vtpm.set_for(connection, spec.guest.domain, spec.uuid, spec.vtpm_key)
        connection.start(domain_xml(spec))
    except HypervisorError as error:
        raise GuestError("the guest does not start", where=f"host {host.role}", why=str(error)) from error


def await_login(guest: Machine, host: Machine, spec: GuestSpec, *, timeout_s: float, clock: Clock) -> float:
    """Seconds until the guest lets us in over ssh and its services are up.

    Raises:
        GuestError: Not within `timeout_s`; the message holds the end of its console.
    """
    begin = clock.now_ns()

    def elapsed_s() -> float:
        return (clock.now_ns() - begin) / 1e9

    while not guest.answers():
        if elapsed_s() > timeout_s:
            raise GuestError(
                f"the guest does not answer within {timeout_s:.0f} s",
                where=f"host {host.role}, {guest.endpoint.address}",
                why=f"end of its console:\n{_console_tail(host, spec)}",
                remedy="raise guest.boot_timeout_s, or boot the image by hand",
            )
        clock.wait(0.25, threading.Event())
    if spec.kind.has_systemd:
        # Until its own start-up is over the guest dirties memory by itself.
        guest.attempt("systemctl is-system-running --wait", timeout_s=max(5.0, timeout_s - elapsed_s()))
    return elapsed_s()


def require_answer(guest: Machine, host: Machine, spec: GuestSpec, *, timeout_s: float = 30.0) -> None:
    """Ask the guest for a sign of life: a hypervisor also calls a guest running that has hung.

    Raises:
        GuestError: None came within `timeout_s`; the message holds the end of its console.
    """
    try:
        guest.run("true", timeout_s=timeout_s, root=False)
    except SodbenchError as error:
        raise GuestError(
            "the guest runs and does not answer any more",
            where=guest.endpoint.address,
            why=f"{error.summary}; end of its console:\n{_console_tail(host, spec)}",
        ) from error


def _console_tail(host: Machine, spec: GuestSpec) -> str:
    """The console's last lines, few enough that a bound on reasons keeps the final one: it names a panic."""
    _, out, _ = host.attempt(f"tail -c 1500 {shlex.quote(spec.console)}")
    return "\n".join(out.strip().splitlines()[-_CONSOLE_LINES:]) or "(nothing was printed)"
