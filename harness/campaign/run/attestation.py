"""The attestation of one attempt: channels to its machines, an identity for its guest, and the end of both.

Every attempt's guest is a machine of its own with a TPM of its own (or, from a saved state, with one that was
seen before), so it is enrolled when it is up and released when the attempt is over. The hosts were enrolled
before the run, by the operator.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from harness.attest.attester.channel import channel
from harness.attest.attester.contract import Attester
from harness.attest.evidence import RefusedError
from harness.attest.examine.round import Examiner
from harness.attest.guest.continuity import bounds
from harness.attest.identity import authorities, enrolment
from harness.attest.identity.enrolled import EnrolledIdentity
from harness.attest.measures import line as lines
from harness.attest.options import Attest
from harness.attest.reasons import Reason
from harness.attest.reference.policy import AppraisalPolicy, ReferenceValues
from harness.attest.tpm import structures
from harness.campaign.plan import Trial
from harness.campaign.run.appraisal_files import AppraisalFiles
from harness.campaign.run.attestation_observer import Attestation
from harness.campaign.run.attestation_rounds import Subject, TrialAttestation
from harness.errors import SodbenchError
from harness.evidence.events import GuestEnrolled, GuestKept, GuestReleased
from harness.evidence.record import Record
from harness.pair_name import FIRST, GUEST, HOSTS
from harness.registry.registry import Registry
from harness.response.policy import ResponsePolicy
from harness.rig.guest.domain import START, GuestSpec
from harness.rig.rig import Rig

_PREFIX = "guest:"
"""What the name of every guest of a run starts with, so that one that was left behind is known again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunAttestation:
    """What all attempts of a run share.

    Attributes:
        attest: What the campaign asks for.
        appraisal: By what machines are judged.
        registry: Open for the length of the run.
        run: The run's name; guests are named after it.
        response: By what responses are decided; None where the guest is not guarded.
    """

    attest: Attest
    appraisal: AppraisalFiles
    registry: Registry
    run: str
    response: ResponsePolicy | None = None


@contextmanager
def observer(
    run_attestation: RunAttestation,
    rig: Rig,
    trial: Trial,
    record: Record,
    guests: Sequence[tuple[Rig, GuestSpec]],
) -> Iterator[Attestation]:
    """The observer of an attempt whose guests are up; channels and identities last as long as the block.

    Args:
        run_attestation: What all attempts of the run share.
        rig: The machines.
        trial: The trial.
        record: Where events go.
        guests: The machines seen from each guest, and how it was started.

    Raises:
        AttesterError: A machine's attester does not answer.
        RefusedError: A guest cannot be enrolled.
        RegistryError: The registry does not answer.
    """
    with ExitStack() as stack:
        channels = {role: channel(rig.hosts[role], record, stack) for role in HOSTS}
        names = [view.subject.name if len(guests) > 1 else None for view, _ in guests]
        registered = [guest_name(run_attestation, record, name) for name in names]
        shared = examiner(run_attestation, registered, record)
        attested = []
        for (view, spec), guest, name in zip(guests, names, registered, strict=True):
            attester = channel(view.guest, record.of(guest), stack)
            identity = stack.enter_context(enrolled(run_attestation, view, attester, name, record))
            subject = _subject(run_attestation, GUEST, name, attester, identity)
            attested.append((guest, spec.uuid, subject))
        # After the guests: where the registry went while they were enrolled, the attempt cannot attest.
        hosts = {role: _subject(run_attestation, role, role, channels[role]) for role in HOSTS}
        trials = [
            TrialAttestation(
                attest=run_attestation.attest,
                examiner=shared,
                registry=run_attestation.registry,
                subjects={**hosts, GUEST: subject},
                vm_uuid=vm_uuid,
                migrations=tuple(one for one in trial.migrations if one.guest == guest),
                bounds=bounds(run_attestation.appraisal.policies[FIRST]),
                guest=guest,
            )
            for guest, vm_uuid, subject in attested
        ]
        yield Attestation(*trials)


def guest_name(run_attestation: RunAttestation, record: Record, guest: str | None = None) -> str:
    """What a guest of this attempt is called in the registry; `guest` names it where there are several."""
    name = f"{_PREFIX}{run_attestation.run}:{record.trial}:{record.attempt}"
    return name if guest is None else f"{name}:{guest}"


@contextmanager
def enrolled(
    run_attestation: RunAttestation,
    rig: Rig,
    attester: Attester,
    name: str,
    record: Record,
    *,
    started_on: str = START,
) -> Iterator[EnrolledIdentity]:
    """The guest's identity, for as long as the block lasts.

    Args:
        run_attestation: What all attempts share.
        rig: The machines.
        attester: The guest's.
        name: What it is called in the registry.
        record: Where events go.
        started_on: The host on which it was started, which made its TPM.

    Raises:
        AttesterError: Its attester does not answer.
        RefusedError: It cannot be enrolled.
        RegistryError: The registry does not answer.
    """
    identity = _enrol(run_attestation, rig, attester, name, record, started_on)
    try:
        yield identity
    finally:
        _release(run_attestation.registry, name, record.of(rig.subject.name))


def examiner(run_attestation: RunAttestation, guests: Sequence[str], record: Record) -> Examiner:
    """Who attests the hosts and the `guests` of an attempt, which are named as in the registry."""
    roles = {**{role: role for role in HOSTS}, **dict.fromkeys(guests, GUEST)}

    def policy_for(name: str) -> AppraisalPolicy:
        return run_attestation.appraisal.policies[roles[name]]

    def reference_for(name: str) -> ReferenceValues:
        return run_attestation.appraisal.references[roles[name]]

    return Examiner(run_attestation.registry, policy_for, reference_for, record.clock)


def _subject(
    run_attestation: RunAttestation,
    role: lines.Machine,
    name: str,
    attester: Attester,
    identity: EnrolledIdentity | None = None,
) -> Subject:
    """A machine to attest; its identity is looked up unless the caller has it."""
    known = identity or run_attestation.registry.attester(name)
    return Subject(
        machine=role,
        name=name,
        attester=attester,
        software=None if known is None else known.tpm.software,
        manufacturer=None if known is None else known.tpm.manufacturer,
        firmware=None if known is None else known.tpm.firmware,
        policy=run_attestation.appraisal.policies[role].name,
    )


def _enrol(
    run_attestation: RunAttestation, rig: Rig, attester: Attester, name: str, record: Record, started_on: str
) -> EnrolledIdentity:
    """Enrol the guest; its TPM was made where it was started, and that host's authority vouches for it."""
    request = enrolment.Request(
        name=name,
        kind="guest",
        authorities=authorities.of_machine(rig.hosts[started_on], authorities.GUEST_AUTHORITY),
        keys=run_attestation.attest.keys,
    )
    try:
        done = enrolment.enrol(attester, run_attestation.registry, request, record.clock)
    except RefusedError as refused:
        left = (
            _left_behind(run_attestation.registry, attester)
            if refused.reason is Reason.IDENTITY_TAKEN
            else None
        )
        if left is None:
            raise
        run_attestation.registry.release(left, "its controller was killed: the same saved TPM is up again")
        record.of(rig.subject.name).add(GuestReleased(name=left))
        done = enrolment.enrol(attester, run_attestation.registry, request, record.clock)
    record.of(rig.subject.name).add(GuestEnrolled(name=name, phases_ns=dict(done.phases)))
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
        record.add(GuestKept(name=name, reason=error.summary))
