"""How full a guest's memory is: its page cache is filled where the campaign asks, and its counters are read.

A guest that has just booted holds little; one that has worked for days has its memory full of what it read.
What is asked for is checked by the guest's own counters twice: when it was read, and when the load is steady.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

from harness.campaign.run import uptime
from harness.clock import NS_PER_S
from harness.errors import SodbenchError, StorageError, WorkloadError
from harness.evidence.events import GuestMemory, PageCacheFilled
from harness.evidence.record import Record
from harness.rig.contract import Machine
from harness.rig.guest import fill_page_cache

PROGRAM = Path(fill_page_cache.__file__)
COMMAND = "cat /proc/meminfo /proc/uptime"
OBSERVER = "guest-memory"
FILL_TIMEOUT_S = 300.0
KEPT_SHARE = 0.95
"""The share of the page cache that was asked for and must still be held when the load is steady."""
_MIB = 1 << 20
_LINE = re.compile(r"^(?P<name>\w+):\s+(?P<kib>\d{1,15}) kB$", re.ASCII | re.MULTILINE)
_LONGEST = 300
_LONGEST_TABLE = 16384
_MOST_BYTES = 1 << 62


def fill(guest: Machine, record: Record, page_cache_mib: int) -> None:
    """Let the guest read its disk until its page cache holds `page_cache_mib`.

    Raises:
        WorkloadError: The guest cannot read, or does not hold so much.
    """
    asked_bytes, begin_ns = page_cache_mib * _MIB, record.clock.now_ns()
    command = guest.python(PROGRAM, str(asked_bytes))
    status, out, err = guest.attempt(command, timeout_s=FILL_TIMEOUT_S)
    if status != 0:
        why = (err.strip() or "it said nothing")[-_LONGEST:]
        raise WorkloadError("cannot fill the guest's page cache", where=guest.role, why=why)
    read_bytes, cached_bytes = _told(guest, out)
    seconds = (record.clock.now_ns() - begin_ns) / NS_PER_S
    record.add(
        PageCacheFilled(
            asked_bytes=asked_bytes, cached_bytes=cached_bytes, read_bytes=read_bytes, seconds=seconds
        )
    )
    if cached_bytes < asked_bytes:
        raise WorkloadError(
            "the guest's page cache does not hold what the campaign asks for",
            where=guest.role,
            why=f"{cached_bytes // _MIB} of {page_cache_mib} MiB after {read_bytes // _MIB} MiB were read: "
            "its memory is too small for it, or its disk has no more files",
        )


def _told(guest: Machine, out: str) -> tuple[int, int]:
    """Bytes read and bytes held, as the program in the guest says."""
    try:
        found = json.loads(out[:_LONGEST])  # a longer answer is cut, so that it is no JSON
        told = (found["read_bytes"], found["cached_bytes"])
    except (ValueError, KeyError, TypeError, RecursionError):
        told = (None, None)
    if not all(type(one) is int and 0 <= one < _MOST_BYTES for one in told):
        raise WorkloadError(
            "the guest does not say what its page cache holds", where=guest.role, why=out[:_LONGEST]
        )
    return told


def tell(guest: Machine, record: Record, page_cache_mib: int | None) -> None:
    """Record how full the guest's memory is; where a page cache was asked for it must still be held.

    Raises:
        WorkloadError: A page cache was asked for, and it is not held any more or cannot be counted.
    """
    try:
        memory = counted(guest.run(COMMAND, limit="answer_s", root=False))
    except StorageError:
        raise
    except SodbenchError as error:
        if page_cache_mib is not None:
            raise
        record.failed(OBSERVER, error.summary)
        return
    record.add(memory)
    if page_cache_mib is None or memory.cached_bytes >= KEPT_SHARE * page_cache_mib * _MIB:
        return
    raise WorkloadError(
        "the guest's page cache has shrunk under the load",
        where=guest.role,
        why=f"{memory.cached_bytes // _MIB} of {page_cache_mib} MiB are left before the window",
        remedy="ask for less, or give the guest more memory",
    )


def counted(meminfo: str) -> GuestMemory:
    """The counters in the text of a guest's ``/proc/meminfo``, and of ``/proc/uptime`` behind it.

    Raises:
        WorkloadError: One of them is missing.
    """
    told = meminfo[:_LONGEST_TABLE]
    kib = {found["name"]: int(found["kib"]) for found in _LINE.finditer(told)}
    names = ("MemTotal", "MemFree", "MemAvailable", "Buffers", "Cached")
    missing = [name for name in names if name not in kib]
    if missing:
        raise WorkloadError(
            "the guest's memory cannot be counted", why=f"no {', '.join(missing)} in /proc/meminfo"
        )
    total, free, available, buffers, cached = (kib[name] * 1024 for name in names)
    up = uptime.LINE.search(told)
    return GuestMemory(
        total_bytes=total,
        free_bytes=free,
        available_bytes=available,
        buffers_bytes=buffers,
        cached_bytes=cached,
        up_s=None if up is None else float(up["up_s"]),
    )
