"""How much of an attester's answer is read, before anything is made of it.

A machine may send what costs its reader far more than it cost to send: JSON of many small parts takes some
ninety times its size once it is read and complained about. An answer has few parts, and the long ones are
base64.
"""

from __future__ import annotations

from harness.json_form import require_few_parts

SMALL_BYTES = 2**20
"""The longest answer to any question but one for evidence."""
EVIDENCE_BYTES = 112 * 2**20
"""Of an answer with an event log of 16 MiB and an IMA list of 64 MiB, in base64."""
_PARTS = 10_000
"""Marks that divide JSON. An honest answer has some 300: PCRs, certificates, properties, versions."""
_ESCAPES = 1_000
_WIDE_CHARACTERS = 64 * 2**10
"""The longest text with an escape: one wide character widens all of its text fourfold."""


def evidence_bytes(*, event_log_bytes: int, ima_bytes: int) -> int:
    """The longest line that evidence with logs of these sizes can take."""
    return 4 * (event_log_bytes + ima_bytes) // 3 + SMALL_BYTES


def check(line: str) -> None:
    """Look at the form of an answer that is to be read as JSON.

    Raises:
        ValueError: It has more parts than an answer, or a long text with an escape.
    """
    require_few_parts(line, _PARTS)
    if len(line) <= SMALL_BYTES:
        return
    if line.count("\\") > _ESCAPES:
        raise ValueError(f"more than {_ESCAPES} escapes in {len(line)} characters")
    at = line.find("\\")
    while at >= 0:
        begin, end = line.rfind('"', 0, at), line.find('"', at)
        if (end if end >= 0 else len(line)) - begin > _WIDE_CHARACTERS:
            raise ValueError("an escape in a long text, where only base64 is long")
        at = line.find("\\", at + 1)
