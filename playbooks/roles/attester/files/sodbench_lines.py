"""Requests and answers as lines: one JSON object each, bounded in size, bytes as base64.

A line that is too long takes no more memory than the bound, and a long log is never held twice.
"""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Iterator
from typing import BinaryIO

REQUEST_LIMIT_BYTES = 64 * 1024
PIECE_BYTES = 768 * 1024
"""How much of a log is turned into base64 at a time; three bytes become four, so a multiple of three."""


def requests(stream: BinaryIO) -> Iterator[bytes | None]:
    """The lines of `stream`; None for one that is too long; at most the limit is held."""
    while line := stream.readline(REQUEST_LIMIT_BYTES):
        if line.endswith(b"\n"):
            yield line
            continue
        while rest := stream.readline(REQUEST_LIMIT_BYTES):
            if rest.endswith(b"\n"):
                break
        yield None


def encoded(answer: dict[str, object]) -> Iterator[bytes]:
    """An answer as one line, in pieces: a long log is never held again as base64."""
    held: list[bytes] = []

    def defer(value: object) -> str:
        if not isinstance(value, bytes):
            raise TypeError(f"{type(value).__name__} in an answer")
        if len(value) <= PIECE_BYTES:
            return base64.b64encode(value).decode("ascii")
        held.append(value)
        return "\0"

    # Only these places can hold a NUL, which JSON writes as \u0000: what comes from outside is base64.
    text = json.dumps(answer, default=defer, separators=(",", ":")) + "\n"
    first, *rest = text.encode("ascii").split(b"\\u0000") if held else [text.encode("ascii")]
    yield first
    for data, after in zip(held, rest, strict=True):
        for at in range(0, len(data), PIECE_BYTES):
            yield base64.b64encode(data[at : at + PIECE_BYTES])
        yield after


def write(pieces: Iterator[bytes]) -> None:
    """Write `pieces` to standard output, whole."""
    for piece in pieces:
        view = memoryview(piece)
        while view:
            view = view[os.write(1, view) :]
