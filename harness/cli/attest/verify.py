"""`sodbench attest quote` and `verify`: evidence, and what is to be thought of it."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated

import typer

from harness import __version__
from harness.attest.evidence import KeyType, RefusedError
from harness.attest.examine import evidence_file
from harness.attest.examine.outcome import Round
from harness.attest.examine.round import Examiner
from harness.attest.reference.policy import AppraisalPolicy, ReferenceValues
from harness.attest.tokens import ear, signing_key
from harness.cli import tiers
from harness.cli.attest import inputs as attest_inputs
from harness.cli.attest.inputs import GuestPolicy, Json, Key, Machines, OneMachine, Policy, RegistryUrl
from harness.cli.attest.machines import reached
from harness.cli.inputs import Inventory, RunInventory, inventory_file
from harness.cli.terminal import Output
from harness.clock import MonotonicClock, realtime_ns
from harness.errors import UsageError
from harness.files import write_atomic
from harness.registry import places
from harness.registry.registry import Registry
from harness.rig import pair as pairs
from harness.rig.pair import Pair


def quote(
    machine: OneMachine,
    out: Annotated[Path, typer.Option("--out", "-o", help="The file to write.")] = Path("evidence.json"),
    inventory: Inventory = None,
    run_inventory: RunInventory = False,
    key: Key = "ecc-p256",
    policy: Policy = None,
    guest_policy: GuestPolicy = "guest",
    registry: RegistryUrl = None,
) -> None:
    """Have a machine quote over a fresh nonce and keep its evidence in a file. Judges nothing.

    `sodbench attest verify --evidence FILE` judges it, once, within the nonce's life as the policy has it.
    """
    (name,) = attest_inputs.chosen([machine])
    kind, clock = attest_inputs.key_type(key), MonotonicClock()
    rig = pairs.load(inventory_file(inventory, "lab"), programs=run_inventory)
    judged_by = attest_inputs.policy(name, rig, policy, guest_policy)
    with attest_inputs.registry(registry, rig.name) as store, reached(rig, [name], clock) as found:
        examiner = Examiner(store, lambda _name: judged_by, _references(rig, {name: judged_by}), clock)
        asked = examiner.ask(name, found[name].attester, key=kind)
    evidence_file.write(out, asked)
    moments = asked.answer.evidence.moments
    spent_ms = (moments.quoted_ns - moments.quoting_ns) / 1e6
    Output().say(
        f"{out}: evidence of {name}, quoted in {spent_ms:.1f} ms. Its nonce lives for "
        f"{judged_by.nonce_lifetime_s:g} s."
    )


def verify(
    machines: Machines = None,
    inventory: Inventory = None,
    run_inventory: RunInventory = False,
    evidence: Annotated[
        Path | None, typer.Option("--evidence", help="Judge what `sodbench attest quote` stored instead.")
    ] = None,
    key: Key = "ecc-p256",
    policy: Policy = None,
    guest_policy: GuestPolicy = "guest",
    ear: Annotated[
        Path | None,
        typer.Option(
            "--ear", help="Write the results as signed tokens (EAR, in JWT), one per line, to this file."
        ),
    ] = None,
    registry: RegistryUrl = None,
    as_json: Json = False,
) -> None:
    """Attest machines: a fresh nonce, a quote, the verification, and a result in the registry.

    The exit code is 0 when every result is affirming, and 14 for everything else: a warning, a refusal, and
    an attester that did not answer.
    """
    if evidence is not None and machines:
        raise UsageError("--evidence names its machine itself", remedy="leave the machine out")
    rig = pairs.load(inventory_file(inventory, "lab"), programs=run_inventory)

    def judged_by(name: str) -> AppraisalPolicy:
        return attest_inputs.policy(name, rig, policy, guest_policy)

    with attest_inputs.registry(registry, rig.name) as store:
        if evidence is not None:
            rounds = [_stored(evidence, store, rig, judged_by)]
        else:
            kind = attest_inputs.key_type(key)
            rounds = _asked(attest_inputs.chosen(machines), store, rig, judged_by, kind)
    if ear is not None:
        _write_tokens(rounds, ear)
    _show(rounds, as_json=as_json)
    if not all(one.result.tier.trusted(warning_counts=False) for one in rounds):
        raise typer.Exit(RefusedError.exit_code)


def _references(
    rig: Pair, policies: dict[str, AppraisalPolicy], *, needed: bool = False
) -> Callable[[str], ReferenceValues]:
    """Reference values by name; where they are not `needed`, there may be none."""
    found: dict[str, ReferenceValues] = {}
    for name, judged_by in policies.items():
        place = attest_inputs.reference_place(name, rig)
        if needed or place.is_file():
            found[name] = attest_inputs.reference(name, place, judged_by)
        else:
            found[name] = ReferenceValues(version=1)
    return found.__getitem__


def _asked(
    names: Sequence[str],
    store: Registry,
    rig: Pair,
    judged_by: Callable[[str], AppraisalPolicy],
    kind: KeyType,
) -> list[Round]:
    """A whole round with each machine."""
    clock = MonotonicClock()
    policies = {name: judged_by(name) for name in names}
    examiner = Examiner(store, policies.__getitem__, _references(rig, policies, needed=True), clock)
    with reached(rig, names, clock) as found:
        return [examiner.examine(name, found[name].attester, key=kind) for name in names]


def _stored(path: Path, store: Registry, rig: Pair, judged_by: Callable[[str], AppraisalPolicy]) -> Round:
    """The verdict on evidence in a file; whether its nonce may still be answered is the registry's word."""
    kept = evidence_file.read(path)
    asked = evidence_file.answerable(kept, store.issued(kept.nonce), store.now())
    policies = {kept.attester: judged_by(kept.attester)}
    examiner = Examiner(
        store, policies.__getitem__, _references(rig, policies, needed=True), MonotonicClock()
    )
    return examiner.judge(kept.attester, asked, kept.evidence)


