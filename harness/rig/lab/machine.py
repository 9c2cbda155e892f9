"""One machine of the lab: a Debian of its own in a systemd-nspawn container, an overlay over a shared base.

A machine's own layer is kept in the cache, so that stopping and starting it loses nothing; mounts and
processes are found again by the lab's names, because a crashed lab leaves them behind.
"""

from __future__ import annotations

import ipaddress
import os
import shutil
import signal
import subprocess
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from harness.clock import sleep
from harness.errors import ProvisionError
from harness.rig.lab import network
from harness.rig.lab.local import run, succeeds

_DEVICES = ("/dev/net/tun", "/dev/kvm")
_ROLE = Path("etc/systemd/network/30-br0.network")


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """The name, address and places of one lab machine.

    Attributes:
        role: ``a``, ``b`` or ``client``.
        address: Its address on the lab's bridge.
        layers: Folder of its writable layer (kept).
        root: Mount point of its file system (while it runs).
        log: Its console.
    """

    role: str
    address: ipaddress.IPv4Address
    layers: Path
    root: Path
    log: Path

    @property
    def name(self) -> str:
        """Its host and machine name."""
        return f"sod-{self.role}"

    @property
    def uuid(self) -> str:
        """Its machine id, the same at each start, so that libvirt sees two different hosts."""
        return uuid.uuid5(uuid.NAMESPACE_DNS, f"{self.name}.sodbench.invalid").hex

    @property
    def interface(self) -> str:
        """The controller's end of its link (systemd-nspawn's name for it)."""
        return f"vb-{self.name}"


def mount(machine: Machine, base: Path) -> None:
    """Mount the machine's own layer over `base`; a mounted layer stays as it is."""
    if os.path.ismount(machine.root):
        return
    for folder in (machine.layers / "upper", machine.layers / "work", machine.root):
        folder.mkdir(parents=True, exist_ok=True)
    layers = f"lowerdir={base},upperdir={machine.layers / 'upper'},workdir={machine.layers / 'work'}"
    run(["mount", "-t", "overlay", f"sodbench-{machine.role}", "-o", layers, str(machine.root)])


def personalise(machine: Machine, *, host_key: Path, authorized_key: str) -> None:
    """Write the machine's identity: name, address, ssh keys."""
    root = machine.root
    (root / "etc/hostname").write_text(f"{machine.name}\n")
    (root / "etc/hosts").write_text(f"127.0.0.1 localhost\n{machine.address} {machine.name}\n")
    (root / _ROLE).write_text(
        "[Match]\nName=br0\n\n[Network]\nLinkLocalAddressing=no\nIPv6AcceptRA=no\n"
        f"Address={machine.address}/{network.NETWORK.prefixlen}\nGateway={network.CONTROLLER.ip}\n"
    )
    for name in ("ssh_host_ed25519_key", "ssh_host_ed25519_key.pub"):
        target = root / "etc/ssh" / name
        shutil.copyfile(host_key.with_name(host_key.name + target.suffix), target)
        target.chmod(0o600)
    keys = root / "root/.ssh"
    keys.mkdir(mode=0o700, exist_ok=True)
    (keys / "authorized_keys").write_text(authorized_key)
    # The controller's resolver is the one known to work here; the file is a plain copy, not a link.
    resolv = root / "etc/resolv.conf"
    resolv.unlink(missing_ok=True)
    shutil.copyfile("/etc/resolv.conf", resolv)


def start(machine: Machine, *, storage: Path) -> None:
    """Boot the machine, detached from this terminal; it outlives the command that started it."""
    devices = [f"--bind={device}" for device in _DEVICES if Path(device).exists()]
    argv = [
        "systemd-nspawn",
        f"--directory={machine.root}",
        f"--machine={machine.name}",
        f"--uuid={machine.uuid}",
        f"--network-bridge={network.BRIDGE}",
        f"--bind={storage}:/srv/sodbench",
        "--capability=all",
        "--boot",
        "--register=no",
        "--keep-unit",
        "--console=pipe",
        "--link-journal=no",
        "--resolv-conf=off",
        "--timezone=off",
        *devices,
    ]
    machine.log.parent.mkdir(parents=True, exist_ok=True)
    with machine.log.open("wb") as log:
        subprocess.Popen(
            [*_in_own_unit(machine), *argv],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            # Only the network part of /proc/sys may be written by the machine (systemd-nspawn(1)).
            env={**os.environ, "SYSTEMD_NSPAWN_API_VFS_WRITABLE": "network"},
        )


