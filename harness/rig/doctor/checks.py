"""The prerequisites of a controller and its rig, judged from facts, each with its remedy.

Pure: facts in, checks out; `harness/rig/doctor/facts.py` gathers the facts and changes nothing. An unknown
fact is a warning that says so and never counts as a yes; only what is known to be missing is ``missing``.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal

from harness.pair_name import FIRST, HOSTS
from harness.rig.doctor.certificate import Certificate
from harness.rig.doctor.storage import Export, Storage, judged

Level = Literal["ok", "warning", "missing"]
Presence = Literal["present", "absent", "unknown"]

GIB = 1 << 30
MIN_DISK_BYTES = 10 * 10**9
MIN_MEMORY_BYTES = 6 * GIB
MIN_CORES = 2
RESERVED_SHARE = 0.06
"""Memory that firmware and kernel reserve: a machine sold with 6 GiB shows up to this much less."""

PROGRAMS: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "systemd-nspawn": ("systemd-container", "boots the lab's machines"),
        "mmdebstrap": ("mmdebstrap", "builds the system the lab's machines share"),
        "apt-get": ("apt", "knows the package sources the lab is built from"),
        "systemctl": ("systemd", "enables the services of the lab's machines"),
        "ip": ("iproute2", "makes the lab's bridge"),
        "tc": ("iproute2", "limits the lab's links to 1 Gb/s"),
        "nft": ("nftables", "lets the lab's machines reach their package sources"),
        "mount": ("mount", "lays a lab machine's own layer over the shared system"),
        "nsenter": ("util-linux", "limits a link from inside a lab machine"),
        "ssh": ("openssh-client", "carries libvirt's connections to the hosts"),
        "ssh-keygen": ("openssh-client", "makes the lab's keys and reads the rig's"),
    }
)
"""Programs the controller itself calls: Debian package and what for. The hosts' own are provisioning's."""

ALWAYS = frozenset({"ssh", "ssh-keygen"})
"""Further needs of a controller of a real pair; the rest is the lab's alone."""

FEATURES: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "overlay": ("overlay", "each lab machine is a layer of its own over one shared system"),
        "bridge": ("bridge", "connects the lab's machines"),
        "tun": ("tun", "connects guests to a host's bridge"),
        "veth": ("veth", "is the cable of a lab machine"),
        "tbf": ("sch_tbf", "limits the lab's links to 1 Gb/s"),
        "nf_tables": ("nf_tables", "lets the lab's machines reach their package sources"),
    }
)
"""What the running kernel must be able to do for the lab: its module, and what for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One prerequisite.

    Attributes:
        name: What was looked at.
        level: ``ok``; ``warning`` (works without it, or could not be told); ``missing``.
        found: What was found.
        why: Why it matters.
        remedy: The command or the step that mends it; empty when it is ok.
    """

    name: str
    level: Level
    found: str
    why: str
    remedy: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ControllerFacts:
    """What can be seen of this machine without changing it; None where it could not be seen.

    Attributes:
        root: Whether this process is root's.
        sudo: Whether there is sudo.
        distribution: ID of os-release(5).
        release: VERSION_ID of os-release(5).
        programs: By name, whether it is on the path.
        features: By name of :data:`FEATURES`, whether the kernel has it.
        tun_device: Whether /dev/net/tun is there.
        kvm_device: Whether /dev/kvm is there.
        cache: Where the lab keeps its disks.
        disk_free_bytes: Free there.
        memory_bytes: Of the whole machine.
        cores: That this process may use.
        addresses: (interface, address with prefix) of every interface.
        package_errors: By Python package, why it cannot be imported, or None where it can.
        ansible_playbook: Whether ansible-playbook is next to this Python.
        apt_sources: Number of usable Debian sources, or 0.
        apt_error: Why there is none.
    """

    root: bool
    sudo: bool
    distribution: str | None
    release: str | None
    programs: Mapping[str, bool]
    features: Mapping[str, Presence]
    tun_device: bool
    kvm_device: bool
    cache: str
    disk_free_bytes: int | None
    memory_bytes: int | None
    cores: int | None
    addresses: Sequence[tuple[str, str]] | None
    package_errors: Mapping[str, str | None]
    ansible_playbook: bool
    apt_sources: int
    apt_error: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineFacts:
    """The answers of one machine of a rig."""

    address: str
    unreachable: str = ""
    remedy: str = ""
    provisioned: Literal["current", "older", "never"] | None = None
    libvirt_error: str | None = None
    accelerator: str | None = None
    holder: str | None = None
    certificate: Certificate | None = None
    storage: Storage | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """Everything the verdict needs.

    Attributes:
        controller: This machine.
        lab: By machine of the lab, whether it answers; None when the lab is not what is used.
        machines: What the rig's machines answered, by role; empty when none was asked.
        inventory: The inventory they are from, as the user named it; None for the lab's own.
    """

    controller: ControllerFacts
    lab: Mapping[str, bool] | None
    machines: Mapping[str, MachineFacts] = field(default_factory=dict)
    inventory: str | None = None


