"""Measures a host with a software TPM, into which neither firmware nor kernel measures.

With ``--start``, on a TPM that was just started, it begins new logs; without, it adds the files that changed
since. The logs have the forms of the kernel's: ``binary_bios_measurements`` is a crypto-agile event log (TCG
PC Client Platform Firmware Profile, 10.2), ``binary_runtime_measurements`` and ``ascii_runtime_measurements``
are IMA lists of template ima-ng. What goes where:

    PCR 0      this program: its version and its file, because everything else depends on it
    PCR 1      configuration of the platform: hypervisor, management daemon, software TPM
    PCRs 0-7   a separator each, after the host's own start
    PCR 8      the kernel's command line
    PCR 9      the kernel's version, the system's release
    PCR 10     the IMA list: the digest of PCRs 0 to 9, then programs, libraries and configuration

An entry is on the disk before the PCR is extended by it. The list therefore has every entry that a quote
covers; at worst it is ahead of the TPM, and the next run extends the rest. After a start that was cut off,
the TPM must be restarted. This program must never measure what it was not told to, start a TPM, or continue a
list that does not lead to the TPM's value.

A software TPM proves the protocol and not the platform: root on this machine can extend a PCR by any value.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import hashlib
import json
import os
import struct
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

# The TSS library would log each try of a TPM that is not up yet; this program reports what counts.
os.environ.setdefault("TSS2_LOG", "all+none")

from tpm2_pytss import (
    ESAPI,
    ESYS_TR,
    TPM2_ALG,
    TPM2_CAP,
    TPML_DIGEST_VALUES,
    TPMT_HA,
    TPMU_HA,
    TSS2_Exception,
)

VERSION = "sodbench_measure 1"
BANKS = {
    "sha1": TPM2_ALG.SHA1,
    "sha256": TPM2_ALG.SHA256,
    "sha384": TPM2_ALG.SHA384,
    "sha512": TPM2_ALG.SHA512,
}
EV_NO_ACTION, EV_POST_CODE, EV_SEPARATOR = 0x3, 0x1, 0x4
EV_S_CRTM_VERSION, EV_PLATFORM_CONFIG_FLAGS, EV_IPL = 0x8, 0xA, 0xD
FIRMWARE_PCRS, IMA_PCR = range(8), 10
LIST_ALGORITHM = "sha256"
FILE_LIMIT_BYTES = 2**30
NAMES = ("binary_bios_measurements", "binary_runtime_measurements", "ascii_runtime_measurements")
FIRMWARE_LOG, BINARY_LIST, ASCII_LIST = NAMES


class MeasureError(Exception):
    """Nothing was measured; the text says why, for the journal."""


@dataclass(frozen=True)
class Plan:
    """What is measured: patterns of paths by PCR, and those of the IMA list."""

    events: tuple[tuple[int, str], ...]
    files: tuple[str, ...]


@dataclass(frozen=True)
class Event:
    """One event of the firmware's log."""

    pcr: int
    type: int
    data: bytes
    digests: dict[str, bytes]

    def to_bytes(self) -> bytes:
        """TCG_PCR_EVENT2."""
        digests = b"".join(struct.pack("<H", BANKS[bank]) + digest for bank, digest in self.digests.items())
        head = struct.pack("<III", self.pcr, self.type, len(self.digests))
        return head + digests + struct.pack("<I", len(self.data)) + self.data


@dataclass(frozen=True)
class Entry:
    """One entry of the IMA list: a path as the kernel would write it, and the digest of its content."""

    path: bytes
    digest: bytes

    @property
    def data(self) -> bytes:
        """The data of template ima-ng."""
        fields = (LIST_ALGORITHM.encode() + b":\0" + self.digest, self.path + b"\0")
        return b"".join(struct.pack("<I", len(field)) + field for field in fields)

    def to_binary(self) -> bytes:
        """The entry as in ``binary_runtime_measurements``."""
        name, data = b"ima-ng", self.data
        head = struct.pack("<I20sI", IMA_PCR, hashlib.sha1(data).digest(), len(name))
        return head + name + struct.pack("<I", len(data)) + data

    def to_ascii(self) -> bytes:
        """The entry as in ``ascii_runtime_measurements``."""
        shown = hashlib.sha1(self.data).hexdigest()
        return f"{IMA_PCR} {shown} ima-ng {LIST_ALGORITHM}:{self.digest.hex()} ".encode() + self.path + b"\n"


