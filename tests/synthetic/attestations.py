"""Attestations added to a synthetic run, from known truths: every duration can be asked for again.

Like :mod:`tests.synthetic.evidence` it is pure arithmetic, and stamps of an attester are in that machine's
clock. The guest's clock stands still in every switch-over.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

from harness.attest.evidence import KeyType
from harness.attest.measures.line import (
    FILE,
    Answered,
    Attestation,
    Continuity,
    Kind,
    Machine,
    Purpose,
    Stamps,
    Vouched,
)
from harness.evidence.folder import RunFolder
from harness.evidence.journal import Event
from harness.json_types import Json
from tests.synthetic import evidence
from tests.synthetic.evidence import events_of, write_journal
from tests.synthetic.truths import Layout, Truths, ns

MS = 1_000_000
GUEST_OFFSET_NS = 44_000_000_000
"""controller = guest + this, before any migration."""
STEPS = (
    "1 structure", "2 scheme", "3 key", "4 signature", "5 origin", "6 freshness", "7 selection", "8 values",
    "9 clock", "10 event-log", "11 ima", "12 appraisal",
)  # fmt: skip
SHARES = (0.05, 0.01, 0.02, 0.30, 0.01, 0.02, 0.02, 0.04, 0.01, 0.22, 0.20, 0.10)
"""Of the verification, in the order of the steps."""
QUOTE_MS: Mapping[KeyType, float] = MappingProxyType({"ecc-p256": 0.7, "rsa-2048": 3.1})
LEAD_S = 0.5
TTL_S = 30.0


def _weight() -> Mapping[str, float]:
    return MappingProxyType(
        {"idle": 1.0, "stream": 1.15, "file": 1.5, "web": 1.7, "mail": 1.9, "app": 2.2, "db": 1.8}
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Attested:
    """What is attested and what goes wrong.

    Attributes:
        interval_s: Between two attestations of one kind.
        keys: The keys that take turns.
        load: Workload to the factor on what the attester and the way take.
        moving: The same factor while a migration is under way.
        transport_ms: There and back.
        attester_ms: What the attester does but quote.
        verification_ms: Of one quote.
        software: Whether the TPMs are.
        refused: Trial's index and attestation's number to the reason code it was refused with.
        unanswered: The same of those that were not answered.
        broken: Trial's index and migration's number to the reason its continuity was refused with.
        events: Whether the journal says which TPMs there are.
    """

    interval_s: float = 2.0
    keys: tuple[KeyType, ...] = ("ecc-p256", "rsa-2048")
    load: Mapping[str, float] = field(default_factory=_weight)
    moving: float = 3.0
    transport_ms: float = 1.6
    attester_ms: float = 1.1
    verification_ms: float = 1.4
    software: bool = True
    refused: Mapping[tuple[int, int], str] = field(default_factory=dict)
    unanswered: Mapping[tuple[int, int], str] = field(default_factory=dict)
    broken: Mapping[tuple[int, int], str] = field(default_factory=dict)
    events: bool = True


def build(path: Path, truths: Truths | None = None, attested: Attested | None = None) -> RunFolder:
    """The synthetic run with attestations in every attempt that was finished."""
    truths = Truths() if truths is None else truths
    attested = Attested() if attested is None else attested
    run = evidence.build(path, truths)
    events = events_of(truths)
    for index in range(len(truths.attempts)):
        layout = Layout(truths, index)
        events += _started(layout, attested) if attested.events else []
        write(run, layout, records(layout, attested))
    write_journal(run, sorted(events, key=lambda event: event.t_ns))
    return run


def write(run: RunFolder, layout: Layout, found: list[Attestation]) -> None:
    """Store `found` as the attempt's attestations."""
    path = run.attempt(layout.trial, layout.truth.attempt) / FILE
    path.write_text("".join(one.to_line() for one in found), encoding="utf-8")