def checks(facts: Facts) -> list[Check]:
    """Every check that applies to `facts`, always in the same order."""
    here, uses_lab = facts.controller, facts.lab is not None
    found = [_system(here), *_programs(here, uses_lab=uses_lab), *_python(here)]
    if facts.lab is not None:
        found += [_root(here), *_size(here), *_features(here), _device(here)]
        found += [_range(here), _sources(here), _lab(facts.lab)]
    found += [check for role, one in facts.machines.items() for check in _machine(role, one, facts.inventory)]
    found += _storage(facts.machines, facts.inventory)
    if FIRST in facts.machines and not facts.machines[FIRST].unreachable:
        found.append(_lock(facts.machines[FIRST]))
    return [*found, _acceleration(facts)]


def nothing_missing(found: Sequence[Check]) -> bool:
    """Whether the work can begin; warnings do not prevent it."""
    return all(check.level != "missing" for check in found)


def _check(name: str, fine: bool | None, found: str, why: str, remedy: str) -> Check:
    """A check that is ok, missing, or (None) unknown, which is a warning."""
    level: Level = "warning" if fine is None else ("ok" if fine else "missing")
    return Check(name=name, level=level, found=found, why=why, remedy="" if fine else remedy)


def _advice(name: str, fine: bool, found: str, why: str, remedy: str) -> Check:
    """A check that is ok or a warning: the work can begin either way."""
    return _check(name, fine or None, found, why, remedy)


def _system(here: ControllerFacts) -> Check:
    why = "the harness is made for Debian from 12 on and Ubuntu from 24.04 on, and tried on Debian 12 and 13"
    oldest = {"debian": 12.0, "ubuntu": 24.04}.get(here.distribution or "")
    name = f"{here.distribution or 'unknown'} {here.release or ''}".strip()
    release = _number(here.release)
    fine = None if oldest is None or release is None else release >= oldest
    return _check("system", fine, name, why, "use Debian 12 or later, or Ubuntu 24.04 or later")


def _number(text: str | None) -> float | None:
    try:
        return float(text or "")
    except ValueError:
        return None


def _root(here: ControllerFacts) -> Check:
    why = "the lab makes bridges, mounts and containers"
    if here.root:
        return _check("root", True, "running as root", why, "")
    if here.sudo:
        return _advice("root", False, "not root; sudo is there", why, "sudo sodbench lab up")
    return _check("root", False, "neither root nor sudo", why, "as root: apt-get install sudo")


def _programs(here: ControllerFacts, *, uses_lab: bool) -> Iterator[Check]:
    for program, (package, what_for) in PROGRAMS.items():
        if uses_lab or program in ALWAYS:
            there = here.programs.get(program)
            found = {True: "installed", False: "not installed", None: "not looked for"}[there]
            yield _check(program, there, found, f"it {what_for}", f"sudo apt-get install {package}")


