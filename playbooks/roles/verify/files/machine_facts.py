#!/usr/bin/env python3
"""Prints the facts of one machine of the rig as one JSON object, which preflight judges.

Runs on the machine itself with its own Python (3.10 or later) and nothing but the standard library. It only
reads and must never change anything. A fact that could not be read is null, with its reason in ``reasons``:
a missing fact is never zero and never false.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import platform
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

Fact: TypeAlias = str | int | float | bool | None

COMMAND_LIMIT_S = 20.0
TOOLS = Path("/opt/sodbench")
CERTIFICATES = "/etc/pki/qemu/sodbench"
IMA_POLICY = "/sys/kernel/security/ima/policy"
COUNTERS = frozenset({"out", "in", "peer_out", "peer_in"})


class UnreadableError(Exception):
    """A fact could not be read; the text is the reason."""


def output_of(*argv: str) -> str:
    """What the command prints, in the C locale.

    Raises:
        UnreadableError: It is missing, failed or took too long.
    """
    environment = {**os.environ, "LC_ALL": "C"}
    try:
        done = subprocess.run(
            argv, capture_output=True, text=True, timeout=COMMAND_LIMIT_S, check=False, env=environment
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise UnreadableError(str(error)) from error
    if done.returncode != 0:
        said = (done.stderr or done.stdout).strip().splitlines() or ["no message"]
        message = next((line.strip() for line in said if "error" in line.lower()), said[0])
        raise UnreadableError(f"{argv[0]} ended with {done.returncode}: {message}")
    return done.stdout


def text_of(path: str) -> str:
    """The stripped text of a file.

    Raises:
        UnreadableError: It cannot be read.
    """
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace").strip()
    except OSError as error:
        raise UnreadableError(str(error)) from error


def cpu_field(cpuinfo: str, field: str) -> str:
    """The first value of `field` in the text of /proc/cpuinfo.

    Raises:
        UnreadableError: There is no such field.
    """
    for line in cpuinfo.splitlines():
        name, _, value = line.partition(":")
        if name.strip() == field:
            return value.strip()
    raise UnreadableError(f"/proc/cpuinfo has no {field!r}")


def flags_hash(flags: str) -> str:
    """SHA-256 of the sorted CPU flags: two hosts have the same flags exactly when it is equal."""
    return hashlib.sha256(" ".join(sorted(flags.split())).encode()).hexdigest()


def memory_bytes(meminfo: str) -> int:
    """MemTotal of the text of /proc/meminfo, in bytes.

    Raises:
        UnreadableError: There is no MemTotal.
    """
    for line in meminfo.splitlines():
        if line.startswith("MemTotal:"):
            return int(line.split()[1]) * 1024
    raise UnreadableError("/proc/meminfo has no MemTotal")


def distro(os_release: str) -> str:
    """PRETTY_NAME of the text of /etc/os-release.

    Raises:
        UnreadableError: There is no PRETTY_NAME.
    """
    for line in os_release.splitlines():
        name, _, value = line.partition("=")
        if name == "PRETTY_NAME":
            return value.strip().strip('"')
    raise UnreadableError("/etc/os-release has no PRETTY_NAME")


def virtualization() -> str:
    """What systemd says the machine runs in: ``none``, ``kvm``, ``systemd-nspawn``, ...

    Raises:
        UnreadableError: systemd-detect-virt is missing or says nothing.
    """
    try:  # it ends with 1 when it prints "none"
        done = subprocess.run(["systemd-detect-virt"], capture_output=True, text=True, check=False)
    except OSError as error:
        raise UnreadableError(str(error)) from error
    if not done.stdout.strip():
        raise UnreadableError(done.stderr.strip() or "systemd-detect-virt printed nothing")
    return done.stdout.strip()


def qemu_version(banner: str) -> str:
    """The version, with the distribution's, in what ``qemu-system-x86_64 --version`` prints.

    Raises:
        UnreadableError: It prints no version.
    """
    _, found, version = banner.partition("version ")
    if not found:
        raise UnreadableError(f"QEMU printed no version: {banner[:80]!r}")
    return version.splitlines()[0].strip()


def daemon_version(report: str) -> str:
    """The daemon's version in what ``virsh version --daemon`` prints.

    Raises:
        UnreadableError: It does not name the daemon.
    """
    for line in report.splitlines():
        what, _, version = line.partition(":")
        if what == "Running against daemon":
            return version.strip()
    raise UnreadableError("virsh did not say which daemon answers")


def counters_present(listing: str) -> bool:
    """Whether the JSON of ``nft -j list counters`` names all of the migration counters.

    Raises:
        UnreadableError: Some are missing.
    """
    found = {item["counter"]["name"] for item in json.loads(listing)["nftables"] if "counter" in item}
    if missing := COUNTERS - found:
        raise UnreadableError(f"the table has no counter {', '.join(sorted(missing))}")
    return True


def chrony_offset_s(tracking: str) -> float:
    """The system clock's offset from NTP time in the CSV of ``chronyc -c tracking``, in seconds.

    Positive: the clock is behind NTP time, as chrony reports it (chronyc(1), "System time").

    Raises:
        UnreadableError: The text has another shape, or chrony has no source yet.
    """
    fields = tracking.strip().split(",")
    if len(fields) < 14:
        raise UnreadableError(f"chronyc printed {len(fields)} fields")
    if fields[13] == "Not synchronised":
        raise UnreadableError("chrony is not synchronised")
    return float(fields[4])


def certificate_until() -> str:
    """When the host's certificate for migrations ends. Raises UnreadableError where it is not valid now."""
    own, authority = f"{CERTIFICATES}/server-cert.pem", f"{CERTIFICATES}/ca-cert.pem"
    output_of("openssl", "verify", "-CAfile", authority, own)
    end = output_of("openssl", "x509", "-noout", "-enddate", "-dateopt", "iso_8601", "-in", own)
    return end.strip().removeprefix("notAfter=").replace(" ", "T").replace("Z", "+00:00")


