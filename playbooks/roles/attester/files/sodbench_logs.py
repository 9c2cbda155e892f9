"""Reads a machine's measurement logs: the event log whole, the IMA list from any entry on.

The files of securityfs report a size of 0 and grow while they are read, so they are read to their end, and
never beyond a bound. This module divides the IMA list into entries because a later question asks for those
after the last one that was seen; it never judges what an entry says.
"""

from __future__ import annotations

import os
import struct
from array import array
from pathlib import Path

_CHUNK_BYTES = 1 << 20
_DIGEST_BYTES = 20
_NAME_LIMIT_BYTES = 255
_DATA_LIMIT_BYTES = 16 << 20
_TAIL_BYTES = 64


class SizeLimitError(Exception):
    """A log has more bytes than may be sent."""


class ListError(Exception):
    """A file is not an IMA list of the form that its name states."""


def read_whole(path: Path, limit_bytes: int) -> bytes:
    """Every byte of `path`.

    Raises:
        SizeLimitError: There are more than `limit_bytes`; at most one chunk beyond them is held.
        OSError: The file cannot be read.
    """
    held = bytearray()
    with path.open("rb", buffering=0) as file:
        while chunk := file.read(_CHUNK_BYTES):
            held += chunk
            if len(held) > limit_bytes:
                raise SizeLimitError(f"{path} has more than {limit_bytes} bytes")
    return bytes(held)


def _binary_size(held: bytearray, at: int) -> int | None:
    """The length of the binary entry at `at`; None if it is not complete.

    Form: pcr u32, digest of 20 bytes, name preceded by its length, then data likewise; the oldest template
    ``ima`` has no length before its data, which are 20 bytes and a name (kernel, ima_measurements_show).
    """
    name_at = at + 4 + _DIGEST_BYTES + 4
    if len(held) < name_at:
        return None
    (name_size,) = struct.unpack_from("=I", held, name_at - 4)
    if not 0 < name_size <= _NAME_LIMIT_BYTES:
        raise ListError(f"a template's name of {name_size} bytes")
    data_at = name_at + name_size + 4
    if held[name_at : name_at + name_size] == b"ima":
        data_at += _DIGEST_BYTES
    if len(held) < data_at:
        return None
    (data_size,) = struct.unpack_from("=I", held, data_at - 4)
    if data_size > _DATA_LIMIT_BYTES:
        raise ListError(f"an entry of {data_size} bytes")
    end = data_at + data_size
    return end - at if len(held) >= end else None


def _ascii_size(held: bytearray, at: int) -> int | None:
    """The length of the line at `at`, its end included; None if it is not complete."""
    end = held.find(b"\n", at)
    if end < 0 and len(held) - at > _DATA_LIMIT_BYTES:
        raise ListError(f"a line of more than {_DATA_LIMIT_BYTES} bytes")
    return end + 1 - at if end >= 0 else None


class ImaList:
    """An IMA measurement list whose entries' places are remembered from one question to the next.

    The file stays open: the kernel continues a read where the last one ended, and goes through the whole list
    again for any other place.

    Args:
        path: A file whose name begins with ``ascii`` has one entry a line; any other is binary.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.form = "ascii" if path.name.startswith("ascii") else "binary"
        self._size_of = _ascii_size if self.form == "ascii" else _binary_size
        self._descriptor: int | None = None
        self._forget()

    def _forget(self) -> None:
        self._starts: array[int] = array("Q")
        self._end = 0
        self._tail = b""

    def _opened(self) -> int:
        """Open the file as it is now; forget the entries' places if it does not continue what was read."""
        there, replaced = self.path.stat(), True
        if self._descriptor is not None:
            held = os.fstat(self._descriptor)
            replaced = (held.st_dev, held.st_ino) != (there.st_dev, there.st_ino)
        if replaced:
            new = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
            if self._descriptor is not None:
                os.close(self._descriptor)
            self._descriptor = new
        assert self._descriptor is not None
        if replaced or not self._continues(self._descriptor):
            self._forget()
        return self._descriptor

    def _continues(self, descriptor: int) -> bool:
        """Whether the open file still holds what was read from it.

        The kernel's own list reports no size and only grows. For an ordinary file the last bytes that were
        read are compared.
        """
        if self._tail:
            return os.pread(descriptor, len(self._tail), self._end - len(self._tail)) == self._tail
        return self._end == 0 or os.fstat(descriptor).st_size == 0

    def excerpt(self, first: int, limit_bytes: int) -> dict[str, object]:
        """The entries from `first` on (from 0), with ``first``, ``total``, ``form`` and ``data``.

        Bytes after the last complete entry are left for the next call.

        Raises:
            SizeLimitError: The entries have more than `limit_bytes`.
            ListError: The file cannot be divided into entries.
            OSError: It cannot be read.
        """
        descriptor = self._opened()
        begin = self._starts[first] if first < len(self._starts) else self._end
        whole = self._end - begin
        held = bytearray()
        while chunk := os.pread(descriptor, _CHUNK_BYTES, begin + len(held)):
            held += chunk
            whole = self._divide(held, begin, whole)
            skipped = (self._starts[first] if first < len(self._starts) else self._end) - begin
            if skipped > 0:
                del held[:skipped]
                begin, whole = begin + skipped, whole - skipped
            if len(held) > limit_bytes:
                raise SizeLimitError(f"{self.path} has more than {limit_bytes} bytes from entry {first} on")
        del held[whole:]
        data = bytes(held)
        self._remember(descriptor, data)
        return {"first": first, "total": len(self._starts), "form": self.form, "data": data}

    def _divide(self, held: bytearray, begin: int, whole: int) -> int:
        """Remember the entries of `held` after its first `whole` bytes; return how many bytes are whole."""
        while whole <= len(held):
            try:
                size = self._size_of(held, whole)
            except ListError as error:
                self._forget()
                raise ListError(f"{self.path} is not an IMA list in {self.form} form: {error}") from error
            if size is None:
                break
            self._starts.append(begin + whole)
            whole += size
            self._end = begin + whole
        return whole

    def _remember(self, descriptor: int, seen: bytes) -> None:
        if os.fstat(descriptor).st_size == 0:
            self._tail = b""
        elif len(seen) >= min(_TAIL_BYTES, self._end):
            self._tail = seen[-_TAIL_BYTES:]
        else:
            wanted = min(_TAIL_BYTES, self._end)
            self._tail = os.pread(descriptor, wanted, self._end - wanted)
