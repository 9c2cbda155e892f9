"""`sodbench attest reference` and `policy`: what platforms are held against."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from harness.attest.attester import channel
from harness.attest.evidence import KeyType
from harness.attest.examine.recording import genuine
from harness.attest.identity import authorities
from harness.attest.identity.authorities import Authorities
from harness.attest.identity.enrolment import Request, enrol
from harness.attest.reference import files as appraisal_file
from harness.attest.reference.files import MAX_REFERENCE_CHARS, load_reference
from harness.attest.reference.policy import AppraisalPolicy, ReferenceValues
from harness.attest.reference.values import merge, record, to_yaml
from harness.campaign.model import Guest
from harness.cli.attest import inputs as attest_inputs
from harness.cli.attest import machines
from harness.cli.attest.inputs import GuestPolicy, Key, Machines, Policy, RegistryUrl
from harness.cli.inputs import Inventory, RunInventory, inventory_file
from harness.cli.rigs import images, vtpm_key
from harness.cli.terminal import Output
from harness.clock import Clock, MonotonicClock
from harness.errors import StorageError, UsageError
from harness.files import write_atomic
from harness.pair_name import FIRST, ONLY_GUEST
from harness.registry.places import policy_file
from harness.registry.registry import Registry
from harness.rig import pair as pairs
from harness.rig import session
from harness.rig.guest import domain
from harness.rig.guest.kind import Kind, kind_called
from harness.rig.pair import Pair
from harness.rig.rig import Rig


def reference(
    machines: Machines = None,
    inventory: Inventory = None,
    run_inventory: RunInventory = False,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", "-o", help="The file for one machine's values; by default the place where they are read."
        ),
    ] = None,
    add: Annotated[
        bool, typer.Option("--add", help="Accept the recorded values in addition to those in the file.")
    ] = False,
    key: Key = "ecc-p256",
    policy: Policy = None,
    guest_policy: GuestPolicy = "guest",
    registry: RegistryUrl = None,
    image: Annotated[
        str, typer.Option("--image", help="What `guest` boots: standard or small.")
    ] = "standard",
) -> None:
    """Record reference values from machines that are known to be good, for what the policy checks.

    A machine must be enrolled, and its evidence genuine; whether it is good is your word. For `guest` a
    measured guest of a campaign's default size is booted on host a, recorded, and taken away: its values
    belong to the guest image, of which there are two.
    """
    names, kind = attest_inputs.chosen(machines), attest_inputs.key_type(key)
    if out is not None and len(names) != 1:
        raise UsageError("--out is for one machine", remedy="name one, or leave --out away")
    booted = kind_called(image)
    rig, clock = pairs.load(inventory_file(inventory, "lab"), programs=run_inventory), MonotonicClock()
    output = Output()
    with attest_inputs.registry(registry, rig.name) as store:
        for name in names:
            judged_by = attest_inputs.policy(name, rig, policy, guest_policy)
            record = partial(_of_guest, booted) if name == ONLY_GUEST else _of_host
            values = record(rig, name, store, judged_by, kind, clock)
            place = out or attest_inputs.reference_place(name, rig, booted)
            _keep(values, place, add=add)
            pcrs = sum(len(one) for one in values.pcrs.values())
            events = sum(len(one) for bank in values.events.values() for one in bank.values())
            output.say(
                f"{place}: reference values of {name} for the policy {judged_by.name}: "
                f"{pcrs} PCRs, {events} events, {len(values.ima.files)} files"
            )


def _keep(values: ReferenceValues, place: Path, *, add: bool) -> None:
    whole = merge(load_reference(place), values) if add and place.exists() else values
    text = to_yaml(whole)
    if len(text) > MAX_REFERENCE_CHARS:
        raise StorageError(
            f"these reference values are too many: {len(whole.ima.files)} files",
            where=str(place),
            why=f"{len(text)} characters; a file of more than {MAX_REFERENCE_CHARS} is not read back",
            remedy="let IMA measure less, or record without --add; nothing was written",
        )
    write_atomic(place, text.encode())


def _of_host(
    rig: Pair, name: str, store: Registry, judged_by: AppraisalPolicy, kind: KeyType, clock: Clock
) -> ReferenceValues:
    with machines.reached(rig, [name], clock) as found:
        evidence = genuine(found[name].attester, store, name, key=kind, policy=judged_by, clock=clock)
    return record(evidence, judged_by)


def _of_guest(
    booted: Kind,
    rig: Pair,
    name: str,
    store: Registry,
    judged_by: AppraisalPolicy,
    kind: KeyType,
    clock: Clock,
) -> ReferenceValues:
    """A new guest is a new TPM: it is enrolled for as long as it takes, under a name of its own."""
    with (
        session.open_rig(
            rig, "sodbench attest reference", clock, booted, vtpm_key=vtpm_key(), images=images()
        ) as opened,
        _booted(opened, clock) as authority,
    ):
        attester = channel.RemoteAttester(opened.guest, clock)
        own = f"{name}:reference:{opened.image_key}"
        request = Request(name=own, kind="guest", authorities=authority, keys=(kind,))
        if store.attester(own) is not None:
            store.release(own, "left behind by a controller that was killed")
        try:
            enrol(attester, store, request, clock)
            evidence = genuine(attester, store, own, key=kind, policy=judged_by, clock=clock)
        finally:
            attester.close()
            if store.attester(own) is not None:
                store.release(own, "its reference values are recorded, or cannot be")
    return record(evidence, judged_by)


@contextmanager
def _booted(rig: Rig, clock: Clock) -> Iterator[Authorities]:
    """A measured guest on host a, and who vouches for its TPM; taken away with the block."""
    size = Guest.model_validate({"image": rig.kind.name})
    spec = rig.specify(memory_mib=size.memory_mib, vcpus=size.vcpus, tpm=True)
    host, connection = rig.hosts[FIRST], rig.hypervisors.connect()[FIRST]
    rig.vacate()
    rig.clear(spec)
    try:
        domain.boot(connection, host, spec)
        domain.await_login(rig.guest, host, spec, timeout_s=size.boot_timeout_s, clock=clock)
        yield authorities.of_machine(host, authorities.GUEST_AUTHORITY)
    finally:
        rig.clear(spec)


def policy(
    named: Annotated[str, typer.Argument(metavar="POLICY", help="A policy's file, or a shipped one's name.")],
    reference: Annotated[
        Path | None, typer.Option("--reference", help="Also check whether it fits these reference values.")
    ] = None,
) -> None:
    """Check an appraisal policy, and show what it checks. Touches no machine.

    A mistake is shown with its file and line, and ends with 3.
    """
    place = policy_file(named)
    found = appraisal_file.load_policy(place)
    output = Output()
    if reference is not None:
        appraisal_file.matched(found, appraisal_file.load_reference(reference), f"{place}, {reference}")
    checks = [name for name, wanted in found.require.model_dump().items() if wanted == "check"]
    checked = ", ".join(checks) or "nothing, so that no result is affirming"
    output.say(
        f"{place}: the policy {found.name} is in order.",
        f"It quotes {found.bank} PCRs {', '.join(map(str, sorted(found.pcrs)))} "
        f"with {' or '.join(found.keys)}, and checks {checked}.",
        f"A TPM in software: {found.software_tpm}. A result expires after {found.result_lifetime_s:g} s.",
        f"A result with a warning is {'' if found.warning_counts else 'not '}good enough.",
    )