def _started(at: Layout, attested: Attested) -> list[Event]:
    state: dict[str, Json] = {
        "software": attested.software,
        "manufacturer": "IBM" if attested.software else "IFX",
        "firmware": "2019.1023" if attested.software else "7.85",
        "keys": list(attested.keys),
        "interval_s": attested.interval_s,
        "access": "ESAPI",
    }
    return [
        Event(
            seq=0, t_ns=at.workload_ns, observer="attestation", kind="attestation.started", trial=at.trial,
            attempt=at.truth.attempt,
            data={**state, "subject": subject, "policy": "guest" if subject == "guest" else "default"},
        )
        for subject in ("a", "b", "guest")
    ]  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class _Due:
    """One attestation that is to be made."""

    at_ns: int
    kind: Kind
    subject: Machine
    purpose: Purpose = "interval"
    migration: int | None = None


def _due(at: Layout, attested: Attested) -> list[_Due]:
    first, last, step = at.baseline_ns, at.closed_ns, ns(attested.interval_s)
    found = []
    for number, t_ns in enumerate(range(first, last, step)):
        kinds: tuple[tuple[Kind, Machine], ...] = (
            ("host", "ab"[number % 2]),
            ("guest", "guest"),
            ("linked", "guest"),
        )  # type: ignore[assignment]
        found += [
            _Due(at_ns=t_ns + slot * step // 3, kind=kind, subject=subject)
            for slot, (kind, subject) in enumerate(kinds)
        ]
    for n in at.moves:
        span, destination = at.span(n), at.direction(n)[1]
        gate: Machine = "a" if destination == "a" else "b"
        early, late = span.start_ns - ns(LEAD_S), span.returned_ns + 20 * MS
        found += [
            _Due(at_ns=early - 40 * MS, kind="linked", subject="guest", purpose="gate", migration=n),
            _Due(at_ns=early, kind="host", subject=gate, purpose="gate", migration=n),
            _Due(at_ns=late, kind="linked", subject="guest", purpose="arrival", migration=n),
        ]
    return sorted(found, key=lambda due: due.at_ns)


def records(at: Layout, attested: Attested) -> list[Attestation]:
    """The attempt's attestations in the order they began."""
    found: list[Attestation] = []
    for n, due in enumerate(_due(at, attested), start=1):
        found.append(_record(at, attested, n, due, found))
    return found


def truth_ms(at: Layout, attested: Attested, n: int, due_ns: int, key: KeyType) -> dict[str, float]:
    """What one quote at `due_ns` takes, part by part, in ms."""
    spans = [at.span(number) for number in at.moves]
    moving = any(span.start_ns <= due_ns <= span.returned_ns for span in spans)
    slow = attested.load.get(at.truth.workload, 1.0) * (attested.moving if moving else 1.0)
    wobble = 1 + 0.18 * math.sin(12.9898 * (n + 3 * at.index)) + (2.4 if n % 37 == 36 else 0.0)
    return {
        "transport": attested.transport_ms * slow * wobble,
        "attester": attested.attester_ms * slow,
        "quote": QUOTE_MS[key] * (0.5 + 0.5 * slow) * wobble,
        "verification": attested.verification_ms * (1 + 0.1 * math.sin(4.1 * n)),
    }


def _record(at: Layout, attested: Attested, n: int, due: _Due, before: list[Attestation]) -> Attestation:
    key = attested.keys[n % len(attested.keys)]
    host = at.host_at(due.at_ns) if due.kind == "linked" else None
    epoch = 1 + sum(1 for m in at.moves if at.span(m).resume_ns <= due.at_ns) if due.kind != "host" else None
    common: dict[str, Any] = {
        "n": n, "subject": due.subject, "kind": due.kind, "host": host, "key": key, "purpose": due.purpose,
        "migration": due.migration, "epoch": epoch,
    }  # fmt: skip
    silent = attested.unanswered.get((at.index, n))
    if silent is not None:
        return Attestation(
            **common, tier="none", reason=silent, detail="no answer", stamps=Stamps(NS=due.at_ns)
        )
    parts = truth_ms(at, attested, n, due.at_ns, key)
    first, er_ns = _answered(at, due.subject, due.at_ns, parts)
    second, last_ns = None, er_ns
    if host is not None:
        asked_ns = er_ns + round(parts["verification"] * MS)  # the guest's own evidence is verified first
        answered, last_ns = _answered(at, "a" if host == "a" else "b", asked_ns, parts)
        second = Vouched(**answered.model_dump(), NS=asked_ns, ER=last_ns)
    quotes = 1 if second is None else 2
    rg_ns = last_ns + round(parts["verification"] * MS)
    refusal = attested.refused.get((at.index, n))
    op_ns = at.span(due.migration).start_ns if due.purpose == "gate" and due.migration else None
    stamps = Stamps(
        NS=due.at_ns,
        ER=er_ns,
        RG=rg_ns,
        RR=rg_ns + MS // 20,
        RA=rg_ns + MS // 10,
        OP=op_ns,
        RX=rg_ns + ns(TTL_S),
    )
    steps = [
        (name, round(parts["verification"] * share * MS)) for name, share in zip(STEPS, SHARES, strict=True)
    ]
    return Attestation(
        **common,
        tier="affirming" if refusal is None else "contraindicated",
        reason=refusal or "accepted",
        detail="" if refusal is None else "as the test wants it",
        stamps=stamps,
        attester=first,
        second=second,
        steps=tuple(steps[: None if refusal is None else 8] * quotes),
        retries=1 if n % 23 == 22 else 0,
        boot="same" if any(one.subject == due.subject for one in before) else "first",
        continuity=_continuity(at, attested, due, before),
    )


def _answered(at: Layout, machine: Machine, sent_ns: int, parts: Mapping[str, float]) -> tuple[Answered, int]:
    """The attester's stamps in its own clock, and when the answer arrives."""
    way_ns = round(parts["transport"] * MS)
    busy_ns, quote_ns = round(parts["attester"] * MS), round(parts["quote"] * MS)
    received = sent_ns + way_ns // 2
    quoting = received + busy_ns * 3 // 4
    moments = (received, quoting, quoting + quote_ns, received + busy_ns + quote_ns)
    frozen = [(first, last) for first, last in at.freezes if machine == "guest"]
    late = [_thawed(t_ns, received, frozen) for t_ns in moments]
    own = [_own(at, machine, t_ns, frozen) for t_ns in late]
    answered = Answered(machine=machine, received=own[0], quoting=own[1], EG=own[2], answered=own[3])
    return answered, late[3] + way_ns - way_ns // 2


def _thawed(t_ns: int, begun_ns: int, frozen: list[tuple[int, int]]) -> int:
    """When what would happen at `t_ns` happens to a guest that stands still meanwhile."""
    for first, last in frozen:
        if begun_ns <= last and first <= t_ns:
            t_ns += last - max(first, begun_ns)
    return t_ns


def _own(at: Layout, machine: Machine, t_ns: int, frozen: list[tuple[int, int]]) -> int:
    if machine != "guest":
        return t_ns - at.run.clocks[machine].monotonic_offset_ns
    stood = sum(max(0, min(t_ns, last) - first) for first, last in frozen)
    return t_ns - GUEST_OFFSET_NS - stood


def _continuity(at: Layout, attested: Attested, due: _Due, before: list[Attestation]) -> Continuity | None:
    if due.purpose != "arrival" or due.migration is None:
        return None
    refusal = attested.broken.get((at.index, due.migration))
    source, destination = at.direction(due.migration)
    mine = [one for one in before if one.purpose == "gate" and one.migration == due.migration]
    (gate,) = [one for one in mine if one.kind == "host"]
    known = gate.attester is not None and gate.stamps.OP is not None
    window_ns = gate.stamps.OP - gated(at, gate) if known and gate.stamps.OP else None
    return Continuity(
        reason=refusal or "accepted",
        tier="affirming" if refusal is None else "contraindicated",
        window_ns=window_ns,
        uncertainty_ns=50_000 if known else None,
        same_key=refusal != "guest-key-changed",
        source=source,
        destination=destination,
    )


def gated(at: Layout, gate: Attestation) -> int:
    """When the gate's evidence was really generated, the controller's ns."""
    assert gate.attester is not None
    return gate.attester.EG + at.run.clocks[gate.attester.machine].monotonic_offset_ns


def all_records(truths: Truths, attested: Attested) -> Iterator[tuple[Layout, Attestation]]:
    """Every attestation of the run with the layout of its attempt."""
    for index in range(len(truths.attempts)):
        layout = Layout(truths, index)
        for one in records(layout, attested):
            yield layout, one
