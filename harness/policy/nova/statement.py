"""What the trust monitor states of a host, as it is kept in the metadata of the host's aggregate.

Whoever may change an aggregate could write any property there, or leave an old one standing. A statement
therefore names its host, ends after a time, and carries a code that only a holder of the monitor's key can
make. Without it, or where anything of it is missing, contradicts itself or belongs to another host, nothing
of the host is believed: silence is never trust.

The code is an HMAC (RFC 2104, SHA-256). The scheduler that checks it could also make it; but it chooses the
hosts anyway, and must be trusted (Security on Demand, section V).

Source: Security on Demand, section IV (architecture_type and trust_evidence).
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

from harness.attest.reasons import Reason, Tier, tier_of
from harness.attest.verdict import Verdict
from harness.clock import NS_PER_S
from harness.errors import RecordError
from harness.policy.server import Server
from harness.policy.threats import CELLS, COLUMNS, Cell

FORM: Final = "sodbench-host-1"
"""The form of a statement; another form is another code."""
FIELDS: Final = (
    "sod_server",
    "sod_architecture",
    "sod_tier",
    "sod_reason",
    "sod_withdrawn",
    "sod_simulated",
    "sod_generated_ns",
    "sod_expires_ns",
    "sod_key",
)
"""The keys of a statement that the code covers, in the order in which it does."""
CODE: Final = "sod_code"
"""The key with the code."""

MOST_CHARACTERS: Final = 255
"""How long a value may be: Nova's column is no longer."""
LEAST_KEY_BYTES: Final = 32
MOST_LIFE_NS: Final = 3600 * NS_PER_S
"""How long a statement may hold; a longer one would keep a silent monitor's host trusted."""
MOST_AHEAD_NS: Final = 5 * NS_PER_S
"""How far the monitor's wall clock may be ahead of the scheduler's."""

