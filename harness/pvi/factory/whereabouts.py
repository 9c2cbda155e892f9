"""On what machine the factory is, and whether that machine belongs to its own infrastructure.

A factory on a host of the provider, or in a guest there, would give the provider the root of all trust. What
identifies a machine is compared with what identifies the hosts and guests: its machine id, the running
kernel's boot id (which a container shares with its host), the UUID that its firmware states (of a guest its
domain's), and the names of its TPM's endorsement keys.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TypeAlias

from harness.attest.tpm.structures import name_of
from harness.errors import PrerequisiteError
from harness.legible import legible
from harness.rig.contract import Machine

Mark: TypeAlias = tuple[str, str]
"""What identifies a machine: a kind of :data:`KINDS` and its value."""
Members: TypeAlias = Mapping[Mark, str]
"""The marks of an infrastructure's hosts and guests, each with whose it is."""

MACHINE, BOOT, UUID, TPM = "machine-id", "boot-id", "uuid", "endorsement-key"
KINDS = (MACHINE, BOOT, UUID, TPM)
_FORMS = {
    MACHINE: re.compile(r"[0-9a-f]{32}"),
    BOOT: re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"),
    UUID: re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"),
    TPM: re.compile(r"[0-9a-f]{68,132}"),
}
_VAGUE = frozenset({"0" * 32, "f" * 32})
"""What firmware states that has no UUID."""
_TIMEOUT_S = 30.0

ASKED = """
printf 'machine-id %s\\n' "$(cat /etc/machine-id)"
printf 'boot-id %s\\n' "$(cat /proc/sys/kernel/random/boot_id)"
printf 'uuid %s\\n' "$(cat /sys/class/dmi/id/product_uuid 2>/dev/null)"
for one in $(virsh --connect qemu:///system list --all --uuid); do printf 'domain %s\\n' "$one"; done
"""
"""What a host is asked, for a shell."""


class Kind(StrEnum):
    """On what a factory is. One that is not known to be physical is never called so."""

    PHYSICAL = "physical"
    VIRTUAL = "virtual"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Whereabouts:
    """The machine of the factory.

    Attributes:
        marks: What identifies it.
        virtualisation: systemd-detect-virt's word, ``none`` on a machine that is neither virtual nor a
            container; empty where that is not known.
        randomness: Where random numbers come from: the kernel, and what hardware feeds it.
        hardware: What of the hardware speeds cryptography up or could keep keys.
    """

    marks: frozenset[Mark]
    virtualisation: str
    randomness: str
    hardware: str

    @property
    def kind(self) -> Kind:
        """See :class:`Kind`; a container counts as virtual."""
        if not self.virtualisation:
            return Kind.UNKNOWN
        return Kind.PHYSICAL if self.virtualisation == "none" else Kind.VIRTUAL


def require_outside(here: Whereabouts, members: Members) -> None:
    """Refuse a machine that is a host or a guest of the infrastructure.

    Raises:
        PrerequisiteError: It is one, by the mark that is named.
    """
    for kind in KINDS:
        for mark in sorted(here.marks):
            if mark[0] == kind and mark in members:
                raise PrerequisiteError(
                    "the factory cannot be on a machine of its own infrastructure",
                    where=legible(members[mark]),
                    why=f"this machine has the same {kind}: {mark[1]}",
                    remedy="set the factory up on a machine of its owner's",
                )


def marks(found: Iterator[Mark]) -> frozenset[Mark]:
    """Those of `found` that identify one machine: in their form, and not what firmware without one says."""
    lowered = ((kind, value.strip().lower()) for kind, value in found)
    return frozenset(
        (kind, value)
        for kind, value in lowered
        if _FORMS[kind].fullmatch(value) and value.replace("-", "") not in _VAGUE
    )


def of_host(host: Machine) -> Members:
    """The marks of a host and of all its domains.

    Raises:
        CommandError: The host cannot say them.
        UnreachableError: It does not answer.
    """
    found: dict[Mark, str] = {}
    for line in host.run(ASKED).splitlines():
        kind, _, value = line.partition(" ")
        domain = kind == "domain"
        if domain or kind in {MACHINE, BOOT, UUID}:
            whose = f"a guest of host {host.role}" if domain else f"host {host.role}"
            mark = (UUID if domain else kind, value)
            found |= dict.fromkeys(marks(iter([mark])), whose)
    return found


def here(root: Path = Path("/")) -> Whereabouts:
    """This machine; `root` is where its files are."""
    return Whereabouts(
        marks=marks(_own_marks(root)),
        virtualisation=_virtualisation(),
        randomness=_randomness(root),
        hardware=_hardware(root),
    )


def _own_marks(root: Path) -> Iterator[Mark]:
    yield MACHINE, _text(root / "etc/machine-id")
    yield BOOT, _text(root / "proc/sys/kernel/random/boot_id")
    yield UUID, _text(root / "sys/class/dmi/id/product_uuid")
    if (root / "dev/tpmrm0").exists():
        for name in endorsement_keys("device:/dev/tpmrm0"):
            yield TPM, name.hex()


def endorsement_keys(tcti: str) -> Iterator[bytes]:
    """The names of the default endorsement keys of the TPM that tpm2-tools reach at `tcti`.

    None where the tools or the right to use the TPM are missing.
    """
    if shutil.which("tpm2_createek") is None:
        return
    for algorithm in ("rsa", "ecc"):
        with tempfile.TemporaryDirectory(prefix="sodbench-ek-") as folder:
            public = Path(folder, "ek")
            command = ["tpm2_createek", "-c", f"{folder}/context", "-G", algorithm, "-u", str(public)]
            done = _run([*command, "-T", tcti])
            if done is not None and done.returncode == 0:
                yield name_of(public.read_bytes()[2:])  # without the size in front


def _virtualisation() -> str:
    done = _run(["systemd-detect-virt"])
    word = "" if done is None else done.stdout.strip()
    return word if re.fullmatch(r"[a-z0-9-]{1,32}", word) else ""


def _randomness(root: Path) -> str:
    device = _text(root / "sys/class/misc/hw_random/rng_current")
    fed = [f"the device {legible(device)}"] if device and device != "none" else []
    fed += [f"the processor's {one}" for one in ("rdrand", "rdseed") if one in _flags(root)]
    return f"the kernel's generator (getrandom), fed by {', '.join(fed) or 'no hardware that was found'}"


def _hardware(root: Path) -> str:
    found = [f"the processor's {one}" for one in ("aes", "sha_ni", "vaes") if one in _flags(root)]
    if (root / "dev/tpmrm0").exists():
        found.append("a TPM")
    return ", ".join(found) or "none was found"


def _flags(root: Path) -> frozenset[str]:
    found = re.search(r"^flags\s*:(.*)$", _text(root / "proc/cpuinfo"), re.MULTILINE)
    return frozenset(found[1].split()) if found else frozenset()


def _text(path: Path) -> str:
    """A file's content; empty where it is not there or this user may not read it."""
    try:
        with path.open("rb") as file:
            return file.read(64 * 1024).decode("utf-8", "replace").strip()
    except OSError:
        return ""


def _run(command: list[str]) -> subprocess.CompletedProcess[str] | None:
    """What a program says; None where it is missing or does not end."""
    try:
        return subprocess.run(command, capture_output=True, text=True, check=False, timeout=_TIMEOUT_S)
    except (OSError, subprocess.TimeoutExpired):
        return None