def _in_own_unit(machine: Machine) -> list[str]:
    """Under systemd the machine gets a unit of its own, or it would end with the login session."""
    if not Path("/run/systemd/system").is_dir():
        return []
    unit = f"--unit={machine.name}"
    writable = "--setenv=SYSTEMD_NSPAWN_API_VFS_WRITABLE=network"
    properties = ("--property=Delegate=yes", "--property=KillMode=mixed")
    return ["systemd-run", unit, "--collect", "--quiet", "--pipe", *properties, writable]


def container_pid(machine: Machine) -> int | None:
    """The process id of the machine's nspawn, or None: found by its name, so also after a crash."""
    wanted = {f"--machine={machine.name}", f"--directory={machine.root}"}
    for process in Path("/proc").glob("[0-9]*"):
        argv = _argv(process)
        if argv and Path(argv[0]).name == "systemd-nspawn" and wanted <= set(argv):
            return int(process.name)
    return None


def _argv(process: Path) -> list[str]:
    try:
        return (process / "cmdline").read_bytes().decode(errors="replace").rstrip("\0").split("\0")
    except OSError:  # it has ended in the meantime
        return []


def leader_pid(machine: Machine) -> int | None:
    """The process id, outside, of the machine's own pid 1."""
    outer = container_pid(machine)
    if outer is None:
        return None
    children = Path(f"/proc/{outer}/task/{outer}/children")
    try:
        found = children.read_text().split()
    except OSError:
        return None
    return int(found[0]) if found else None


def stop(machine: Machine, *, timeout_s: float = 20.0) -> None:
    """Shut the machine down in order, or by force after `timeout_s`; a stopped machine stays as it is."""
    leader, outer = leader_pid(machine), container_pid(machine)
    if outer is not None:
        os.kill(outer, signal.SIGTERM)  # systemd-nspawn passes it on as an orderly shutdown
        if not _wait(lambda: container_pid(machine) is None, timeout_s):
            for pid in (leader, outer):
                if pid is not None:
                    _kill(pid)
            if not _wait(lambda: container_pid(machine) is None, 10.0):
                raise ProvisionError(
                    "the machine does not end", where=machine.name, why=f"process {outer} survived SIGKILL"
                )
    unmount(machine)


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return


def _wait(done: Callable[[], bool], timeout_s: float) -> bool:
    for _ in range(int(timeout_s / 0.1)):
        if done():
            return True
        sleep(0.1)
    return done()


def unmount(machine: Machine) -> None:
    """Unmount the machine's file system; does nothing if it is not mounted."""
    while os.path.ismount(machine.root):
        run(["umount", "--recursive", "--lazy", str(machine.root)])
    if machine.root.is_dir():
        machine.root.rmdir()
    if succeeds(["ip", "link", "show", machine.interface]):
        run(["ip", "link", "delete", machine.interface])


def forget_layers(machine: Machine) -> None:
    """Delete a stopped machine's own layer: it starts from the bare base."""
    if machine.layers.is_dir():
        shutil.rmtree(machine.layers)


def shape(machine: Machine, rate_bit_s: int) -> None:
    """Limit the machine's link to `rate_bit_s` in both directions.

    Raises:
        ProvisionError: The machine is not running.
    """
    leader = leader_pid(machine)
    if leader is None:
        raise ProvisionError("the machine is not running", where=machine.name)
    network.shape(machine.interface, rate_bit_s)
    network.shape("host0", rate_bit_s, leader_pid=leader)
