"""Reading big-endian structures out of untrusted bytes.

Every parser of what a TPM marshalled goes through a cursor, so that no claimed length is trusted before it is
bounded. It must never read past the end, never return fewer bytes than requested, and never let a structure
end before its bytes do.
"""

from __future__ import annotations

from dataclasses import dataclass

from harness.attest.evidence import RefusedError
from harness.attest.reasons import Reason


@dataclass(slots=True, kw_only=True)
class Cursor:
    """A place in `data` that only moves forward.

    Attributes:
        data: What is read.
        malformed: The reason of a refusal where bytes are missing or out of range.
        what: The structure's name, for messages.
        at: Index of the next byte.
    """

    data: bytes
    malformed: Reason
    what: str
    at: int = 0

    def refuse(self, why: str) -> RefusedError:
        """The error to raise for what was just read; it names the structure and the place."""
        return RefusedError(self.malformed, f"{self.what}: {why}, at byte {self.at} of {len(self.data)}")

    def take(self, count: int, field: str) -> bytes:
        """The next `count` bytes.

        Raises:
            RefusedError: Fewer are left.
        """
        end = self.at + count
        if end > len(self.data):
            raise self.refuse(f"{field} wants {count} bytes and {len(self.data) - self.at} are left")
        taken = self.data[self.at : end]
        self.at = end
        return taken

    def number(self, size_bytes: int, field: str) -> int:
        """The next `size_bytes` bytes as an unsigned number, most significant byte first."""
        return int.from_bytes(self.take(size_bytes, field), "big")

    def sized(self, limit_bytes: int, field: str) -> bytes:
        """The content of a TPM2B: a 16-bit size, then so many bytes (TPM 2.0 Part 2, 10.4).

        Raises:
            RefusedError: The size is above `limit_bytes`, or more than is left.
        """
        size_bytes = self.number(2, field)
        if size_bytes > limit_bytes:
            raise self.refuse(f"{field} claims {size_bytes} bytes, {limit_bytes} at most are possible")
        return self.take(size_bytes, field)

    def end(self) -> None:
        """Nothing may follow.

        Raises:
            RefusedError: ``trailing-bytes``.
        """
        left = len(self.data) - self.at
        if left:
            raise RefusedError(Reason.TRAILING_BYTES, f"{self.what}: {left} bytes follow its end")


def bounded(data: bytes, limit_bytes: int, malformed: Reason, what: str) -> Cursor:
    """A cursor at the start of `data`.

    Raises:
        RefusedError: ``size-limit``: there are more than `limit_bytes`, of which none is looked at.
    """
    if len(data) > limit_bytes:
        raise RefusedError(Reason.SIZE_LIMIT, f"{what}: {len(data)} bytes, {limit_bytes} at most are read")
    return Cursor(data=data, malformed=malformed, what=what)
