"""Old answers, other answers, and answers that only look like the one that was asked for."""

from __future__ import annotations

import base64
import hashlib

from harness.attest.played.software_tpm import NONCE
from harness.attest.reasons import Reason
from tests.attest.adversary.case import Case, grouped
from tests.attest.adversary.stage import NOW_NS

OTHER = hashlib.sha256(b"another challenge").digest()


CASES: tuple[Case, ...] = grouped(
    "freshness",
    ("honest", Reason.ACCEPTED, "An honest answer in the same boot", lambda stage: stage.honest()),
    ("honest-first", Reason.ACCEPTED, "The first answer of a platform", lambda stage: stage.first()),
    (
        "nonce-of-16-bytes",
        Reason.ACCEPTED,
        "A nonce of the least length",
        lambda stage: stage.quoting(NONCE[:16]).challenged(nonce=NONCE[:16]),
    ),
    (
        "nonce-of-64-bytes",
        Reason.ACCEPTED,
        "A nonce as long as a TPM takes with SHA-512",
        lambda stage: stage.quoting(NONCE + OTHER).challenged(nonce=NONCE + OTHER),
    ),
    (
        "last-moment",
        Reason.ACCEPTED,
        "An answer at the last moment that counts",
        lambda stage: stage.honest().challenged(expires_ns=NOW_NS),
    ),
    (
        "first-moment",
        Reason.ACCEPTED,
        "An answer at the moment of the challenge",
        lambda stage: stage.honest().challenged(issued_ns=NOW_NS),
    ),
    (
        "replay-in-session",
        Reason.NONCE_REUSED,
        "The same answer once more",
        lambda stage: stage.honest().challenged(used=True),
    ),
    (
        "replay-across-sessions",
        Reason.NONCE_MISMATCH,
        "An accepted answer to an earlier challenge",
        lambda stage: stage.honest().challenged(nonce=OTHER),
    ),
    (
        "replay-to-used-challenge",
        Reason.NONCE_MISMATCH,
        "An old answer to a challenge that was answered",
        lambda stage: stage.honest().challenged(nonce=OTHER, used=True),
    ),
    (
        "reused-nonce",
        Reason.NONCE_REUSED,
        "A new quote over a nonce that was answered before",
        lambda stage: stage.quoting(clock=stage.clock(later_ms=2000)).challenged(used=True),
    ),
    (
        "expired",
        Reason.NONCE_EXPIRED,
        "An answer that comes one ns too late",
        lambda stage: stage.honest().challenged(expires_ns=NOW_NS - 1),
    ),
    (
        "from-the-future",
        Reason.NONCE_EXPIRED,
        "A challenge of another clock, issued later than now",
        lambda stage: stage.honest().challenged(issued_ns=NOW_NS + 1),
    ),
    ("empty-nonce", Reason.NONCE_MISMATCH, "A quote over nothing", lambda stage: stage.quoting(b"")),
    (
        "empty-challenge",
        Reason.NONCE_SHORT,
        "Nothing was asked and nothing answered",
        lambda stage: stage.quoting(b"").challenged(nonce=b""),
    ),
    (
        "short-challenge",
        Reason.NONCE_SHORT,
        "A nonce of 15 bytes",
        lambda stage: stage.quoting(NONCE[:15]).challenged(nonce=NONCE[:15]),
    ),
    ("prefix", Reason.NONCE_MISMATCH, "The nonce's first half", lambda stage: stage.quoting(NONCE[:16])),
    ("suffix", Reason.NONCE_MISMATCH, "The nonce's second half", lambda stage: stage.quoting(NONCE[16:])),
    (
        "nonce-and-more",
        Reason.NONCE_MISMATCH,
        "The nonce and a byte behind it",
        lambda stage: stage.quoting(NONCE + b"\0"),
    ),
    (
        "more-and-nonce",
        Reason.NONCE_MISMATCH,
        "A byte and the nonce behind it",
        lambda stage: stage.quoting(b"\0" + NONCE),
    ),
    ("nonce-twice", Reason.NONCE_MISMATCH, "The nonce twice", lambda stage: stage.quoting(NONCE + NONCE)),
    (
        "nonce-in-hexadecimal",
        Reason.NONCE_MISMATCH,
        "The nonce in hexadecimal",
        lambda stage: stage.quoting(NONCE.hex().encode()),
    ),
    (
        "nonce-in-base64",
        Reason.NONCE_MISMATCH,
        "The nonce in base64",
        lambda stage: stage.quoting(base64.b64encode(NONCE)),
    ),
    (
        "nonce-with-size",
        Reason.NONCE_MISMATCH,
        "The nonce with its size before it",
        lambda stage: stage.quoting(b"\0\x20" + NONCE),
    ),
    (
        "nonce-hashed",
        Reason.NONCE_MISMATCH,
        "The nonce's hash",
        lambda stage: stage.quoting(hashlib.sha256(NONCE).digest()),
    ),
    (
        "nonce-backwards",
        Reason.NONCE_MISMATCH,
        "The nonce in other byte order",
        lambda stage: stage.quoting(NONCE[::-1]),
    ),
    (
        "nonce-of-one-bit-less",
        Reason.NONCE_MISMATCH,
        "The nonce with its last bit changed",
        lambda stage: stage.quoting(NONCE[:-1] + bytes([NONCE[-1] ^ 1])),
    ),
)
