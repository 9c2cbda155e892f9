"""`sodbench attest enrol`, `revoke` and `release`: who may attest."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from harness.attest.identity.authorities import NOBODY
from harness.attest.identity.enrolment import KEYS, Enrolled, Request
from harness.attest.identity.enrolment import enrol as enrolled
from harness.cli.attest import inputs as attest_inputs
from harness.cli.attest.inputs import Machines, RegistryUrl, chosen, ek_type, key_type
from harness.cli.attest.machines import reached, vouching
from harness.cli.inputs import Inventory, RunInventory, inventory_file
from harness.cli.terminal import Output
from harness.clock import MonotonicClock
from harness.errors import UsageError
from harness.pair_name import FIRST, ONLY_GUEST
from harness.rig import lock, pair
from harness.rig.host import Host

Roots = Annotated[
    Path | None,
    typer.Option(
        "--roots",
        help="Roots of the TPMs' makers: a file in PEM or DER, or a folder of them. By default the "
        "inventory's.",
    ),
]
TrustedEk = Annotated[
    str | None,
    typer.Option(
        "--trust-ek",
        metavar="SHA256",
        help="For one machine whose TPM has no certificate: the SHA-256 of its endorsement key's public "
        "area, from a source that you trust.",
    ),
]
Keys = Annotated[
    list[str] | None, typer.Option("--key", help="Attestation keys to make; by default both types.")
]
Ek = Annotated[
    str,
    typer.Option(
        "--ek", help="The endorsement key that identifies the TPM: rsa-2048, ecc-p256, ecc-p384 or rsa-3072."
    ),
]
Renew = Annotated[bool, typer.Option("--renew", help="New keys for enrolled machines; ends a hold.")]
Why = Annotated[str, typer.Option("--why", help="The reason, for the record.")]
Name = Annotated[str, typer.Argument(metavar="ID", help="The machine, as `sodbench attest status` names it.")]


def enrol(
    machines: Machines = None,
    inventory: Inventory = None,
    run_inventory: RunInventory = False,
    roots: Roots = None,
    trust_ek: TrustedEk = None,
    key: Keys = None,
    ek: Ek = "rsa-2048",
    renew: Renew = False,
    registry: RegistryUrl = None,
) -> None:
    """Enrol machines: whose TPM each has, new attestation keys in it, and one identity for it.

    The TPM's certificate must lead to a configured root. The keys are proved to be in that TPM. Nothing is
    stored for a machine before all of it holds. The rig is held meanwhile, because keys that were there are
    replaced. Ends with 14 at the first machine that is refused; those before it are enrolled.
    """
    names, pin = chosen(machines), _pin(trust_ek)
    if pin is not None and len(names) != 1:
        raise UsageError("--trust-ek names one TPM", remedy="name the one machine that has it")
    keys = tuple(dict.fromkeys(key_type(one) for one in key)) if key else KEYS
    stands = ek_type(ek)
    rig, clock = pair.load(inventory_file(inventory, "lab"), programs=run_inventory), MonotonicClock()
    output, warned = Output(), set[str]()
    with (
        attest_inputs.registry(registry, rig.name) as store,
        Host(rig.machines[FIRST]) as keeper,
        lock.hold(keeper, "sodbench attest enrol"),
        reached(rig, names, clock) as found,
    ):
        for name in names:
            who, notice = (NOBODY, "") if pin is not None else vouching(found[name], rig, roots)
            if new := [one for one in who.unread if one not in warned]:
                _warn(new)
            warned.update(who.unread)
            request = Request(
                name=name,
                kind="guest" if name == ONLY_GUEST else "host",
                authorities=who,
                trusted_ek=pin,
                keys=keys,
                ek=stands,
                renew=renew,
            )
            _tell(output, enrolled(found[name].attester, store, request, clock), notice)


def _pin(given: str | None) -> str | None:
    """The fingerprint; the Name that tpm2_readpublic prints is one with the hash's number before it."""
    if given is None:
        return None
    digits = given.lower().removeprefix("0x")
    for alg, length in (("000b", 64), ("000c", 96)):
        digits = digits.removeprefix(alg) if len(digits) == len(alg) + length else digits
    if not re.fullmatch(r"[0-9a-f]{64}|[0-9a-f]{96}", digits):
        raise UsageError(
            f"{given!r} is no SHA-256 or SHA-384",
            remedy="64 or 96 hexadecimal digits; see docs/attestation.md, 'No certificate'",
        )
    return digits


def _warn(unread: Sequence[str]) -> None:
    Output(error=True).say(*[f"warning: no authority can be read from {one}" for one in unread])


def _tell(output: Output, done: Enrolled, notice: str) -> None:
    record, by = done.record, done.endorsement
    maker = (
        "its key as you named it, no certificate" if by is None else f"{by.maker}, vouched for by {by.issuer}"
    )
    spent_s = sum(ns for _, ns in done.phases) / 1e9
    output.say(f"{record.id}: enrolled in {spent_s:.1f} s. TPM: {maker}")
    for key in record.keys:
        output.say(f"  {key.kind} {key.name.hex()}")
    if notice:
        output.say(f"  {notice}")


def revoke(name: Name, why: Why, registry: RegistryUrl = None) -> None:
    """Refuse a machine permanently: neither its name nor its TPM is ever enrolled again.

    What it attests from now on is contraindicated. Touches no machine.
    """
    with attest_inputs.registry(registry) as store:
        store.revoke(name, why)
    Output().say(f"{name}: revoked")


def release(name: Name, why: Why, registry: RegistryUrl = None) -> None:
    """Retire an identity, so that its name and its TPM can be enrolled again, as of a machine that is gone.

    What was found of it stays recorded. Touches no machine.
    """
    with attest_inputs.registry(registry) as store:
        store.release(name, why)
    Output().say(f"{name}: released")