def read_plan(text: str) -> Plan:
    """The plan in a configuration: ``[pcr N]`` and ``[files]`` with patterns of absolute paths."""
    events: list[tuple[int, str]] = []
    files: list[str] = []
    section = None
    for number, whole in enumerate(text.splitlines(), 1):
        line = whole.partition("#")[0].strip()
        if line.startswith("["):
            section = " ".join(line.strip("[]").split())
            if section != "files" and section not in {f"pcr {pcr}" for pcr in range(IMA_PCR)}:
                raise MeasureError(
                    f"line {number}: there is no section {line}; use [pcr 0] to [pcr 9] and [files]"
                )
        elif line:
            if section is None or not line.startswith("/"):
                raise MeasureError(f"line {number}: {line!r} is no absolute path in a section")
            if section == "files":
                files.append(line)
            else:
                events.append((int(section.split()[1]), line))
    return Plan(tuple(events), tuple(files))


def found(pattern: str) -> list[Path]:
    """The files that a pattern names, in the order of their names, without folders."""
    paths = sorted(path for path in Path("/").glob(pattern.lstrip("/")) if path.is_file())
    if not paths:
        print(f"nothing is at {pattern}", file=sys.stderr)
    return paths


def digests_of(path: Path, banks: Sequence[str]) -> dict[str, bytes]:
    """The digests of a file's content, by bank."""
    hashes = {bank: hashlib.new(bank) for bank in banks}
    size = 0
    with path.open("rb") as file:
        while chunk := file.read(2**20):
            size += len(chunk)
            if size > FILE_LIMIT_BYTES:
                raise MeasureError(f"{path} has more than {FILE_LIMIT_BYTES} bytes")
            for one in hashes.values():
                one.update(chunk)
    return {bank: one.digest() for bank, one in hashes.items()}


# -- the firmware's part


def events_of(plan: Plan, banks: Sequence[str]) -> list[Event]:
    """The events of the host's start, in order."""

    def said(pcr: int, kind: int, data: bytes, measured: bytes) -> Event:
        return Event(pcr, kind, data, {bank: hashlib.new(bank, measured).digest() for bank in banks})

    def file(pcr: int, kind: int, path: Path) -> Event:
        return Event(pcr, kind, os.fsencode(path) + b"\0", digests_of(path, banks))

    version = VERSION.encode() + b"\0"
    events = [said(0, EV_S_CRTM_VERSION, version, version), file(0, EV_POST_CODE, Path(__file__).resolve())]
    for pcr, pattern in sorted(plan.events, key=lambda one: one[0]):
        for path in found(pattern):
            kind = EV_POST_CODE if pcr == 0 else EV_PLATFORM_CONFIG_FLAGS
            events.append(file(pcr, kind if pcr in FIRMWARE_PCRS else EV_IPL, path))
    first = [event for event in events if event.pcr in FIRMWARE_PCRS]
    separators = [said(pcr, EV_SEPARATOR, bytes(4), bytes(4)) for pcr in FIRMWARE_PCRS]
    return [*first, *separators, *(event for event in events if event.pcr not in FIRMWARE_PCRS)]


def spec_event(banks: Sequence[str]) -> bytes:
    """The event that opens a crypto-agile log (TCG_EfiSpecIDEvent of version 2.0, 64 bit)."""
    body = b"Spec ID Event03\0" + struct.pack("<IBBBBI", 0, 0, 2, 105, 2, len(banks))
    body += b"".join(struct.pack("<HH", BANKS[bank], hashlib.new(bank).digest_size) for bank in banks) + b"\0"
    return struct.pack("<II20sI", 0, EV_NO_ACTION, bytes(20), len(body)) + body


# -- the list of files


