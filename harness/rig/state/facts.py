"""A host's state from the text of the kernel's files: governor, turbo, sleep states, memory, heat, errors.

Pure: the probe's output in, facts out. A fact that the files do not give is null and has its reason; it is
never 0. The files are documented in the kernel's ``Documentation/ABI`` and ``Documentation/admin-guide``
(``pm/cpufreq.rst``, ``pm/intel_pstate.rst``, ``pm/cpuidle.rst``, ``mm/transhuge.rst``, ``mm/ksm.rst``,
``sysctl/``, ``hw-vuln/``).
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from harness.json_types import Json

CPU = "sys/devices/system/cpu"
LONGEST_FACT = 400
"""Characters kept of one text."""
MOST_CHARACTERS = 8 * 2**20
"""What a probe may print; 512 processors take an eighth of it. In memory it may take twenty times as much."""


class _UnknownError(Exception):
    """A fact is not known; the text is the reason."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HostFacts:
    """What was read of one host at one moment.

    Attributes:
        facts: Every name of :data:`FACTS`, null where it is not known. Temperatures are in degrees Celsius.
        reasons: Why, for each that is null.
    """

    facts: Mapping[str, Json]
    reasons: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Probed:
    files: Mapping[str, str]
    unreadable: Mapping[str, str]
    log: Mapping[str, Json] | None
    log_reason: str
    irqbalance: bool | None

    def text(self, path: str) -> str:
        """The stripped text of one file."""
        if path in self.files:
            return self.files[path].strip()
        raise _UnknownError(f"/{path}: {self.unreadable.get(path, 'the kernel has no such file')}")

    def each(self, pattern: str) -> list[tuple[re.Match[str], str]]:
        """Every file whose path is `pattern`, with its text; at least one."""
        shape = re.compile(pattern)
        matched = ((shape.fullmatch(path), text.strip()) for path, text in self.files.items())
        found = [(match, text) for match, text in matched if match is not None]
        if not found:
            refused = [why for path, why in self.unreadable.items() if shape.fullmatch(path)]
            readable = re.sub(r"\\d\+|\(\\d\+\)|\[\^/\]\+", "*", pattern).replace("(*)", "*")
            raise _UnknownError(f"/{readable}: {(refused or ['the kernel has no such file'])[0]}")
        return found


def parse(output: str) -> HostFacts:
    """The facts in what the probe printed.

    Raises:
        ValueError: It is not what the probe prints.
    """
    if len(output) > MOST_CHARACTERS:
        raise ValueError(f"it has more than {MOST_CHARACTERS} characters")
    probed = _probed(json.loads(output))
    facts: dict[str, Json] = {}
    reasons: dict[str, str] = {}
    for name, read in FACTS.items():
        try:
            facts[name] = read(probed)
        except _UnknownError as error:
            facts[name] = None
            reasons[name] = str(error)[:LONGEST_FACT]
    return HostFacts(facts=facts, reasons=reasons)


def _probed(said: Json) -> _Probed:
    if not isinstance(said, dict):
        raise ValueError("it is not a JSON object")
    log, runs = said.get("log"), said.get("irqbalance")
    return _Probed(
        files=_texts(said.get("files")),
        unreadable=_texts(said.get("unreadable")),
        log=log if isinstance(log, dict) else None,
        log_reason=str(said.get("log_reason") or "it was not read"),
        irqbalance=runs if isinstance(runs, bool) else None,
    )


def _texts(said: Json) -> Mapping[str, str]:
    if not isinstance(said, dict) or not all(isinstance(text, str) for text in said.values()):
        raise ValueError("it has no texts of files")
    return {path: str(text) for path, text in said.items()}


def _same(values: Sequence[str]) -> str:
    """One value for all processors; where they differ, each with how many have it."""
    counted = sorted(Counter(values).items())
    if len(counted) == 1:
        return counted[0][0][:LONGEST_FACT]
    return ", ".join(f"{value} ({count})" for value, count in counted)[:LONGEST_FACT]


def _policies(name: str) -> Callable[[_Probed], Json]:
    """A value of the frequency policies, of which each is of one processor or several."""
    return lambda probed: _same([text for _, text in probed.each(rf"{CPU}/cpufreq/policy\d+/{name}")])


def _whole(text: str, path: str) -> int:
    if not re.fullmatch(r"-?\d{1,18}", text):
        raise _UnknownError(f"/{path}: {text[:40]!r} is not a number")
    return int(text)


def _number(path: str) -> Callable[[_Probed], Json]:
    return lambda probed: _whole(probed.text(path), path)


def _chosen(path: str) -> Callable[[_Probed], Json]:
    """The choice in brackets, as in ``always [madvise] never``."""

    def read(probed: _Probed) -> Json:
        text = probed.text(path)
        found = re.search(r"\[([^\]]+)\]", text)
        return (found.group(1) if found else text)[:LONGEST_FACT]

    return read


