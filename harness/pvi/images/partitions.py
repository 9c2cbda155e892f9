"""Where the partitions of a raw disk begin, by its MBR or its GPT (UEFI 2.10, 5.2 and 5.3)."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path

SECTOR_BYTES = 512
_MOST_ENTRIES = 1024
_ENTRY_BYTES = range(128, 4097)
_TABLE = 446
_NO_FILE_SYSTEM = frozenset({0x00, 0x05, 0x0F, 0x85, 0xEE})
"""Types in an MBR: unused, extended partitions, and the one that protects a GPT."""


def offsets(raw: Path) -> tuple[int, ...]:
    """Where a file system may begin, in bytes: at the first byte, and at each partition, rising.

    Logical partitions in an extended one are not looked for, and what lies beyond the disk's end is left out.
    """
    size = raw.stat().st_size
    with raw.open("rb") as file:
        head = file.read(2 * SECTOR_BYTES)
        found = {0, *_mbr(head)}
        for at, length in _gpt(head):
            file.seek(at)
            found.update(_entries(file.read(length[0] * length[1]), length[1]))
    return tuple(sorted(at for at in found if at < size))


def _mbr(head: bytes) -> Iterator[int]:
    if head[510:512] != b"\x55\xaa":
        return
    for at in range(_TABLE, _TABLE + 64, 16):
        kind, (first,) = head[at + 4], struct.unpack_from("<I", head, at + 8)
        if kind not in _NO_FILE_SYSTEM:
            yield first * SECTOR_BYTES


def _gpt(head: bytes) -> Iterator[tuple[int, tuple[int, int]]]:
    """Where the table of a GPT is, and number and length of its entries; nothing where there is none."""
    if len(head) == 2 * SECTOR_BYTES and head[SECTOR_BYTES : SECTOR_BYTES + 8] == b"EFI PART":
        sector, count, length = struct.unpack_from("<QII", head, SECTOR_BYTES + 72)
        if count <= _MOST_ENTRIES and length in _ENTRY_BYTES and sector < 2**48:
            yield sector * SECTOR_BYTES, (count, length)


def _entries(table: bytes, length: int) -> Iterator[int]:
    for at in range(0, len(table) - length + 1, length):
        if any(table[at : at + 16]):
            (first,) = struct.unpack_from("<Q", table, at + 32)
            yield first * SECTOR_BYTES
