"""The registry's present state against the history that the audit log covers.

Flags of identities, keys, properties and the states of responses may change, so no digest in the chain covers
them. Each follows from rows that the chain does cover, and is computed from those again here.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session, selectinload

from harness.instant import Instant
from harness.json_types import Json
from harness.registry.audit import log as audit_log
from harness.registry.audit.chain import AuditError, AuditHead, wrong
from harness.registry.models import (
    AttesterRow,
    IdentityEventRow,
    KeyRow,
    PropertyChangeRow,
    PropertyRow,
    ResponseRow,
    ResponseStepRow,
)
from harness.registry.response_states import FINAL

_NAME_ALGORITHMS = {"000b": "sha256", "000c": "sha384", "000d": "sha512"}
"""TPM_ALG_ID -> what a key's name is made with (TPM 2.0 Part 1, 16)."""


@dataclass(slots=True)
class _Identity:
    """What an identity's history says of it."""

    held: bool = False
    revoked: bool = False
    released: bool = False
    found: Mapping[str, Any] = field(default_factory=dict)

    def add(self, event: IdentityEventRow) -> None:
        if event.event in {"enrolled", "re-enrolled"}:
            self.found, self.held = event.detail, False
        self.held |= event.event == "held"
        self.revoked |= event.event == "revoked"
        self.released |= event.event == "released"


def check(session: Session, head: AuditHead) -> None:
    """Compare every identity, key, property and response with its history.

    Raises:
        AuditError: One does not follow from it; the error names the last entry, because none is wrong itself.
    """
    for fault in (*_identities(session), *_properties(session), *_responses(session)):
        raise _contradiction(head, *fault)


_Fault = tuple[str, str, object, object]


def _identities(session: Session) -> Iterable[_Fault]:
    told: dict[int, _Identity] = {}
    for event in session.scalars(select(IdentityEventRow).order_by(IdentityEventRow.number)):
        told.setdefault(event.attester_number, _Identity()).add(event)
    rows = session.scalars(select(AttesterRow).options(selectinload(AttesterRow.keys)))
    for row in rows.unique():
        its = told.get(row.number, _Identity())
        for name, now, due in _facts(row, its):
            if _spelled(now) != _spelled(due):
                yield f"identity {row.id} (number {row.number})", name, now, due


def _facts(row: AttesterRow, its: _Identity) -> Iterable[tuple[str, Any, Any]]:
    certificate = row.ek_certificate
    sha256 = None if certificate is None else hashlib.sha256(certificate).hexdigest()
    yield "held", row.held, its.held
    yield "revoked", row.revoked, its.revoked
    yield "released", row.released, its.released
    yield "tpm", row.tpm, its.found.get("tpm")
    yield "ek_certificate", sha256, its.found.get("ek_certificate_sha256")
    keys = [key for key in row.keys if not key.retired]
    named = {} if its.released else its.found.get("keys", {})
    yield (
        "keys",
        sorted([[key.kind, key.name] for key in keys], key=repr),
        [*map(list, sorted(named.items()))],
    )
    for key in keys:
        yield f"public part of {key.kind}", _name(key), key.name


def _name(key: KeyRow) -> str:
    """The name that a TPM gives to this public part."""
    prefix = key.name[:4]
    algorithm = _NAME_ALGORITHMS.get(prefix)
    return prefix + hashlib.new(algorithm, key.public).hexdigest() if algorithm else ""


def _properties(session: Session) -> Iterable[_Fault]:
    last: dict[tuple[str, str], Json] = {}
    for change in session.scalars(select(PropertyChangeRow).order_by(PropertyChangeRow.number)):
        last[change.server, change.name] = _said(change, change.at)
    now = {(row.server, row.name): _said(row, row.since) for row in session.scalars(select(PropertyRow))}
    for server, name in sorted(last.keys() | now.keys(), key=repr):
        is_now, was_last = now.get((server, name)), last.get((server, name))
        if _spelled(is_now) != _spelled(was_last):
            yield f"property {name} of {server}", "what it is", is_now, was_last


def _said(row: PropertyRow | PropertyChangeRow, since: Instant) -> Json:
    return [row.value, row.source, row.simulated, _clocks(since)]


def _responses(session: Session) -> Iterable[_Fault]:
    there = set(session.scalars(select(ResponseRow.number)))
    for number in set(session.scalars(select(ResponseStepRow.response_number))) - there:
        yield f"response {number}", "what it is", None, "one with steps"
    for row in session.scalars(select(ResponseRow).options(selectinload(ResponseRow.steps))):
        first, last = (row.steps[0], row.steps[-1]) if row.steps else (None, None)
        is_now = [
            audit_log.told(session, str(row.vm)),
            row.owner,
            row.state,
            row.closed,
            _clocks(row.begun),
            _clocks(row.changed),
        ]
        if first is None or last is None:
            yield f"response {row.number}", "what it is", is_now, None
            continue
        was_last = [
            first.detail.get("vm"),
            last.owner,
            last.state,
            last.state in FINAL,
            _clocks(first.at),
            _clocks(last.at),
        ]
        if _spelled(is_now) != _spelled(was_last):
            yield f"response {row.number}", "what it is", is_now, was_last


def _clocks(at: Instant) -> Json:
    return [at.realtime_ns, at.monotonic_ns, at.boot_id]


def _spelled(value: Any) -> str:  # noqa: ANN401 - whatever a database holds after an edit by hand
    return json.dumps(value, sort_keys=True, default=repr)


def _contradiction(head: AuditHead, of: str, name: str, now: object, due: object) -> AuditError:
    error = wrong(
        head.number, f"the {of} does not follow from its history", f"{name}: {now!r}, and was left as {due!r}"
    )
    error.where = of
    return error