def _python(here: ControllerFacts) -> Iterator[Check]:
    bad = {name: error for name, error in here.package_errors.items() if error is not None}
    yield _check(
        "Python packages",
        not bad,
        "; ".join(f"{name}: {error}" for name, error in bad.items()) or "all can be imported",
        "the harness is written with them",
        "in the environment sodbench runs in: pip install -r requirements.lock",
    )
    yield _check(
        "ansible-playbook",
        here.ansible_playbook,
        "next to this Python" if here.ansible_playbook else "not next to this Python",
        "it provisions the hosts, the client and the guest image",
        "in the environment sodbench runs in: pip install ansible-core",
    )


def _size(here: ControllerFacts) -> Iterator[Check]:
    disk, memory, cores = here.disk_free_bytes, here.memory_bytes, here.cores
    yield _check(
        "disk",
        None if disk is None else disk >= MIN_DISK_BYTES,
        "unknown" if disk is None else f"{disk / 1e9:.1f} GB free for {here.cache}",
        f"base system, machines, guest image and saved guests take up to {MIN_DISK_BYTES / 1e9:.0f} GB",
        f"free space on the file system of {here.cache}",
    )
    yield _check(
        "memory",
        None if memory is None else memory >= MIN_MEMORY_BYTES * (1 - RESERVED_SHARE),
        "unknown" if memory is None else f"{memory / GIB:.1f} GiB",
        f"a migrating guest of 1 GiB exists twice, next to three machines: {MIN_MEMORY_BYTES // GIB} GiB",
        "use a machine with more memory",
    )
    # One core is enough to work, and not enough to measure: that is the reader's to weigh.
    yield _advice(
        "cores",
        cores is not None and cores >= MIN_CORES,
        "unknown" if cores is None else str(cores),
        "with one core, source, destination and observers slow each other down and the numbers show it",
        f"use a machine with at least {MIN_CORES} cores",
    )


def _features(here: ControllerFacts) -> Iterator[Check]:
    for name, (module, what_for) in FEATURES.items():
        presence = here.features.get(name, "unknown")
        fine = {"present": True, "absent": False, "unknown": None}[presence]
        found = {
            "present": "the kernel has it",
            "absent": "the kernel has it not",
            "unknown": "cannot be told",
        }
        remedy = f"sudo modprobe {module}, or boot a kernel that has it (Debian's linux-image-amd64 does)"
        yield _check(f"kernel: {name}", fine, found[presence], f"it {what_for}", remedy)


def _device(here: ControllerFacts) -> Check:
    return _check(
        "/dev/net/tun",
        here.tun_device,
        "there" if here.tun_device else "not there",
        "guests are connected through it",
        "sudo modprobe tun; in a container, pass the device in",
    )


def _range(here: ControllerFacts) -> Check:
    # Imported where it is needed: the names of the lab are its own module's.
    from harness.rig.lab.network import BRIDGE, NETWORK  # noqa: PLC0415

    why = "the lab's machines have addresses in it, and nothing else may"
    name = f"addresses {NETWORK}"
    if here.addresses is None:
        return _check(name, None, "cannot be told", why, "sudo apt-get install iproute2")
    others = [
        f"{interface} has {address}"
        for interface, address in here.addresses
        if interface != BRIDGE and _overlaps(address, NETWORK)
    ]
    remedy = "take the address away: sudo ip address del ADDRESS dev INTERFACE"
    return _check(name, not others, ", ".join(others) or "not in use", why, remedy)


def _overlaps(address: str, network: ipaddress.IPv4Network | ipaddress.IPv6Network) -> bool:
    other = ipaddress.ip_interface(address).network
    return other.version == network.version and other.overlaps(network)


