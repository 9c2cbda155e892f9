"""What can be set on a host, in which order and why; and how one value is read and written.

Standard library only; ``sodbench_tune.py`` decides what is done. In a container the kernel is shared with
other machines: what is the kernel's own is left alone there.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

BOOT_ID = "proc/sys/kernel/random/boot_id"
CONTAINER_MARKS = ("run/systemd/container", "run/.containerenv", ".dockerenv")
CPU = "sys/devices/system/cpu"
SYSTEMCTL_LIMIT_S = 60
LONGEST_BYTES = 4096


class TuneError(Exception):
    """Why the host is not as it was asked for, in words."""


@dataclass(frozen=True)
class Value:
    """One value that is to change: a file of the kernel's or, where `path` begins with ``unit:``, a unit."""

    setting: str
    path: str
    before: str
    after: str


@dataclass(frozen=True)
class Machine:
    """The machine: where its files are, where the restore files are kept, how its services are asked."""

    root: Path
    keep: Path
    systemctl: str

    @property
    def boot(self) -> str:
        """The id of this boot."""
        found = (self.root / BOOT_ID).read_text(encoding="ascii").strip()
        if not re.fullmatch(r"[0-9a-f-]{8,64}", found):
            raise TuneError(f"/{BOOT_ID} is no boot id: {found[:80]!r}")
        return found

    @property
    def shares_its_kernel(self) -> bool:
        """Whether this is a container, whose kernel belongs to others as well."""
        return any((self.root / mark).exists() for mark in CONTAINER_MARKS)

    def glob(self, pattern: str) -> list[str]:
        """The files of that pattern under the root, in the order of their numbers."""
        found = (str(path.relative_to(self.root)) for path in self.root.glob(pattern))
        return sorted(
            found, key=lambda path: [int(one) if one.isdigit() else one for one in re.split(r"(\d+)", path)]
        )

    def has(self, path: str) -> bool:
        """Whether there is such a file; of a unit it is not asked."""
        return path.startswith("unit:") or (self.root / path).exists()

    def read(self, path: str) -> str:
        """The value now; of a list of choices, the one in brackets."""
        if path.startswith("unit:"):
            return self._unit("is-active", path)
        with (self.root / path).open("rb") as file:
            text = file.read(LONGEST_BYTES).decode(errors="replace").strip()
        found = re.search(r"\[([^\]]+)\]", text)
        return found.group(1) if found else text

    def write(self, path: str, value: str) -> None:
        """Make the value that, and read it back; OSError or TuneError where it does not become so."""
        if path.startswith("unit:"):
            self._unit({"active": "start", "inactive": "stop"}[value], path)
        else:
            handle = os.open(self.root / path, os.O_WRONLY | os.O_TRUNC)
            try:
                os.write(handle, value.encode())
            finally:
                os.close(handle)
        found = self.read(path)
        if found != value:
            raise TuneError(f"/{path} was set to {value!r} and reads {found!r}")

    def _unit(self, verb: str, path: str) -> str:
        unit = path.removeprefix("unit:")
        argv = [self.systemctl, verb, unit]
        try:
            done = subprocess.run(
                argv, capture_output=True, text=True, timeout=SYSTEMCTL_LIMIT_S, check=False
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise TuneError(f"{' '.join(argv)}: {error}") from error
        if verb == "is-active":  # it ends with another status than 0 for every other state
            return "active" if done.stdout.strip() in ("active", "activating", "reloading") else "inactive"
        if done.returncode != 0:
            raise TuneError(f"{' '.join(argv)} ended with {done.returncode}: {done.stderr.strip()[-300:]}")
        return ""


Paths = Callable[[Machine, str], "list[tuple[str, str]]"]
"""Gives the files of a wanted setting, each with the value that makes it so; empty where there is none."""


def _files(pattern: str, translate: Mapping[str, str] | None = None) -> Paths:
    def paths(machine: Machine, wanted: str) -> list[tuple[str, str]]:
        value = wanted if translate is None else translate[wanted]
        return [(path, value) for path in machine.glob(pattern)]

    return paths


def _turbo(machine: Machine, wanted: str) -> list[tuple[str, str]]:
    """intel_pstate says what is off, other drivers what is on."""
    off = wanted == "off"
    if (machine.root / CPU / "intel_pstate/no_turbo").exists():
        return [(f"{CPU}/intel_pstate/no_turbo", "1" if off else "0")]
    return [(path, "0" if off else "1") for path in machine.glob(f"{CPU}/cpufreq/boost")]


def _smt(machine: Machine, wanted: str) -> list[tuple[str, str]]:
    """Only where the kernel can switch it: it also says ``notsupported``, ``forceoff`` and others."""
    paths = machine.glob(f"{CPU}/smt/control")
    return [(path, wanted) for path in paths if machine.read(path) in ("on", "off")]


def _sleep(machine: Machine, wanted: str) -> list[tuple[str, str]]:
    """Every state that takes longer to wake from than `wanted`, in microseconds."""
    found = []
    for path in machine.glob(f"{CPU}/cpu[0-9]*/cpuidle/state[0-9]*/disable"):
        latency = path.removesuffix("disable") + "latency"
        if machine.has(latency) and int(machine.read(latency)) > int(wanted):
            found.append((path, "1"))
    return found


def _irqbalance(machine: Machine, wanted: str) -> list[tuple[str, str]]:
    unit = "unit:irqbalance.service"
    return [(unit, "inactive")] if wanted == "stopped" and machine.read(unit) == "active" else []


@dataclass(frozen=True)
class Setting:
    """One thing that can be tuned: its values as a regular expression, its files, whose it is."""

    name: str
    values: str
    paths: Paths
    of_kernel: bool = True


SETTINGS: Sequence[Setting] = (
    # First, so that no interrupt is moved while processors go off-line and change.
    Setting("irqbalance", "stopped", _irqbalance, of_kernel=False),
    # Before all that is a processor's own: a sibling that goes off-line takes its files with it.
    Setting("smt", "off", _smt),
    # Before the governor: the highest frequency, between whose bounds the governor chooses, follows from it.
    Setting("turbo", "on|off", _turbo),
    # Before the governor: under `performance` intel_pstate refuses every other preference.
    Setting(
        "energy_preference", "[a-z_]{1,40}", _files(f"{CPU}/cpufreq/policy*/energy_performance_preference")
    ),
    Setting("governor", "[a-z]{1,20}", _files(f"{CPU}/cpufreq/policy*/scaling_governor")),
    # The processor's settings end with how deep it sleeps; the memory's follow, in no order of need.
    Setting("wake_up_us", "[0-9]{1,6}", _sleep),
    Setting("ksm", "stopped", _files("sys/kernel/mm/ksm/run", {"stopped": "0"})),
    Setting("thp", "always|madvise|never", _files("sys/kernel/mm/transparent_hugepage/enabled")),
    Setting("numa_balancing", "0|1", _files("proc/sys/kernel/numa_balancing")),
    Setting("swappiness", "[0-9]|[1-9][0-9]|1[0-9][0-9]|200", _files("proc/sys/vm/swappiness")),
    # Of the network's namespace: what a connection learned of the path would shape the next migration's.
    Setting("tcp_no_metrics_save", "0|1", _files("proc/sys/net/ipv4/tcp_no_metrics_save"), of_kernel=False),
)
"""In the order in which they are made. They are put back in reverse, but for SMT, which comes first there
too: only a sibling that is on-line again has files to put back."""


def wanted_of(text: str) -> dict[str, str]:
    """The settings that were asked for.

    Raises:
        TuneError: One is unknown, or its value is.
    """
    try:
        said = json.loads(text)
    except ValueError as error:
        raise TuneError(f"the settings are no JSON: {error}") from error
    if not isinstance(said, dict):
        raise TuneError("the settings are no JSON object")
    known = {one.name: one for one in SETTINGS}
    for name, value in said.items():
        if name not in known:
            raise TuneError(f"no such setting: {str(name)[:80]!r}; there are {', '.join(known)}")
        if not re.fullmatch(known[name].values, str(value)):
            raise TuneError(f"{name} cannot be {str(value)[:80]!r}; it is of the form {known[name].values}")
    return {name: str(value) for name, value in said.items()}


def planned(machine: Machine, wanted: Mapping[str, str]) -> tuple[list[Value], dict[str, str]]:
    """Every value of the wanted settings as it is now and is to be; and why some settings are left alone."""
    values: list[Value] = []
    left: dict[str, str] = {}
    for setting in SETTINGS:
        if setting.name not in wanted:
            continue
        if setting.of_kernel and machine.shares_its_kernel:
            left[setting.name] = "a container shares its kernel with other machines"
            continue
        paths = setting.paths(machine, wanted[setting.name])
        if not paths:
            left[setting.name] = "there is nothing to set on this machine"
        values += [Value(setting.name, path, machine.read(path), after) for path, after in paths]
    return values, left
