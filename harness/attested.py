"""The attestation of one attempt: channels to its machines, an identity for its guest, and the end of both.

Every attempt's guest is a machine of its own with a TPM of its own (or, from a saved state, with one that was
seen before), so it is enrolled when it is up and released when the attempt is over. The hosts were enrolled
before the run, by somebody who decided to.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from harness.attest import authorities, enrolment, structures
from harness.attest import record as lines
from harness.attest.appraisal import AppraisalPolicy, ReferenceValues
from harness.attest.attester import Attester
from harness.attest.channel import RemoteAttester
from harness.attest.continuity import ContinuityPolicy
from harness.attest.equipment import GUEST, Equipment
from harness.attest.evidence import RefusedError
from harness.attest.reasons import Reason, Tier
from harness.attest.round import Examiner
from harness.campaign import Attest
from harness.errors import SodbenchError
from harness.journal import Json
from harness.observers.attestation import Attestation, Sitting, Subject
from harness.observers.contract import Record
from harness.plan import Trial
from harness.registry.registry import Registry
from harness.registry.values import Attester as Identity
from harness.rig.guest import GuestSpec
from harness.rig.session import Rig

_PREFIX = "guest:"
"""What the name of every guest of a run starts with, so that one that was left behind is known again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Attending:
    """What all attempts of a run share.

    Attributes:
        attest: What the campaign asks for.
        equipment: By what machines are judged.
        registry: Open for the length of the run.
        run: The run's name; guests are named after it.
    """

    attest: Attest
    equipment: Equipment
    registry: Registry
    run: str


@contextmanager
def observer(
    attending: Attending, rig: Rig, trial: Trial, record: Record, spec: GuestSpec
) -> Iterator[Attestation]:
    """The observer of an attempt whose guest is up; channels and guest's identity last as long as the block.

    Raises:
        AttesterError: A machine's attester does not answer.
        RefusedError: The guest cannot be enrolled.
        RegistryError: The registry does not answer.
    """
    registry, clock = attending.registry, record.clock
    with ExitStack() as stack:
        channels: dict[str, Attester] = {}
        for role, host in {**rig.hosts, GUEST: rig.guest}.items():
            channels[role] = RemoteAttester(host, clock)
            stack.callback(channels[role].close)
        name = f"{_PREFIX}{attending.run}:{trial.id}:{record.attempt}"
        guest = _enrol(attending, rig, channels[GUEST], name, record)
        stack.callback(_release, registry, name, record)
        names = {role: role for role in rig.hosts} | {GUEST: name}
        yield Attestation(
            Sitting(
                attest=attending.attest,
                examiner=_examiner(attending, names, record),
                registry=registry,
                subjects=_subjects(attending, names, channels, {GUEST: guest}),
                vm_uuid=spec.uuid,
                migrations=trial.migrations,
                bounds=_bounds(attending.equipment.policies["a"]),
            )
        )


def _examiner(attending: Attending, names: Mapping[str, str], record: Record) -> Examiner:
    roles = {name: role for role, name in names.items()}

    def policy_for(name: str) -> AppraisalPolicy:
        return attending.equipment.policies[roles[name]]

    def reference_for(name: str) -> ReferenceValues:
        return attending.equipment.references[roles[name]]

    return Examiner(attending.registry, policy_for, reference_for, record.clock)


def _bounds(policy: AppraisalPolicy) -> ContinuityPolicy:
    tiers = {Tier.AFFIRMING, *({Tier.WARNING} if policy.software_tpm == "warn" else set())}
    return ContinuityPolicy(max_window_s=policy.max_window_s, tiers=frozenset(tiers))


def _subjects(
    attending: Attending,
    names: Mapping[str, str],
    channels: Mapping[str, Attester],
    known: Mapping[str, Identity],
) -> dict[str, Subject]:
    subjects: dict[str, Subject] = {}
    roles: tuple[lines.Machine, ...] = ("a", "b", "guest")
    for role in roles:
        name = names[role]
        identity = known.get(role) or attending.registry.attester(name)
        subjects[role] = Subject(
            machine=role,
            name=name,
            attester=channels[role],
            software=None if identity is None else identity.tpm.software,
            manufacturer=None if identity is None else identity.tpm.manufacturer,
            firmware=None if identity is None else identity.tpm.firmware,
            policy=attending.equipment.policies[role].name,
        )
    return subjects


def _enrol(attending: Attending, rig: Rig, attester: Attester, name: str, record: Record) -> Identity:
    """Enrol the guest; its TPM was made on a, where it starts, and a's authority vouches for it."""
    request = enrolment.Request(
        name=name,
        kind="guest",
        authorities=authorities.of_machine(rig.hosts["a"], authorities.GUEST_AUTHORITY),
        keys=attending.attest.keys,
    )
    try:
        done = enrolment.enrol(attester, attending.registry, request, record.clock)
    except RefusedError as refused:
        left = _left_behind(attending.registry, attester) if refused.reason is Reason.IDENTITY_TAKEN else None
        if left is None:
            raise
        attending.registry.release(left, "its controller was killed: the same saved TPM is up again")
        record.add("attestation", "guest.released", {"name": left})
        done = enrolment.enrol(attester, attending.registry, request, record.clock)
    phases: dict[str, Json] = dict(done.phases)
    record.add("attestation", "guest.enrolled", {"name": name, "phases_ns": phases})
    return done.record


def _left_behind(registry: Registry, attester: Attester) -> str | None:
    """The guest of a killed attempt that has this TPM, which came back with a saved state; else None."""
    keys = attester.identify().ek_public
    names = {structures.name_of(public) for public in keys.values()}
    for one in registry.attesters():
        if one.kind == "guest" and one.id.startswith(_PREFIX) and one.ek_name in names:
            return one.id
    return None


def _release(registry: Registry, name: str, record: Record) -> None:
    """End the guest's identity; what cannot be ended now is found again by the next attempt."""
    try:
        registry.release(name, "the attempt is over")
    except SodbenchError as error:
        record.add("attestation", "guest.kept", {"name": name, "reason": error.summary})