def _sources(here: ControllerFacts) -> Check:
    return _check(
        "Debian packages",
        here.apt_sources > 0,
        f"{here.apt_sources} sources for bookworm" if here.apt_sources else here.apt_error or "no source",
        "the lab's machines and the guest are Debian 12, installed from this machine's sources",
        "add the line `deb MIRROR bookworm main` with a Debian mirror to "
        "/etc/apt/sources.list.d/bookworm.list, then: sudo apt-get update",
    )


def _lab(lab: Mapping[str, bool]) -> Check:
    down = [role for role, answers in lab.items() if not answers]
    if not down:
        found = "up"
    elif len(down) == len(lab):
        found = "down"
    else:
        found = f"{', '.join(down)} does not answer"
    return _advice("lab", not down, found, "campaigns with `rig: lab` run on it", "sudo sodbench lab up")


def _machine(role: str, one: MachineFacts, inventory: str | None) -> Iterator[Check]:
    why = "every command and measurement goes over ssh"
    if one.unreachable:
        yield _check(f"{role}: ssh", False, one.unreachable, why, one.remedy)
        return
    yield _check(f"{role}: ssh", True, f"{one.address} answers", why, "")
    provision = _provision(inventory)
    if one.provisioned is not None:
        found = {"current": "yes", "older": "by other playbooks or for another inventory", "never": "no"}
        fine, why = one.provisioned == "current", "a run needs what provisioning installs and configures"
        yield _advice(f"{role}: provisioned", fine, found[one.provisioned], why, provision)
    if one.libvirt_error is not None:
        # On a machine that was never provisioned, libvirt is not there yet, and no fault.
        judge = _check if one.provisioned == "current" else _advice
        answer, why = one.libvirt_error or "answers", "it starts and migrates the guest"
        remedy = f"`systemctl status libvirtd` there; {provision}"
        yield judge(f"{role}: libvirt", not one.libvirt_error, answer, why, remedy)
    if one.certificate is not None:
        fine, answer = one.certificate.judged()
        why, remedy = "a guest's memory crosses the network", f"set the clocks by NTP; {provision} --force"
        yield _advice(f"{role}: encryption", fine, answer, why, remedy)


def _storage(machines: Mapping[str, MachineFacts], inventory: str | None) -> Iterator[Check]:
    seen = {role: one.storage for role, one in machines.items() if one.storage is not None}
    exported: list[Export] = [export for one in seen.values() for export in one.exports]
    for role in (role for role in HOSTS if role in seen):
        for one in judged(role, seen[role], exported, _provision(inventory)):
            yield _check(one.name, one.fine, one.found, one.why, one.remedy)


def _provision(inventory: str | None) -> str:
    return f"sodbench provision --inventory {inventory}" if inventory else "sodbench provision"


def _lock(host: MachineFacts) -> Check:
    found = f"held by {host.holder}" if host.holder else "free"
    why, remedy = "one run uses a rig at a time", "wait until it ends, or end that process"
    return _advice("lock", not host.holder, found, why, remedy)


def _acceleration(facts: Facts) -> Check:
    """The known facts about KVM. The presence of its device is no proof."""
    name = "acceleration"
    why = "an emulated guest is many times slower, and its numbers are those of an emulated CPU"
    proved = {role: one.accelerator for role, one in facts.machines.items() if one.accelerator}
    if proved:
        said = ", ".join(f"{role}: {kind}" for role, kind in proved.items())
        return _check(name, True, f"{said}, as booting a kernel there has shown", why, "")
    if facts.lab is None:
        found = "not proved yet: the first run boots a kernel under KVM on each host and sees"
        return _advice(name, False, found, why, "nothing; the run says what it found")
    if facts.controller.kvm_device:
        found = (
            "/dev/kvm is there, which proves nothing: it may open and still never boot a guest. "
            "The first run boots a kernel under it and sees; otherwise guests are emulated"
        )
        return _advice(name, False, found, why, "nothing; the run says what it found")
    remedy = "enable virtualisation in the firmware, then: sudo modprobe kvm_intel (or kvm_amd)"
    return _advice(name, False, "no /dev/kvm: guests will be emulated (TCG)", why, remedy)
