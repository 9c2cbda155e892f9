"""Rounds as what is stored of them. Pure: values in, values out."""

from __future__ import annotations

from harness.attest.evidence import Moments
from harness.attest.examine.outcome import LinkedRound, Round
from harness.attest.measures import line as record


def host_line(
    machine: record.Machine,
    kind: record.Kind,
    purpose: record.Purpose,
    done: Round,
    *,
    migration: int | None = None,
    op_ns: int | None = None,
) -> record.Attestation:
    """The line of one machine's own round; its number is the writer's to give."""
    result = done.result
    return record.Attestation(
        n=1,
        subject=machine,
        kind=kind,
        key=done.key,
        purpose=purpose,
        migration=migration,
        tier=result.tier.value,
        reason=result.reason.value,
        detail=result.detail,
        stamps=_stamps(done, op_ns=op_ns, rx_ns=_expiry(done)),
        attester=_answered(machine, done.moments),
        steps=tuple((f"{step.number} {step.name}", step.ns) for step in done.steps),
        retries=0 if done.evidence is None else done.evidence.retries,
        boot=_boot(done),
    )


def linked_line(
    purpose: record.Purpose,
    done: LinkedRound,
    host: record.Machine,
    epoch: int,
    *,
    migration: int | None = None,
    op_ns: int | None = None,
) -> record.Attestation:
    """The line of a guest's round with its host's over it: the guest's stamps, the host's next to them."""
    own = host_line("guest", "linked", purpose, done.guest, migration=migration, op_ns=op_ns)
    over, verdict = done.host, done.verdict
    stamps = own.stamps.model_copy(
        update={
            "RG": done.checked_ns,
            "RR": done.checked_ns,
            "RA": done.checked_ns,
            "RX": None if done.linked is None else done.linked.expires_ns,
        }
    )
    steps = () if over is None else tuple((f"{step.number} {step.name}", step.ns) for step in over.steps)
    return own.model_copy(
        update={
            "host": host,
            "epoch": epoch,
            "tier": verdict.tier.value,
            "reason": verdict.reason.value,
            "detail": verdict.detail,
            "stamps": stamps,
            "second": None if over is None else _vouched(host, over),
            "steps": (*own.steps, *steps),
            "retries": own.retries + (0 if over is None or over.evidence is None else over.evidence.retries),
        }
    )


def _stamps(done: Round, *, op_ns: int | None, rx_ns: int | None) -> record.Stamps:
    stamps = done.stamps
    return record.Stamps(
        NS=stamps.ns, ER=stamps.er, RG=stamps.rg, RR=stamps.rr, RA=stamps.ra, OP=op_ns, RX=rx_ns
    )


def _expiry(done: Round) -> int | None:
    """When the result expires; a result that may not be used has no such moment."""
    return done.result.expires_ns if done.result.tier.believed else None


def _answered(machine: record.Machine, moments: Moments | None) -> record.Answered | None:
    if moments is None:
        return None
    return record.Answered(
        machine=machine,
        received=moments.received_ns,
        quoting=moments.quoting_ns,
        EG=moments.quoted_ns,
        answered=moments.answered_ns,
    )


def _vouched(machine: record.Machine, done: Round) -> record.Vouched | None:
    moments, arrived = done.moments, done.stamps.er
    if moments is None or arrived is None:
        return None
    return record.Vouched(
        machine=machine,
        received=moments.received_ns,
        quoting=moments.quoting_ns,
        EG=moments.quoted_ns,
        answered=moments.answered_ns,
        NS=done.stamps.ns,
        ER=arrived,
    )


def _boot(done: Round) -> record.Boot | None:
    said = done.result.claims.get("boot")
    for known in ("first", "same", "resume", "reboot"):
        if said == known:
            return known
    return None
