"""The bytes of IMA entries, well formed and not."""

from __future__ import annotations

import struct
from collections.abc import Callable

from harness.attest.played import logs
from tests.attest.adversary.stage import Asked, Stage


def raw_ima(stage: Stage, change: Callable[[bytes], bytes], total: int = 9) -> Asked:
    scene = stage.honest()
    assert scene.evidence.ima is not None
    return scene.sent(
        ima=scene.evidence.ima.model_copy(update={"data": change(scene.evidence.ima.data), "total": total})
    )


def behind(stage: Stage, more: bytes) -> Asked:
    return raw_ima(stage, lambda raw: raw + more, total=10)


def entry(body: bytes, *, pcr: int = 10, name: bytes = b"ima-ng", digest: bytes | None = None) -> bytes:
    """One entry of the binary form, however odd its data."""
    digest = logs.hashed("sha1", body) if digest is None else digest
    return struct.pack("<I20sI", pcr, digest, len(name)) + name + struct.pack("<I", len(body)) + body


def fields(*fields: bytes) -> bytes:
    return b"".join(struct.pack("<I", len(field)) + field for field in fields)


GOOD = b"sha256:\0" + bytes(32)


def legacy(name: bytes) -> bytes:
    """An entry of the oldest template."""
    digest, padded = bytes(range(20)), name.ljust(256, b"\0")
    head = struct.pack("<I20sI", 10, logs.hashed("sha1", digest + padded), 3) + b"ima"
    return head + digest + struct.pack("<I", len(name)) + name