def entries_of(plan: Plan) -> list[Entry]:
    """An entry for each file of the plan as it is now, each file once, by its path without links."""
    paths = dict.fromkeys(path.resolve() for pattern in plan.files for path in found(pattern))
    return [
        Entry(os.fsencode(path).replace(b" ", b"_"), digests_of(path, (LIST_ALGORITHM,))[LIST_ALGORITHM])
        for path in paths
    ]


def changed(listed: Sequence[Entry], now: Sequence[Entry]) -> list[Entry]:
    """The entries of `now` that differ from what was listed last for their path, as IMA would add them."""
    last = {entry.path: entry.digest for entry in listed}
    return [entry for entry in now if last.get(entry.path) != entry.digest]


def read_list(data: bytes) -> list[Entry]:
    """The entries of a binary list that this program wrote."""
    entries: list[Entry] = []
    at, prefix = 0, LIST_ALGORITHM.encode() + b":\0"
    while at < len(data):
        try:
            (size,) = struct.unpack_from("<I", data, at + 34)
            fields = data[at + 38 : at + 38 + size]
            (first,) = struct.unpack_from("<I", fields)
            digest, path = fields[4 : 4 + first], fields[8 + first : -1]
        except struct.error as error:
            raise MeasureError(f"{BINARY_LIST} is cut: {error}") from error
        entry = Entry(path, digest.removeprefix(prefix))
        whole = entry.to_binary()
        if data[at : at + len(whole)] != whole:
            raise MeasureError(f"entry {len(entries)} of {BINARY_LIST} was not written by this program")
        entries.append(entry)
        at += len(whole)
    return entries


def extended(entries: Sequence[Entry], value: bytes) -> int | None:
    """How many of `entries` are in a PCR 10 of `value`, in the bank of the list's algorithm."""
    pcr = bytes(len(value))
    for count, entry in enumerate(entries):
        if pcr == value:
            return count
        pcr = hashlib.new(LIST_ALGORITHM, pcr + hashlib.new(LIST_ALGORITHM, entry.data).digest()).digest()
    return len(entries) if pcr == value else None


# -- the TPM and the disk


class Tpm:
    """The operations of the TPM that measuring needs."""

    def __init__(self, esys: ESAPI) -> None:
        self._esys = esys
        _, known = esys.get_capability(TPM2_CAP.PCRS, 0, 1)
        active = {selection.hash for selection in known.data.assignedPCR if any(bytes(selection.pcrSelect))}
        self.banks = tuple(bank for bank, algorithm in BANKS.items() if algorithm in active)
        if LIST_ALGORITHM not in self.banks:
            raise MeasureError(f"the TPM's {LIST_ALGORITHM} bank is not active")

    def values(self, pcrs: Sequence[int]) -> dict[int, bytes]:
        """PCR values in the bank of the list's algorithm; a TPM returns at most eight at a time."""
        values: dict[int, bytes] = {}
        for first in range(0, len(pcrs), 8):
            some = pcrs[first : first + 8]
            _, _, read = self._esys.pcr_read(f"{LIST_ALGORITHM}:{','.join(map(str, some))}")
            values.update(zip(some, map(bytes, read), strict=True))
        return values

    def extend(self, pcr: int, digests: dict[str, bytes]) -> None:
        """Extend a PCR in every bank."""
        tagged = [
            TPMT_HA(hashAlg=BANKS[bank], digest=TPMU_HA(**{bank: digest})) for bank, digest in digests.items()
        ]
        self._esys.pcr_extend(ESYS_TR(pcr), TPML_DIGEST_VALUES(tagged))

    def extend_list(self, entries: Sequence[Entry]) -> None:
        """Extend PCR 10 by entries of the list: each bank by its own hash of the template data."""
        for entry in entries:
            self.extend(IMA_PCR, {bank: hashlib.new(bank, entry.data).digest() for bank in self.banks})


@contextlib.contextmanager
def opened(tcti: str, wait_s: float) -> Iterator[Tpm]:
    """The TPM behind `tcti`, waited for up to `wait_s` while it starts."""
    until = time.monotonic() + wait_s
    while True:
        try:
            esys = ESAPI(tcti)
            break
        except TSS2_Exception as error:
            if time.monotonic() > until:
                raise MeasureError(f"no TPM answers at {tcti}: {error}") from error
            time.sleep(0.05)
    with esys:
        yield Tpm(esys)