Keys: TypeAlias = Mapping[str, bytes]
"""Keys by their names, so that a key can be replaced while statements of the old one still stand."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """One statement of a host.

    Attributes:
        host: The host, as Nova calls it.
        server: The host, as the registry calls it.
        architecture: As the server states it; None where it states none.
        tier: How far it is trusted.
        reason: Why.
        withdrawn: Cells that the provider, or a monitor, no longer vouches for.
        simulated: Whether a monitor that simulates its hardware had a part in it.
        generated_ns: When it was made, the monitor's CLOCK_REALTIME.
        expires_ns: When it ends, on the same clock.
    """

    host: str
    server: str
    architecture: str | None
    tier: Tier
    reason: Reason
    withdrawn: frozenset[Cell] = frozenset()
    simulated: bool = False
    generated_ns: int
    expires_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Read:
    """What an aggregate's metadata say of a host.

    Attributes:
        server: For policy validation, with :attr:`Statement.expires_ns` as the end of trust.
        generated_ns: When that was stated, CLOCK_REALTIME; 0 where nothing could be believed.
    """

    server: Server
    generated_ns: int


def sealed(stated: Statement, key_name: str, key: bytes) -> dict[str, str]:
    """The statement as metadata of an aggregate.

    Raises:
        ValueError: The key is too short, a text is too long, or it would hold for too long.
    """
    if len(key) < LEAST_KEY_BYTES:
        raise ValueError(f"a key of {len(key)} bytes; at least {LEAST_KEY_BYTES} are needed")
    if not 0 < stated.expires_ns - stated.generated_ns <= MOST_LIFE_NS:
        raise ValueError(f"it would hold for {(stated.expires_ns - stated.generated_ns) / NS_PER_S} s")
    texts = (
        stated.server,
        stated.architecture or "",
        stated.tier.value,
        stated.reason.value,
        " ".join(str(cell) for cell in CELLS if cell in stated.withdrawn),
        "true" if stated.simulated else "false",
        str(stated.generated_ns),
        str(stated.expires_ns),
        key_name,
    )
    found = dict(zip(FIELDS, texts, strict=True))
    long = [name for name, text in found.items() if len(text) > MOST_CHARACTERS]
    if long:
        raise ValueError(f"too long for a value of an aggregate: {', '.join(long)}")
    return found | {CODE: _code(stated.host, found, key)}


def read(host: str, aggregates: Sequence[Mapping[str, str]], keys: Keys, now_ns: int) -> Read:
    """What the metadata of a host's aggregates say of it at `now_ns`; anything wrong is a verdict of its own.

    Args:
        host: The host, as Nova calls it.
        aggregates: The metadata of each aggregate that the host is in.
        keys: The monitor's keys.
        now_ns: The scheduler's CLOCK_REALTIME.
    """
    found: dict[str, str] = {}
    for metadata in aggregates:
        for name in (*FIELDS, CODE):
            value = metadata.get(name)
            if value is not None and found.setdefault(name, value) != value:
                return _doubted(host, Reason.STATE_CONFLICT, f"two aggregates differ in {name}")
    if not found:
        return _doubted(host, Reason.NOTHING_APPRAISED, "no aggregate has a statement of it")
    missing = [name for name in (*FIELDS, CODE) if name not in found]
    if missing:
        return _doubted(host, Reason.MALFORMED_EVIDENCE, f"the statement lacks {', '.join(missing)}")
    key = keys.get(found["sod_key"])
    if key is None:
        return _doubted(host, Reason.KEY_UNKNOWN, "the statement names a key that is not the monitor's")
    if not hmac.compare_digest(_code(host, found, key).encode(), found[CODE].encode()):
        return _doubted(host, Reason.SIGNATURE_INVALID, "the statement is another host's, or was altered")
    try:
        stated = _parsed(host, found)
    except (ValueError, KeyError) as error:
        return _doubted(host, Reason.MALFORMED_EVIDENCE, f"the statement is of another form: {error}")
    if stated.generated_ns > now_ns + MOST_AHEAD_NS or stated.expires_ns - stated.generated_ns > MOST_LIFE_NS:
        return _doubted(host, Reason.CLOCK_NOT_SAFE, "the statement is of the future, or would hold too long")
    return Read(server=_server(stated), generated_ns=stated.generated_ns)


def overtaken(host: str) -> Read:
    """What is left of a host of which an older statement came back after a newer one was seen."""
    return _doubted(host, Reason.CLOCK_BACKWARDS, "an older statement took a newer one's place")


def read_keys(text: str) -> Keys:
    """The keys in `text`: one a line, its name and then its bytes in hexadecimal.

    Raises:
        RecordError: It holds no key, a name twice, or something else; no part of a key is shown.
    """
    found: dict[str, bytes] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        name, _, digits = line.strip().partition(" ")
        try:
            key = bytes.fromhex(digits)
        except ValueError:
            key = b""
        if len(key) < LEAST_KEY_BYTES or name in found:
            raise _no_keys(
                f"line {number} is no new name with {LEAST_KEY_BYTES} bytes or more in hexadecimal"
            )
        found[name] = key
    if not found:
        raise _no_keys("there is no key in it")
    return found


def _no_keys(why: str) -> RecordError:
    return RecordError(
        "the trust monitor's keys cannot be read", why=why, remedy="write a name and `openssl rand -hex 32`"
    )


def _code(host: str, found: Mapping[str, str], key: bytes) -> str:
    covered = json.dumps([FORM, host, *(found[name] for name in FIELDS)])
    return hmac.new(key, covered.encode(), hashlib.sha256).hexdigest()


def _parsed(host: str, found: Mapping[str, str]) -> Statement:
    return Statement(
        host=host,
        server=found["sod_server"],
        architecture=found["sod_architecture"] or None,
        tier=Tier(found["sod_tier"]),
        reason=Reason(found["sod_reason"]),
        withdrawn=frozenset(COLUMNS[name] for name in found["sod_withdrawn"].split()),
        simulated={"true": True, "false": False}[found["sod_simulated"]],
        generated_ns=int(found["sod_generated_ns"]),
        expires_ns=int(found["sod_expires_ns"]),
    )


def _server(stated: Statement) -> Server:
    believed = stated.tier.believed
    return Server(
        name=stated.host,
        architecture=stated.architecture,
        verdict=Verdict(
            tier=stated.tier,
            reason=stated.reason,
            detail=f"stated of {stated.server}" if stated.server != stated.host else "",
            generated_ns=stated.generated_ns,
            expires_ns=stated.expires_ns if believed else None,
        ),
        withdrawn=stated.withdrawn,
        simulated=stated.simulated,
    )


def _doubted(host: str, reason: Reason, detail: str) -> Read:
    verdict = Verdict(tier=tier_of(reason), reason=reason, detail=detail)
    return Read(server=Server(name=host, architecture=None, verdict=verdict), generated_ns=0)
