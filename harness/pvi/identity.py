"""The life of a virtual machine: its certificates in order, where it was, and what was found of it.

Everything is read from entries of the audit log, each of which the chain vouches for, and from certificates,
each of which the factory signed and the log names by its digest. So a life can be checked without a machine
and without the registry. Pure.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Protocol

from cryptography import x509
from cryptography.hazmat.primitives import hashes

from harness.instant import Instant
from harness.json_types import Json
from harness.pvi.factory import profiles, trust
from harness.pvi.factory.authority import BACKDATED, moment
from harness.pvi.factory.ledger import ENTRY
from harness.pvi.factory.profiles import Profile
from harness.pvi.factory.trust import CertificateRefusedError, Trust

DELAY = timedelta(minutes=1)
"""How long after a certificate was signed its entry may be written; a step that was finished after a crash
may be later, and is named."""


class Told(Protocol):
    """An entry of the audit log."""

    @property
    def number(self) -> int:
        """Its place in the log."""
        ...

    @property
    def at(self) -> Instant:
        """When it was written."""
        ...

    @property
    def kind(self) -> str:
        """What it is of."""
        ...

    @property
    def subject(self) -> str:
        """Whom it is about."""
        ...

    @property
    def body(self) -> Mapping[str, Json]:
        """What it says."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """A certificate of the identity.

    Attributes:
        entry: The number of the log's entry of it.
        issued_ns: When that was written, wall clock.
        serial: Its serial number in hexadecimal.
        digest: SHA-256 of its DER, in hexadecimal.
        uuid: The VM's, as the log has it.
        revoked_ns: When it was revoked; None where it was not.
    """

    entry: int
    issued_ns: int
    serial: str
    digest: str
    uuid: str
    revoked_ns: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Stay:
    """The VM is on a host from then on.

    Attributes:
        entry: The number of the log's entry of it.
        since_ns: When that was written.
        host: The host.
        epoch: Counts its stays.
    """

    entry: int
    since_ns: int
    host: str
    epoch: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Life:
    """The life of one VM, as the log tells it.

    Attributes:
        name: The VM's name.
        stages: Its certificates, oldest first.
        stays: Where it was, oldest first.
        attested: How many attestation results of it there are.
        last_attested_ns: When the newest was written; None without one.
        last_tier: Its tier; empty without one.
    """

    name: str
    stages: tuple[Stage, ...]
    stays: tuple[Stay, ...]
    attested: int
    last_attested_ns: int | None
    last_tier: str

    @property
    def created_ns(self) -> int | None:
        """When its first certificate was issued; None where there is none."""
        return self.stages[0].issued_ns if self.stages else None

    @property
    def migrations(self) -> int:
        """How often it went to another host."""
        return sum(before.host != after.host for before, after in pairwise(self.stays))


@dataclass(frozen=True, slots=True, kw_only=True)
class Doubt:
    """Something in a life that is not as it has to be.

    Attributes:
        entry: The log's entry that it is about.
        says: What is wrong.
    """

    entry: int
    says: str


def life(name: str, entries: Sequence[Told]) -> Life:
    """The life of the VM `name` in a log, whose entries rise."""
    results = [one for one in entries if one.kind == "result" and one.subject == name]
    newest = results[-1] if results else None
    return Life(
        name=name,
        stages=tuple(_stages(name, entries)),
        stays=tuple(_stays(name, entries)),
        attested=len(results),
        last_attested_ns=None if newest is None else newest.at.realtime_ns,
        last_tier="" if newest is None else _text(newest.body, "tier"),
    )


def _stages(name: str, entries: Sequence[Told]) -> Iterator[Stage]:
    steps = [one for one in entries if one.kind == ENTRY]
    revoked = {
        (one.subject, _text(one.body, "serial")): one.at.realtime_ns
        for one in steps
        if one.body.get("does") == "revoke"
    }
    for one in steps:
        wanted = {"does": "issue", "profile": Profile.VM.value, "holder": name}
        if all(one.body.get(key) == value for key, value in wanted.items()):
            serial = _text(one.body, "serial")
            yield Stage(
                entry=one.number,
                issued_ns=one.at.realtime_ns,
                serial=serial,
                digest=_text(one.body, "certificate"),
                uuid=_text(one.body, "uuid"),
                revoked_ns=revoked.get((one.subject, serial)),
            )


def _stays(name: str, entries: Sequence[Told]) -> Iterator[Stay]:
    for one in entries:
        host, epoch = one.body.get("host"), one.body.get("epoch")
        if one.kind == "placement" and one.subject == name and isinstance(epoch, int):
            yield Stay(entry=one.number, since_ns=one.at.realtime_ns, host=str(host), epoch=epoch)


def _text(body: Mapping[str, Json], key: str) -> str:
    found = body.get(key)
    return found if isinstance(found, str) else ""


def doubts(found: Life, certificates: Mapping[str, x509.Certificate], trusted: Trust) -> tuple[Doubt, ...]:
    """What in a life is not as it has to be, in the order of the log.

    A VM has one UUID and one vTPM from its first certificate to its last, each of which the factory signed
    when the log says so, and the next is issued before the last one ends. Its epochs rise.

    Args:
        found: The life.
        certificates: SHA-256 of the DER, in hexadecimal, to certificate.
        trusted: The factory; its lists are not looked at, as the log has all that was revoked.
    """
    said = [*_of_certificates(found.stages, certificates, trusted), *_of_epochs(found.stays)]
    return tuple(sorted(said, key=lambda one: one.entry))


def _of_certificates(
    stages: Sequence[Stage], certificates: Mapping[str, x509.Certificate], trusted: Trust
) -> Iterator[Doubt]:
    last: tuple[Stage, x509.Certificate] | None = None
    for stage in stages:
        own = certificates.get(stage.digest)
        if own is None or own.fingerprint(hashes.SHA256()).hex() != stage.digest:
            yield Doubt(entry=stage.entry, says=f"certificate {stage.serial} is missing or another")
            continue
        yield from _of_one(stage, own, trusted)
        if last is not None:
            yield from _of_renewal(*last, stage, own)
        last = stage, own


def _of_one(stage: Stage, own: x509.Certificate, trusted: Trust) -> Iterator[Doubt]:
    issued = moment(stage.issued_ns)
    try:
        trust.check_chain(own, Profile.VM, trusted, now=issued)
    except CertificateRefusedError as refused:
        yield Doubt(entry=stage.entry, says=f"certificate {stage.serial}: {refused.why}")
        return
    if not timedelta(0) <= issued - signed_at(own) <= DELAY:
        yield Doubt(entry=stage.entry, says=f"certificate {stage.serial} was not signed when the log says so")
    if f"urn:uuid:{stage.uuid}" not in profiles.uris(own):
        yield Doubt(entry=stage.entry, says=f"certificate {stage.serial} is of another UUID")


def _of_renewal(before: Stage, old: x509.Certificate, stage: Stage, own: x509.Certificate) -> Iterator[Doubt]:
    if stage.uuid != before.uuid:
        yield Doubt(entry=stage.entry, says="the UUID is not that of the certificate before")
    if profiles.modules(own) != profiles.modules(old):
        yield Doubt(entry=stage.entry, says="the vTPM is not that of the certificate before")
    ended = old.not_valid_after_utc
    if before.revoked_ns is not None:
        ended = min(ended, moment(before.revoked_ns))
    if moment(stage.issued_ns) > ended:
        yield Doubt(entry=stage.entry, says="the certificate before had ended, and the VM had no identity")


def _of_epochs(stays: Sequence[Stay]) -> Iterator[Doubt]:
    for before, stay in pairwise(stays):
        if stay.epoch <= before.epoch:
            yield Doubt(entry=stay.entry, says=f"epoch {stay.epoch} comes after {before.epoch}")


def signed_at(certificate: x509.Certificate) -> datetime:
    """When the factory signed a certificate: it begins a little earlier."""
    return certificate.not_valid_before_utc + BACKDATED
