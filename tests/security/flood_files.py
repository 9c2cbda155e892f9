"""Files and commands that flood whoever reads them, and a controller whose memory is measured.

python -m tests.security.flood_files WHAT      prints how it ended and the most memory of the process, in MiB
"""

from __future__ import annotations

import gzip
import hashlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from harness import sums, yaml_source
from harness.attest.examine import evidence_file
from harness.attest.identity import authorities
from harness.clock import MonotonicClock
from harness.errors import SodbenchError
from harness.evidence import archive, inflate
from harness.files import MAX_JSON_BYTES
from harness.rig import deadline

COLUMNS = """
import sys, pyarrow as pa, pyarrow.parquet as pq
rows = pa.DictionaryArray.from_arrays(pa.array([0] * 4096, pa.int32()), pa.array(["x" * 2**20]))
pq.write_table(pa.table({"a": rows}), sys.argv[1], compression="zstd")
"""
BYTES = """
import sys, pyarrow as pa, pyarrow.parquet as pq
rows = pa.DictionaryArray.from_arrays(pa.array([0] * 4096, pa.int32()), pa.array([b"x" * 2**20]))
pq.write_table(pa.table({"a": rows}), sys.argv[1], compression="zstd", store_schema=False)
"""
NUMBERS = """
import sys, pyarrow as pa, pyarrow.parquet as pq
zeros = pa.array([0] * 1_000_000)
pq.write_table(pa.table({"a": pa.chunked_array([zeros] * 2)}), sys.argv[1], compression="zstd")
"""
LINES = """
import sys
with open(sys.argv[1], "w") as file:
    for number in range(850_000):
        file.write(f"{'0' * 64}  {number:07}\\n")
"""
KEYS = """
import sys
with open(sys.argv[1], "w") as file:
    file.write("{" + ",".join(f'"{number}":[]' for number in range(4_000_000)) + "}")
"""
MIB = 2**20


def _archive(folder: Path, name: str) -> Path:
    packed = folder / "packed"
    packed.mkdir()
    (packed / "SHA256SUMS").write_text(f"{'0' * 64}  {name}\n")
    return packed


def _by_another(program: str, *arguments: str) -> None:
    """Make an attack's file in another process, whose memory is not the controller's."""
    subprocess.run([sys.executable, "-c", program, *arguments], check=True)


def gzip_bomb(folder: Path) -> None:
    packed = _archive(folder, "journal.jsonl")
    member = gzip.compress(bytes(16 * MIB))
    (packed / "journal.jsonl.gz").write_bytes(member * 256)
    archive.unpack(packed, folder / "run")


def gzip_bombs(folder: Path) -> None:
    """Many files, each of which has the sum that it should have."""
    packed = folder / "packed"
    packed.mkdir()
    whole = bytes(100 * MIB)
    digest, small = hashlib.sha256(whole).hexdigest(), gzip.compress(whole)
    del whole
    (packed / "SHA256SUMS").write_text("".join(f"{digest}  {number}.log\n" for number in range(10)))
    for number in range(10):
        (packed / f"{number}.log.gz").write_bytes(small)
    archive.unpack(packed, folder / "run")


def columns_of_one_text(folder: Path) -> None:
    packed = _archive(folder, "a.csv")
    _by_another(COLUMNS, str(packed / f"a.csv{inflate.SERIES}"))
    archive.unpack(packed, folder / "run")


def columns_of_bytes(folder: Path) -> None:
    packed = _archive(folder, "a.csv")
    _by_another(BYTES, str(packed / f"a.csv{inflate.SERIES}"))
    archive.unpack(packed, folder / "run")


def columns_of_zeros(folder: Path) -> None:
    packed = _archive(folder, "a.csv")
    _by_another(NUMBERS, str(packed / f"a.csv{inflate.SERIES}"))
    archive.unpack(packed, folder / "run")


def table_of_one_text(folder: Path) -> None:
    """The table of metrics that a run keeps, with the sum that it should have."""
    file = folder / "metrics.parquet"
    _by_another(COLUMNS, str(file))
    with file.open("rb") as columns:
        try:
            inflate.table(columns, lambda _names: True)
        except ValueError as error:
            raise OSError(str(error)) from error