def in_container(detected: str) -> bool:
    """Whether `systemd-detect-virt --container` names one: it shares kernel and clock with its host."""
    return detected not in ("", "none")


def container() -> str:
    """The kind of container that the machine is, by systemd; ``none`` if it is not a container.

    Raises:
        UnreadableError: systemd-detect-virt is missing.
    """
    try:  # it ends with 1 when it prints "none"
        done = subprocess.run(
            ["systemd-detect-virt", "--container"], capture_output=True, text=True, check=False
        )
    except OSError as error:
        raise UnreadableError(str(error)) from error
    return done.stdout.strip()


def ima_policy_wanted(loaded: str, wanted: str) -> bool:
    """Whether the kernel measures what `wanted` says, and no other kind of event.

    Args:
        loaded: The text of the kernel's ``ima/policy``, a rule a line.
        wanted: The rules that are wanted, separated by ``;``.

    Rules that the kernel adds for Secure Boot (appraisal, and what is measured anyway) do not count.
    """
    rules = {" ".join(line.split()) for line in loaded.splitlines() if line.strip()}
    asked = {" ".join(rule.split()) for rule in wanted.split(";")}
    functions = {_function(rule) for rule in asked}
    others = {rule for rule in rules - asked if rule.startswith("measure ")}
    return asked <= rules and all(_function(rule) in functions for rule in others)


def _function(rule: str) -> str:
    return next((field for field in rule.split() if field.startswith("func=")), "")


def ima_policy_current(wanted: str) -> bool:
    """Whether the kernel's IMA policy is the wanted one.

    Raises:
        UnreadableError: None is wanted, or the kernel does not let its policy be read.
    """
    if not wanted:
        raise UnreadableError("the inventory asks for no IMA policy")
    return ima_policy_wanted(text_of(IMA_POLICY), wanted)


def tpm_present(kind: str) -> bool:
    """Whether the host's TPM answers (software) or exists (hardware).

    Raises:
        UnreadableError: It does not, or the inventory asks for no TPM.
    """
    if kind == "none":
        raise UnreadableError("the inventory asks for no TPM")
    if kind == "hardware":
        if not Path("/dev/tpmrm0").exists():
            raise UnreadableError("there is no /dev/tpmrm0")
        return True
    output_of("tpm2_getcap", "-T", "swtpm:path=/run/sodbench/swtpm.sock", "properties-fixed")
    return True


def locust_version() -> str:
    """The version of locust in the project's virtual environment.

    Raises:
        UnreadableError: It is not installed, or broken.
    """
    program = "import importlib.metadata as m; import locust; print(m.version('locust'))"
    return output_of(f"{TOOLS}/locust/bin/python", "-W", "ignore", "-c", program).strip()


def tshark_version(banner: str) -> str:
    """The version in the first line of ``tshark --version``.

    Raises:
        UnreadableError: The text has another shape.
    """
    found = re.match(r"TShark \(Wireshark\) (\S+)", banner)
    if found is None:
        raise UnreadableError("tshark --version prints no version")
    return found.group(1).rstrip(".")


def archive_version(landmark: str) -> str:
    """The version of a generator that was installed from the user's archive, known by its program.

    Raises:
        UnreadableError: It is not installed, or its installation is not complete.
    """
    program = TOOLS / landmark
    if not program.is_file():
        raise UnreadableError(f"there is no {program}")
    return text_of(f"{program.parent.parent}/VERSION")


def generators() -> tuple[dict[str, Fact], dict[str, str]]:
    """The version of each load generator, null where it is not installed, and the reasons for the nulls."""
    versions: dict[str, Callable[[], Fact]] = {
        "locust": locust_version,
        "tshark": lambda: tshark_version(output_of("tshark", "--version")),
        "mstone": lambda: archive_version("mstone/bin/mailmaster.pl"),
        "faban": lambda: archive_version("faban/bin/fhb"),
    }
    return read_all(versions)