def _turbo(probed: _Probed) -> Json:
    """``on`` or ``off``: intel_pstate says what is off, other drivers what is on."""
    for path, on in ((f"{CPU}/intel_pstate/no_turbo", "0"), (f"{CPU}/cpufreq/boost", "1")):
        if path in probed.files:
            return "on" if probed.text(path) == on else "off"
    raise _UnknownError(f"/{CPU}: neither intel_pstate/no_turbo nor cpufreq/boost is there")


def _c_states(probed: _Probed) -> Json:
    """The sleep states that are enabled on any processor, with how many where not on all."""
    states = rf"{CPU}/cpu(\d+)/cpuidle/(state\d+)"
    names = {(match[1], match[2]): text for match, text in probed.each(rf"{states}/name")}
    disabled = {(match[1], match[2]): text != "0" for match, text in probed.each(rf"{states}/disable")}
    enabled: Counter[tuple[int, str]] = Counter()
    for key, name in names.items():
        enabled[int(key[1].removeprefix("state")), name] += not disabled.get(key, False)
    processors = len({cpu for cpu, _ in names})
    listed = [
        name if count == processors else f"{name} ({count})"
        for (_, name), count in sorted(enabled.items())
        if count
    ]
    return ", ".join(listed)[:LONGEST_FACT] or "all disabled"


def _microcode(probed: _Probed) -> Json:
    path = f"{CPU}/cpu0/microcode/version"
    if path in probed.files:
        return probed.text(path)[:LONGEST_FACT]
    found = re.search(r"^microcode\s*:\s*(\S+)", probed.text("proc/cpuinfo"), re.MULTILINE)
    if found is None:
        raise _UnknownError(f"/{path} is not there, and /proc/cpuinfo names no microcode")
    return found.group(1)


def _mitigations(probed: _Probed) -> Json:
    """What the kernel says of each vulnerability of the processor, by name."""
    found = probed.each(rf"{CPU}/vulnerabilities/([^/]+)")
    return {match[1]: text[:LONGEST_FACT] for match, text in sorted(found, key=lambda one: one[0][1])}


def _temperature(probed: _Probed) -> Json:
    """The hottest sensor; the kernel gives millidegrees."""
    milli = []
    for pattern in (r"sys/class/thermal/thermal_zone\d+/temp", r"sys/class/hwmon/hwmon\d+/temp\d+_input"):
        matched = (path for path in probed.files if re.fullmatch(pattern, path))
        milli += [_whole(probed.text(path), path) for path in matched]
    if not milli:
        raise _UnknownError("/sys/class/thermal and /sys/class/hwmon: there is no sensor")
    return max(milli) / 1000


def _core_throttles(probed: _Probed) -> Json:
    found = probed.each(rf"{CPU}/cpu\d+/thermal_throttle/core_throttle_count")
    return sum(_whole(text, match[0]) for match, text in found)


def _package_throttles(probed: _Probed) -> Json:
    """Over all packages; every processor of one shows the same count."""
    most: dict[str, int] = {}
    for match, text in probed.each(rf"{CPU}/cpu(\d+)/thermal_throttle/package_throttle_count"):
        package = probed.files.get(f"{CPU}/cpu{match[1]}/topology/physical_package_id", "0").strip()
        most[package] = max(most.get(package, 0), _whole(text, match[0]))
    return sum(most.values())


def _irqbalance(probed: _Probed) -> Json:
    if probed.irqbalance is None:
        raise _UnknownError("/proc was not looked through")
    return "runs" if probed.irqbalance else "does not run"


def _log(key: str) -> Callable[[_Probed], Json]:
    def read(probed: _Probed) -> Json:
        if probed.log is None or key not in probed.log:
            raise _UnknownError(f"/dev/kmsg: {probed.log_reason}")
        return probed.log[key]

    return read


FACTS: Mapping[str, Callable[[_Probed], Json]] = MappingProxyType(
    {
        "governor": _policies("scaling_governor"),
        "frequency_driver": _policies("scaling_driver"),
        "energy_preference": _policies("energy_performance_preference"),
        "turbo": _turbo,
        "c_states": _c_states,
        "idle_driver": lambda probed: probed.text(f"{CPU}/cpuidle/current_driver")[:LONGEST_FACT],
        "smt": lambda probed: probed.text(f"{CPU}/smt/control")[:LONGEST_FACT],
        "thp": _chosen("sys/kernel/mm/transparent_hugepage/enabled"),
        "thp_defrag": _chosen("sys/kernel/mm/transparent_hugepage/defrag"),
        "ksm_run": _number("sys/kernel/mm/ksm/run"),
        "numa_balancing": _number("proc/sys/kernel/numa_balancing"),
        "swappiness": _number("proc/sys/vm/swappiness"),
        "irqbalance": _irqbalance,
        "tcp_no_metrics_save": _number("proc/sys/net/ipv4/tcp_no_metrics_save"),
        "microcode": _microcode,
        "mitigations": _mitigations,
        "temperature_celsius": _temperature,
        "core_throttles": _core_throttles,
        "package_throttles": _package_throttles,
        "kernel_log_next": _log("next"),
        "kernel_log_errors": _log("errors"),
    }
)
"""Every fact of a host's state and how it is read. Counters count since boot."""
