"""What attestation says of the guest's identity, of the attesters, and of all attestations together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from harness.evidence.events.value import Number, OfGuest, Value


class _Attestation(Value):
    OBSERVER: ClassVar[str] = "attestation"


class _OfGuest(OfGuest):
    OBSERVER: ClassVar[str] = "attestation"


class GuestEnrolled(_OfGuest):
    """The guest has an identity for this attempt; what each phase of enrolling it took, in ns."""

    KIND: ClassVar[str] = "guest.enrolled"
    name: str
    phases_ns: Mapping[str, int]


class GuestReleased(_OfGuest):
    """The identity of a killed attempt's guest, whose saved TPM came back, was ended."""

    KIND: ClassVar[str] = "guest.released"
    name: str


class GuestKept(_OfGuest):
    """The guest's identity could not be ended; the next attempt ends it before it starts."""

    KIND: ClassVar[str] = "guest.kept"
    name: str
    reason: str


class AttesterRestarted(_OfGuest):
    """The attester's program had ended and was started again for the next question."""

    KIND: ClassVar[str] = "attester.restarted"
    machine: str
    why: str


class AttestationStarted(_OfGuest):
    """One machine is attested from here on, and what is known of its TPM."""

    KIND: ClassVar[str] = "attestation.started"
    subject: str
    software: bool | None
    manufacturer: str | None
    firmware: str | None
    keys: Sequence[str]
    interval_s: Number
    policy: str | None
    access: str


class AttestationContradicted(_OfGuest):
    """Two sightings of the guest cannot be of one guest that simply ran on."""

    KIND: ClassVar[str] = "attestation.contradicted"
    reason: str
    why: str
    hosts: Sequence[str]
    epochs: Sequence[int]


class AttestationStopped(_Attestation):
    """How many lines were written, and how many attestations were passed over."""

    KIND: ClassVar[str] = "attestation.stopped"
    rows: int
    missed: int
