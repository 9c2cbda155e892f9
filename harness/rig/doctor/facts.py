"""Gathers what :mod:`harness.rig.doctor.checks` judges: facts of this machine and of a rig's machines.

Read-only: no module is loaded, no lock taken, no file written but a scratch one for libvirt's ssh command.
"""

from __future__ import annotations

import gzip
import importlib
import json
import os
import platform
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from harness.errors import SodbenchError
from harness.pair_name import HOSTS
from harness.rig.doctor import storage
from harness.rig.doctor.certificate import certificate_of
from harness.rig.doctor.checks import (
    FEATURES,
    PROGRAMS,
    ControllerFacts,
    Facts,
    MachineFacts,
    Presence,
)

if TYPE_CHECKING:
    from harness.rig.lab import lab
    from harness.rig.pair import Endpoint

PACKAGES = (
    "ansible_runner",
    "fabric",
    "jinja2",
    "libvirt",
    "libvirt_qemu",
    "matplotlib",
    "pandas",
    "psutil",
    "pyarrow",
    "pydantic",
    "ruamel.yaml",
    "scipy",
    "seaborn",
)
_CONFIG_NAMES = {
    "overlay": "CONFIG_OVERLAY_FS",
    "bridge": "CONFIG_BRIDGE",
    "tun": "CONFIG_TUN",
    "veth": "CONFIG_VETH",
    "tbf": "CONFIG_NET_SCH_TBF",
    "nf_tables": "CONFIG_NF_TABLES",
}
_CERTIFICATE = "/etc/pki/qemu/sodbench/server-cert.pem"
"""Where role `tls` puts a host's certificate for migrations."""
_SYSTEM_PATH = "/usr/local/sbin:/usr/sbin:/sbin"
"""Where the system's programs are: not on the path of every user who may use sudo."""


def gather(inventory: Path | None, *, programs: bool = False) -> Facts:
    """The facts of this machine, and of the machines of `inventory` or, without one, of a lab that is up.

    An inventory that is a program is run where `programs` allows it.

    Raises:
        InventoryError: The inventory is missing or wrong.
    """
    from harness.rig.lab import lab  # noqa: PLC0415 - a broken installation must still reach the other checks

    places = lab.Places()
    controller = controller_facts(places.cache)
    if inventory is None:
        answers = _lab_answers(places)
        up = all(answers.values()) and os.access(places.inventory, os.R_OK) and _importable()
        machines = _machines(places.inventory)[1] if up else {}
        return Facts(controller=controller, lab=answers, machines=machines)
    rig, machines = _machines(inventory, programs=programs)
    return Facts(
        controller=controller,
        lab=_lab_answers(places) if rig == "lab" else None,
        machines=machines,
        inventory=str(inventory),
    )


def _lab_answers(places: lab.Places) -> dict[str, bool]:
    from harness.rig.lab import lab  # noqa: PLC0415

    return {one.role: one.answers for one in lab.status(places)}


def _importable() -> bool:
    return all(_import_error(name) is None for name in ("fabric", "libvirt", "pydantic"))


def controller_facts(cache: Path) -> ControllerFacts:
    """What can be seen of this machine; `cache` is where the lab keeps its disks."""
    release = _os_release()
    count, error = _apt_sources()
    return ControllerFacts(
        root=os.geteuid() == 0,
        sudo=shutil.which("sudo") is not None,
        distribution=release.get("ID"),
        release=release.get("VERSION_ID"),
        programs={name: _which(name) is not None for name in PROGRAMS},
        features=kernel_features(),
        tun_device=Path("/dev/net/tun").is_char_device(),
        kvm_device=Path("/dev/kvm").is_char_device(),
        cache=str(cache),
        disk_free_bytes=_free_bytes(cache),
        memory_bytes=os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        cores=len(os.sched_getaffinity(0)),
        addresses=_addresses(),
        package_errors={name: _import_error(name) for name in PACKAGES},
        ansible_playbook=Path(sys.executable).with_name("ansible-playbook").is_file(),
        apt_sources=count,
        apt_error=error,
    )


def _which(name: str) -> str | None:
    return shutil.which(name, path=f"{os.environ.get('PATH', '')}:{_SYSTEM_PATH}")


def _os_release() -> dict[str, str]:
    try:
        return platform.freedesktop_os_release()
    except OSError:  # no such file: then the distribution is unknown, which is a warning
        return {}


def _free_bytes(folder: Path) -> int | None:
    there = next((place for place in (folder, *folder.parents) if place.is_dir()), None)
    try:
        return None if there is None else shutil.disk_usage(there).free
    except OSError:
        return None


def _addresses() -> list[tuple[str, str]] | None:
    program = _which("ip")
    if program is None:
        return None
    done = subprocess.run([program, "-json", "address"], capture_output=True, text=True, check=False)
    return parse_addresses(done.stdout) if done.returncode == 0 else None


def parse_addresses(text: str) -> list[tuple[str, str]]:
    """(interface, address with prefix) of each address in the output of ``ip -json address``."""
    return [
        (link["ifname"], f"{one['local']}/{one['prefixlen']}")
        for link in json.loads(text)
        for one in link.get("addr_info", [])
        if "local" in one
    ]


def _import_error(name: str) -> str | None:
    try:
        importlib.import_module(name)
    except ImportError as error:
        return str(error)
    return None


def _apt_sources() -> tuple[int, str]:
    from harness.rig.lab import base  # noqa: PLC0415

    try:
        return len(base.apt_sources().splitlines()), ""
    except SodbenchError as error:
        return 0, f"{error.what}: {error.why}".removesuffix(": ")


