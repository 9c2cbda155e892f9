"""Runs in a guest: reads files of its disk until its page cache holds so many bytes, and changes no file.

The first argument is the number of bytes. Prints one JSON object: ``cached_bytes`` that the page cache then
holds by the kernel's own count, and ``read_bytes`` that were read for it. Files are read in the order of
their paths, so that two guests of one image hold the same. Ends where the disk has no more files; the caller
judges whether what is held is enough. Standard library only.
"""

import contextlib
import json
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

ROOTS = ("/usr", "/var", "/opt", "/srv", "/home")
MEMINFO = "/proc/meminfo"
BLOCK_BYTES = 1 << 20


def cached_bytes(meminfo: str) -> int:
    """What the page cache holds, by the text of ``/proc/meminfo``."""
    for line in meminfo.splitlines():
        if line.startswith("Cached:"):
            return int(line.split()[1]) * 1024
    raise ValueError("/proc/meminfo has no line Cached")


def files(root: str) -> Iterator[str]:
    """The regular files below `root` on its own file system, in the order of their paths."""
    try:
        device = os.lstat(root).st_dev
    except OSError:
        return
    for folder, folders, names in os.walk(root):
        folders[:] = sorted(name for name in folders if _is_on(os.path.join(folder, name), device))  # noqa: PTH118
        for name in sorted(names):
            path = Path(folder, name)
            if path.is_file() and not path.is_symlink():
                yield str(path)


def _is_on(folder: str, device: int) -> bool:
    try:
        return os.lstat(folder).st_dev == device
    except OSError:
        return False


def fill(wanted_bytes: int, roots: Sequence[str], held: Callable[[], int]) -> int:
    """Read until `held` is `wanted_bytes` or the files of `roots` are used up; the bytes that were read."""
    read_bytes = 0
    for root in roots:
        for path in files(root):
            # A file that is removed or cannot be read meanwhile is no reason to stop.
            with contextlib.suppress(OSError), open(path, "rb", buffering=0) as file:  # noqa: PTH123
                while held() < wanted_bytes and (block := file.read(BLOCK_BYTES)):
                    read_bytes += len(block)
            if held() >= wanted_bytes:
                return read_bytes
    return read_bytes


def _held() -> int:
    return cached_bytes(Path(MEMINFO).read_text(encoding="ascii"))


if __name__ == "__main__":
    told = {"read_bytes": fill(int(sys.argv[1]), ROOTS, _held), "cached_bytes": _held()}
    print(json.dumps(told))