def _write_tokens(rounds: Sequence[Round], path: Path) -> None:
    place = places.signing_key_file()
    key = signing_key.signing_key(place)
    who = ear.VerifierId(developer="sodbench", build=__version__)
    now_ns, wall_ns = MonotonicClock().now_ns(), realtime_ns()
    tokens = [
        ear.encode(
            one.result,
            key=key,
            verifier_id=who,
            issued_at_s=ear.issued_at_s(one.result, now_ns=now_ns, realtime_ns=wall_ns),
        )
        for one in rounds
    ]
    write_atomic(path, "".join(f"{token}\n" for token in tokens).encode())
    Output(error=True).say(
        f"{path}: {len(tokens)} signed; the key to check them with: {signing_key.public_file(place)}"
    )


def _show(rounds: Sequence[Round], *, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps([_json(one) for one in rounds], indent=2))
        return
    spans = ("nonce to result, ms", "quote", "on its way", "verification", "registry")
    output = Output()
    output.table(
        ("machine", "key", "tier", "reason", *spans),
        [
            (
                one.name,
                one.key,
                tiers.shown(one.result.tier),
                one.result.reason.value,
                *("" if ms is None else f"{ms:.1f}" for ms in _spent_ms(one).values()),
            )
            for one in rounds
        ],
        right=spans,
    )
    for one in rounds:
        if one.result.detail:
            output.say(f"{one.name}: {one.result.detail}")
    policies = sorted({one.result.policy for one in rounds})
    output.say(f"Policy: {', '.join(policies)}.")


def _spent_ms(one: Round) -> dict[str, float | None]:
    """Where the time went, in ms: RG - NS, the TPM's quote, the rest of ER - NS, RG - ER, RR - RG."""
    stamps, moments = one.stamps, one.moments
    quoted = None if moments is None else (moments.quoted_ns - moments.quoting_ns) / 1e6
    there = None if stamps.er is None else (stamps.er - stamps.ns) / 1e6
    return {
        "total": (stamps.rg - stamps.ns) / 1e6,
        "quote": quoted,
        "way": None if there is None or quoted is None else there - quoted,
        "verification": None if stamps.er is None else (stamps.rg - stamps.er) / 1e6,
        "registry": (stamps.rr - stamps.rg) / 1e6,
    }


def _json(one: Round) -> dict[str, object]:
    stamps, moments = one.stamps, one.moments
    return {
        "machine": one.name,
        "result": one.result.to_json(),
        "steps_ns": [[step.number, step.name, step.ns] for step in one.steps],
        "stamps_ns": {
            "NS": stamps.ns,
            "ER": stamps.er,
            "RG": stamps.rg,
            "RR": stamps.rr,
            "RA": stamps.ra,
            "RX": one.result.expires_ns,
        },
        "attester_ns": None if moments is None else moments.model_dump(),
        "retries": None if one.evidence is None else one.evidence.retries,
    }