def write(path: Path, data: bytes) -> None:
    """Replace the content of `path` with `data`, atomically and on the disk."""
    new = path.with_name(f"{path.name}.new")
    with new.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def write_list(folder: Path, entries: Sequence[Entry]) -> None:
    """Write both forms of the list, or the one that an earlier run did not reach."""
    forms = {
        BINARY_LIST: b"".join(entry.to_binary() for entry in entries),
        ASCII_LIST: b"".join(entry.to_ascii() for entry in entries),
    }
    for path, data in ((folder / name, data) for name, data in forms.items()):
        if not path.exists() or path.read_bytes() != data:
            write(path, data)


@contextlib.contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Keep a second run out until this one is over."""
    folder.mkdir(mode=0o755, parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


# -- start, and later runs


def start(tpm: Tpm, plan: Plan, folder: Path) -> dict[str, int]:
    """Measure everything into a TPM whose PCRs have their initial values, with new logs."""
    used = [pcr for pcr, value in tpm.values(range(IMA_PCR + 1)).items() if any(value)]
    if used:
        raise MeasureError(
            f"PCRs {used} have values already: the TPM was not restarted, so its logs continue"
        )
    for name in NAMES:
        (folder / name).unlink(missing_ok=True)
    events = events_of(plan, tpm.banks)
    write(folder / FIRMWARE_LOG, spec_event(tpm.banks) + b"".join(event.to_bytes() for event in events))
    for event in events:
        tpm.extend(event.pcr, event.digests)
    values = tpm.values(range(IMA_PCR))
    aggregate = hashlib.new(LIST_ALGORITHM, b"".join(values[pcr] for pcr in range(IMA_PCR))).digest()
    entries = [Entry(b"boot_aggregate", aggregate), *entries_of(plan)]
    write_list(folder, entries)
    tpm.extend_list(entries)
    return {"events": len(events), "entries": len(entries), "new": len(entries), "left": 0}


def measure_again(tpm: Tpm, plan: Plan, folder: Path) -> dict[str, int]:
    """Extend what an earlier run listed and did not extend, then list and extend what changed."""
    try:
        listed = read_list((folder / BINARY_LIST).read_bytes())
    except FileNotFoundError as error:
        raise MeasureError(f"{folder} has no {BINARY_LIST}: measure with --start first") from error
    done = extended(listed, tpm.values((IMA_PCR,))[IMA_PCR])
    if done is None:
        raise MeasureError(
            f"{BINARY_LIST} does not lead to the TPM's PCR {IMA_PCR}: another program extended it"
        )
    new = changed(listed, entries_of(plan))
    write_list(folder, [*listed, *new])
    tpm.extend_list([*listed[done:], *new])
    return {"entries": len(listed) + len(new), "new": len(new), "left": len(listed) - done}


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure; what was done goes to standard output as numbers in JSON, why not to standard error."""
    parser = argparse.ArgumentParser(description="Measure this host into its software TPM.")
    parser.add_argument("--start", action="store_true", help="open new logs; the TPM was just started")
    parser.add_argument("--config", type=Path, default=Path("/etc/sodbench/measured.conf"))
    parser.add_argument("--folder", type=Path, default=Path("/var/lib/sodbench/measurements"))
    parser.add_argument("--tcti", default="swtpm:path=/run/sodbench/swtpm.sock")
    parser.add_argument(
        "--wait", type=float, default=10.0, metavar="SECONDS", help="how long the TPM may take to come"
    )
    asked = parser.parse_args(arguments)
    try:
        plan = read_plan(asked.config.read_text(encoding="utf-8"))
        with alone(asked.folder), opened(asked.tcti, asked.wait) as tpm:
            done = (start if asked.start else measure_again)(tpm, plan, asked.folder)
    except (MeasureError, OSError, TSS2_Exception) as error:
        print(f"not measured: {error}", file=sys.stderr)
        return 1
    print(json.dumps(done))
    return 0


if __name__ == "__main__":
    sys.exit(main())
