"""`sodbench attest status`: who is enrolled, and what is known of each now. Touches no machine."""

from __future__ import annotations

import json

import typer

from harness.attest.identity.enrolled import EnrolledIdentity
from harness.attest.reasons import Tier
from harness.attest.verdict import Verdict
from harness.cli import tiers
from harness.cli.attest import inputs as attest_inputs
from harness.cli.attest.inputs import Json, RegistryUrl
from harness.cli.terminal import Output
from harness.instant import Instant
from harness.policy.known import attested
from harness.registry.registry import Registry
from harness.registry.values import StoredResult


def status(registry: RegistryUrl = None, as_json: Json = False) -> None:
    """Show who is enrolled, with which keys, and the last result of each with its age.

    A result counts until it expires, then nothing is known any more. A contraindicated machine stays so until
    it is enrolled again (`sodbench attest enrol --renew`), a revoked one for good.
    """
    with attest_inputs.looking(registry) as store:
        now = store.now()
        standing = [_standing(one, store, now) for one in store.attesters()]
    if as_json:
        typer.echo(json.dumps(standing, indent=2))
        return
    output = Output()
    if not standing:
        output.say("No machine is enrolled: `sodbench attest enrol`.")
        return
    output.table(
        ("id", "kind", "TPM", "keys", "now", "why", "last result"),
        [
            (
                str(one["id"]),
                str(one["kind"]),
                f"{one['tpm']}{' (software)' if one['software_tpm'] else ''}",
                " ".join(map(str, one["keys"] if isinstance(one["keys"], list) else [])),
                tiers.shown(Tier(str(one["tier"]))),
                str(one["why"]),
                _last(one),
            )
            for one in standing
        ],
    )


def _standing(who: EnrolledIdentity, store: Registry, now: Instant) -> dict[str, object]:
    latest = store.latest(who.id)
    verdict = attested(who, latest, now)
    age_ns = None if latest is None else latest.generated.age_ns(now)
    return {
        "id": who.id,
        "kind": who.kind,
        "tpm": who.tpm.manufacturer,
        "software_tpm": who.tpm.software,
        "firmware": who.tpm.firmware,
        "keys": [key.kind for key in who.keys],
        "held": who.held,
        "revoked": who.revoked,
        "tier": verdict.tier.value,
        "why": _why(who, latest, verdict),
        "last": None
        if latest is None
        else {
            "tier": latest.tier.value,
            "reason": latest.reason,
            "key": latest.key,
            "age_s": None if age_ns is None else age_ns / 1e9,
        },
    }


def _why(who: EnrolledIdentity, latest: StoredResult | None, verdict: Verdict) -> str:
    """Why the verdict is what it is, in words that say what to do."""
    if who.revoked:
        return "revoked"
    if who.held:
        return "held: enrol it again once it is repaired"
    if latest is None:
        return "never attested"
    if verdict.tier is not latest.tier:
        return f"expired; was {latest.tier.value}"
    return f"silent: {latest.reason}" if verdict.tier == "none" else latest.reason


def _last(one: dict[str, object]) -> str:
    last = one["last"]
    if not isinstance(last, dict):
        return ""
    age_s = last["age_s"]
    when = "at an unknown time" if age_s is None else f"{_duration(age_s)} ago"
    return f"{last['tier']}, {last['reason']}, {when}"


def _duration(seconds: float) -> str:
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"