def kernel_features() -> dict[str, Presence]:
    """Whether the running kernel has each of the doctor's ``FEATURES``, without loading any."""
    config, modules = _kernel_config(), Path("/lib/modules") / platform.release()
    builtin = _text(modules / "modules.builtin")
    filesystems = _text(Path("/proc/filesystems")).split()
    return {
        name: feature_presence(
            config_value=config.get(_CONFIG_NAMES[name]) if config is not None else None,
            config_known=config is not None,
            seen=Path("/sys/module", module).is_dir() or module in filesystems or f"/{module}.ko" in builtin,
            loadable=_loadable(module),
        )
        for name, (module, _) in FEATURES.items()
    }


def feature_presence(
    *, config_value: str | None, config_known: bool, seen: bool, loadable: bool | None
) -> Presence:
    """Whether the kernel has a feature, from what is known of it.

    Args:
        config_value: ``y``, ``m`` or None (not set) in the kernel's configuration.
        config_known: Whether there is a configuration to read.
        seen: It is loaded, or listed as built in.
        loadable: Whether modprobe says it would load it; None when there is no modprobe.
    """
    if seen or config_value == "y" or loadable:
        return "present"
    if config_known and config_value is None:
        return "absent"
    # Configured as a module that modprobe does not find: not installed. Without modprobe this is unknown.
    return "unknown" if loadable is None else "absent"


def _kernel_config() -> dict[str, str] | None:
    """The kernel's configuration where it publishes one (CONFIG_IKCONFIG_PROC, or Debian's in /boot)."""
    try:
        text = gzip.decompress(Path("/proc/config.gz").read_bytes()).decode()
    except OSError:
        text = _text(Path("/boot") / f"config-{platform.release()}")
    lines = (line.partition("=") for line in text.splitlines() if not line.startswith("#"))
    return {name: value for name, _, value in lines if value in ("y", "m")} if text else None


def _text(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""


def _loadable(module: str) -> bool | None:
    program = _which("modprobe")
    if program is None:
        return None
    done = subprocess.run([program, "--dry-run", "--quiet", module], capture_output=True, check=False)
    return done.returncode == 0


def _machines(inventory: Path, *, programs: bool = False) -> tuple[str, Mapping[str, MachineFacts]]:
    """The rig's kind, and what each of its machines answers."""
    from harness.rig import ready  # noqa: PLC0415
    from harness.rig.pair import load, ssh_command_text  # noqa: PLC0415

    pair = load(inventory, programs=programs)
    wanted = ready.mark(pair)
    found = {}
    with tempfile.TemporaryDirectory(prefix="sodbench-doctor-") as scratch:
        for role, endpoint in pair.machines.items():
            command = Path(scratch) / role
            command.write_text(ssh_command_text(endpoint))
            command.chmod(0o700)
            uri = pair.libvirt_uri(role, command) if role in HOSTS else None
            found[role] = _ask(endpoint, wanted, uri, pair.storage_path)
    return pair.rig, found


def _ask(endpoint: Endpoint, wanted_mark: str, libvirt_uri: str | None, storage_path: str) -> MachineFacts:
    from harness.rig import acceleration, lock_holder, ready  # noqa: PLC0415
    from harness.rig.host import Host  # noqa: PLC0415

    try:
        with Host(endpoint) as host:
            _, mark, _ = host.attempt(f"cat {ready.MARK}")
            _, proved, _ = host.attempt(f"cat {acceleration.REMEMBERED}")
            seen = None if libvirt_uri is None else host.attempt(f"date +%s; cat {_CERTIFICATE}")
            _, stored, _ = host.attempt(storage.command(shlex.quote(storage_path)))
            _, lock, _ = host.attempt(
                f"stat -c '%d %i' {lock_holder.PATH} && cat {lock_holder.PATH} && echo && cat /proc/locks"
            )
    except SodbenchError as error:
        reason = f"{error.what}: {error.why}".removesuffix(": ")
        return MachineFacts(address=endpoint.address, unreachable=reason, remedy=error.remedy)
    return MachineFacts(
        address=endpoint.address,
        provisioned=standing(mark, wanted_mark),
        libvirt_error=None if libvirt_uri is None else _libvirt_error(libvirt_uri),
        accelerator=next(iter(proved.split()), None),
        holder=lock_holder_of(lock),
        certificate=None if seen is None else certificate_of(seen[1]),
        storage=storage.storage_of(stored, storage_path),
    )


def standing(mark: str, wanted: str) -> Literal["current", "older", "never"]:
    """How the machine with that mark compares with what provisioning would write now."""
    if not mark.strip():
        return "never"
    return "current" if mark.strip() == wanted else "older"


def lock_holder_of(answer: str) -> str | None:
    """Who holds the rig's lock, or None.

    Args:
        answer: Device and inode of the lock's file on one line, then what its holder wrote there (which a
            killed holder leaves behind) and an empty line, then /proc/locks (proc(5)); empty when there is no
            such file.
    """
    first, _, rest = answer.partition("\n")
    try:
        device, inode = (int(word) for word in first.split())
    except ValueError:
        return None
    text, _, locks = f"\n{rest}".partition("\n\n")
    place = f"{os.major(device):02x}:{os.minor(device):02x}:{inode}"
    held = any(" FLOCK " in line and place in line.split() for line in locks.splitlines())
    return (text.strip() or "a holder that gave no name") if held else None


def _libvirt_error(uri: str) -> str:
    """Why libvirt at `uri` does not answer; empty when it does."""
    try:
        import libvirt  # noqa: PLC0415
    except ImportError as error:
        return f"libvirt-python cannot be imported here: {error}"

    # The default handler prints every error; ours is in the check.
    libvirt.registerErrorHandler(lambda _context, _error: None, None)
    try:
        connection = libvirt.open(uri)
        connection.getLibVersion()
        connection.close()
    except libvirt.libvirtError as error:
        return str(error)
    return ""