def manifest_of_brackets(folder: Path) -> None:
    packed = folder / "packed"
    packed.mkdir()
    content = b"[" + b"[]," * ((MAX_JSON_BYTES - 8) // 3) + b"[]]"
    (packed / "manifest.json").write_bytes(content)
    (packed / "SHA256SUMS").write_text(f"{hashlib.sha256(content).hexdigest()}  manifest.json\n")
    archive.unpack(packed, folder / "run")


def sums_of_a_device(_folder: Path) -> None:
    sums.read(Path("/dev/zero"))


def endless_sums(folder: Path) -> None:
    with (folder / "SHA256SUMS").open("wb") as file:
        file.truncate(8 * 2**30)
    sums.read(folder / "SHA256SUMS")


def many_sums(folder: Path) -> None:
    _by_another(LINES, str(folder / "SHA256SUMS"))
    sums.read(folder / "SHA256SUMS")


def evidence_device(_folder: Path) -> None:
    evidence_file.read(Path("/dev/zero"))


def evidence_of_keys(folder: Path) -> None:
    file = folder / "evidence.json"
    _by_another(KEYS, str(file))
    evidence_file.read(file)


def roots_device(_folder: Path) -> None:
    authorities.load(Path("/dev/zero"))


def laughs(folder: Path) -> None:
    lines = ["a0: &a0 [ha, ha, ha, ha, ha, ha, ha, ha, ha]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 12)]
    (folder / "campaign.yml").write_text("\n".join(lines))
    yaml_source.parse(yaml_source.read_text(folder / "campaign.yml"))


class Flood:
    """A command that prints without an end, on one of its outputs."""

    def __init__(self, piece: bytes, *, complains: bool = False) -> None:
        self.piece, self.complains = piece, complains
        self.status_event = SimpleNamespace(wait=lambda _limit_s: True)

    def settimeout(self, limit_s: float) -> None:
        """It is never late."""

    def recv(self, _size: int) -> bytes:
        return b"" if self.complains else self.piece

    def recv_stderr(self, _size: int) -> bytes:
        return self.piece

    def recv_exit_status(self) -> int:
        return 0

    def close(self) -> None:
        """It ends."""


class Longest(Flood):
    """Both outputs are as long as they may be, and of characters that take most."""

    def __init__(self) -> None:
        super().__init__("\U0001f600".encode() + b"x" * 60_000)
        self.left = [deadline.MAX_OUTPUT_BYTES // len(self.piece)] * 2

    def recv(self, _size: int) -> bytes:
        return self._some(0)

    def recv_stderr(self, _size: int) -> bytes:
        return self._some(1)

    def _some(self, at: int) -> bytes:
        self.left[at] -= 1
        return self.piece if self.left[at] >= 0 else b""


def _command(channel: object) -> Callable[[Path], None]:
    def attack(_folder: Path) -> None:
        deadline.outcome(cast(Any, channel), MonotonicClock(), 60.0)

    return attack


FLOODS: dict[str, Callable[[Path], None]] = {
    "gzip-bomb": gzip_bomb,
    "gzip-bombs": gzip_bombs,
    "columns-of-one-text": columns_of_one_text,
    "columns-of-bytes": columns_of_bytes,
    "columns-of-zeros": columns_of_zeros,
    "table-of-one-text": table_of_one_text,
    "manifest-of-brackets": manifest_of_brackets,
    "sums-device": sums_of_a_device,
    "sums-endless": endless_sums,
    "sums-many": many_sums,
    "evidence-device": evidence_device,
    "evidence-keys": evidence_of_keys,
    "roots-device": roots_device,
    "yaml-laughs": laughs,
    "command-output": _command(Flood(b"x" * 65536)),
    "command-complaint": _command(Flood(b"\xff" * 65536, complains=True)),
    "command-longest": _command(Longest()),
}


def main(what: str) -> None:
    """Carry the attack out; the process is the controller's."""
    ended = "read"
    with tempfile.TemporaryDirectory() as folder:
        try:
            FLOODS[what](Path(folder))
        except (SodbenchError, OSError) as error:
            ended = type(error).__name__
    # Not ru_maxrss: that keeps what the process that started this one held when it forked.
    status = Path("/proc/self/status").read_text(encoding="ascii")
    print(ended, int(status.partition("VmHWM:")[2].split()[0]) // 1024)


if __name__ == "__main__":
    main(sys.argv[1])
    os._exit(0)