def mounted(path: str, mountinfo: str) -> bool:
    """Whether something is mounted at `path`, by the text of /proc/self/mountinfo.

    To stat(2) a bind mount of the same file system is a plain folder; only this list shows it (proc(5)).
    """
    points = {line.split()[4] for line in mountinfo.splitlines()}
    return os.path.realpath(path).replace(" ", "\\040") in points


def storage_free_bytes(path: str) -> int:
    """Bytes that the file system at `path` has free.

    Raises:
        UnreadableError: There is no such folder.
    """
    try:
        return shutil.disk_usage(path).free
    except OSError as error:
        raise UnreadableError(str(error)) from error


def any_machine() -> dict[str, Callable[[], Fact]]:
    """The readers of what every machine has."""
    psutil = ("python3", "-c", "import psutil; print(psutil.__version__)")
    return {
        "cpu_model": lambda: cpu_field(text_of("/proc/cpuinfo"), "model name"),
        "cpu_flags_hash": lambda: flags_hash(cpu_field(text_of("/proc/cpuinfo"), "flags")),
        "cores": os.cpu_count,
        "memory_bytes": lambda: memory_bytes(text_of("/proc/meminfo")),
        "kernel": platform.release,
        "distro": lambda: distro(text_of("/etc/os-release")),
        "virtualization": virtualization,
        "in_container": lambda: in_container(container()),
        "machine_id": lambda: text_of("/etc/machine-id"),
        "boot_id": lambda: text_of("/proc/sys/kernel/random/boot_id"),
        "clock_source": lambda: text_of("/sys/devices/system/clocksource/clocksource0/current_clocksource"),
        "chrony_offset_s": lambda: chrony_offset_s(output_of("chronyc", "-c", "tracking")),
        "python_version": platform.python_version,
        "psutil_version": lambda: output_of(*psutil).strip(),
        "ping_present": lambda: shutil.which("ping") is not None,
    }


def host_only(arguments: argparse.Namespace) -> dict[str, Callable[[], Fact]]:
    """The readers of what only a KVM host has."""
    storage, bridge = arguments.storage, arguments.bridge
    daemon = ("virsh", "--connect", "qemu:///system", "version", "--daemon")
    counters = ("nft", "-j", "list", "counters", "table", "inet", "sodbench_wire")
    return {
        "qemu_version": lambda: qemu_version(output_of("qemu-system-x86_64", "--version")),
        "libvirt_version": lambda: daemon_version(output_of(*daemon)),
        "kvm_device": lambda: Path("/dev/kvm").exists(),
        "storage_mounted": lambda: mounted(storage, text_of("/proc/self/mountinfo")),
        "storage_free_bytes": lambda: storage_free_bytes(storage),
        "storage_id": lambda: text_of(f"{storage}/.sodbench-storage"),
        "bridge_present": lambda: Path(f"/sys/class/net/{bridge}/bridge").is_dir(),
        "wire_counters_present": lambda: counters_present(output_of(*counters)),
        "migration_certificate_until": certificate_until,
        "tpm_present": lambda: tpm_present(arguments.tpm),
        "ima_policy_current": lambda: ima_policy_current(arguments.ima_policy),
    }


def read_all(readers: dict[str, Callable[[], Fact]]) -> tuple[dict[str, Fact], dict[str, str]]:
    """The value of each fact, null where it could not be read, and the reasons for the nulls."""
    facts: dict[str, Fact] = {}
    reasons: dict[str, str] = {}
    for name, read in readers.items():
        try:
            facts[name] = read()
        except UnreadableError as error:
            facts[name], reasons[name] = None, str(error)
    return facts, reasons


def gather(readers: dict[str, Callable[[], Fact]]) -> dict[str, object]:
    """The value of each fact, with ``reasons`` for the nulls."""
    facts, reasons = read_all(readers)
    return {**facts, "reasons": reasons}


def main() -> None:
    """Print the facts of this machine."""
    parser = argparse.ArgumentParser(description="print this machine's facts as JSON")
    parser.add_argument("--role", choices=("host", "client"), required=True)
    parser.add_argument("--storage", default="/srv/sodbench", help="where the shared storage is mounted")
    parser.add_argument("--bridge", default="br0", help="the guests' bridge")
    parser.add_argument("--tpm", choices=("software", "hardware", "none"), default="none")
    parser.add_argument("--ima-policy", default="", help="the IMA rules that are wanted, separated by ;")
    arguments = parser.parse_args()
    readers = {**any_machine(), **(host_only(arguments) if arguments.role == "host" else {})}
    facts = gather(readers)
    if arguments.role == "client":
        facts["generators"], facts["generators_reasons"] = generators()
    print(json.dumps({"role": arguments.role, **facts}, sort_keys=True))


if __name__ == "__main__":
    main()
