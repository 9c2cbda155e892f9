"""Partitions are found by MBR and GPT; a damaged table gives none beyond the disk."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from harness.pvi.images import listing, partitions
from tests.pvi.images.conftest import file_system

MIB = 2**20


def _mbr(*entries: tuple[int, int]) -> bytes:
    """An MBR of types and first sectors."""
    table = b"".join(struct.pack("<BxxxBxxxII", 0, kind, first, 1) for kind, first in entries)
    return bytes(446) + table.ljust(64, b"\0") + b"\x55\xaa"


def _gpt(*firsts: int, sector: int = 2, count: int = 128, length: int = 128) -> bytes:
    """A GPT of first sectors, behind the MBR that protects it."""
    header = b"EFI PART".ljust(72, b"\0") + struct.pack("<QII", sector, count, length)
    table = b"".join(
        (b"\1" * 16).ljust(32, b"\0") + struct.pack("<QQ", one, one).ljust(96, b"\0") for one in firsts
    )
    return _mbr((0xEE, 1)) + header.ljust(512, b"\0") + table.ljust(128 * 128, b"\0")


def _disk(tmp_path: Path, head: bytes) -> Path:
    disk = tmp_path / "disk"
    with disk.open("wb") as file:
        file.write(head)
        file.truncate(4 * MIB)
    return disk


@pytest.mark.parametrize(
    ("head", "found"),
    [
        (b"", (0,)),
        (_mbr((0x83, 2048), (0x05, 3000), (0, 9), (0x83, 2**31)), (0, MIB)),
        (_gpt(2048, 4096), (0, MIB, 2 * MIB)),
        (_gpt(2048, 2**50), (0, MIB)),
        (_gpt(2048, count=2**31), (0,)),
        (_gpt(2048, length=8), (0,)),
        (_gpt(2048, sector=2**60), (0,)),
        (_gpt(2048, sector=2**30), (0,)),
    ],
)
def test_partitions_are_found_where_the_table_says(
    tmp_path: Path, head: bytes, found: tuple[int, ...]
) -> None:
    assert partitions.offsets(_disk(tmp_path, head)) == found


@pytest.mark.parametrize("size", [0, 1, 511, 512, 600, 1023])
def test_a_disk_that_is_too_short_has_none(tmp_path: Path, size: int) -> None:
    disk = tmp_path / "disk"
    disk.write_bytes(_gpt(1)[:size])
    assert set(partitions.offsets(disk)) <= {0}


@pytest.mark.programs
def test_the_files_of_a_partition_are_listed_and_of_two_none(tmp_path: Path) -> None:
    whole = file_system(tmp_path / "source")
    disk = tmp_path / "disk"
    with disk.open("wb") as file:
        file.write(_gpt(2048))
        file.seek(MIB)
        file.write(whole.read_bytes())
    found = listing.listed(disk, tmp_path)
    assert found.files is not None
    assert found.files == listing.listed(whole, tmp_path).files
    with disk.open("r+b") as file:
        file.write(_gpt(2048, 2048 + 16 * 2048))
        file.seek(17 * MIB)
        file.write(whole.read_bytes())
    assert listing.listed(disk, tmp_path).why == "the image has 2 ext file systems"
