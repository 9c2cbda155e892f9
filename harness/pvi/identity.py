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

from harness.attest.evidence import RefusedError
from harness.instant import Instant
from harness.json_types import Json
from harness.pvi import counter
from harness.pvi.counter import Counted, Look
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
        parent: UUID of the VM that it is a clone of, as the log has it; empty where it is no clone.
    """

    entry: int
    issued_ns: int
    serial: str
    digest: str
    uuid: str
    revoked_ns: int | None = None
    parent: str = ""


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

    @property
    def place(self) -> str:
        """As a certificate states it."""
        return f"{self.host} {self.epoch}"


@dataclass(frozen=True, slots=True, kw_only=True)
class LookTold:
    """A look at the VM's vTPM, as the log has it; :func:`looks` checks it.

    Attributes:
        entry: The number of the log's entry of it.
        at_ns: When that was written.
        said: What it says.
    """

    entry: int
    at_ns: int
    said: Mapping[str, Json]


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
        looks: The looks at its vTPM, oldest first.
        parent: UUID of the VM that it is a clone of; empty where it is no clone.
        parents: The parent's certificates from before its own first one; empty where it is no clone.
    """

    name: str
    stages: tuple[Stage, ...]
    stays: tuple[Stay, ...]
    attested: int
    last_attested_ns: int | None
    last_tier: str
    looks: tuple[LookTold, ...] = ()
    parent: str = ""
    parents: tuple[Stage, ...] = ()

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
    every = [*_stages(entries)]
    stages = [stage for holder, stage in every if holder == name]
    parent = stages[0].parent if stages else ""
    return Life(
        name=name,
        stages=tuple(stages),
        stays=tuple(_stays(name, entries)),
        attested=len(results),
        last_attested_ns=None if newest is None else newest.at.realtime_ns,
        last_tier="" if newest is None else _text(newest.body, "tier"),
        looks=tuple(
            LookTold(entry=one.number, at_ns=one.at.realtime_ns, said=one.body)
            for one in entries
            if one.kind == counter.ENTRY and one.subject == name
        ),
        parent=parent,
        parents=tuple(
            one for _, one in every if parent and one.uuid == parent and one.entry < stages[0].entry
        ),
    )


def _stages(entries: Sequence[Told]) -> Iterator[tuple[str, Stage]]:
    """The certificates of all VMs, each with its holder's name."""
    steps = [one for one in entries if one.kind == ENTRY]
    revoked = {
        (one.subject, _text(one.body, "serial")): one.at.realtime_ns
        for one in steps
        if one.body.get("does") == "revoke"
    }
    for one in steps:
        wanted = {"does": "issue", "profile": Profile.VM.value}
        if all(one.body.get(key) == value for key, value in wanted.items()):
            serial = _text(one.body, "serial")
            stage = Stage(
                entry=one.number,
                issued_ns=one.at.realtime_ns,
                serial=serial,
                digest=_text(one.body, "certificate"),
                uuid=_text(one.body, "uuid"),
                revoked_ns=revoked.get((one.subject, serial)),
                parent=_text(one.body, "parent"),
            )
            yield _text(one.body, "holder"), stage


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
    when the log says so, and the next is issued before the last one ends. Its epochs rise. Once a certificate
    has stated where the VM is, each later host has one that does. The counts of its vTPM rise by one a look.
    A clone has a parent that the factory knew before, and another vTPM.

    Args:
        found: The life.
        certificates: SHA-256 of the DER, in hexadecimal, to certificate.
        trusted: The factory; its lists are not looked at, as the log has all that was revoked.
    """
    known = {digest: one for digest, one in certificates.items() if _digest(one) == digest}
    said = [*_of_certificates(found.stages, known, trusted), *_of_epochs(found.stays)]
    said += [*_of_places(found, known), *_of_clone(found, known)]
    seen, unseen = looks(found, known)
    said += unseen
    counts = [Counted(entry=entry, count=look.count) for entry, look in seen]
    said += [Doubt(entry=entry, says=says) for entry, says in counter.doubts(counts)]
    return tuple(sorted(said, key=lambda one: one.entry))


def _of_certificates(
    stages: Sequence[Stage], certificates: Mapping[str, x509.Certificate], trusted: Trust
) -> Iterator[Doubt]:
    last: tuple[Stage, x509.Certificate] | None = None
    for stage in stages:
        own = certificates.get(stage.digest)
        if own is None:
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


def looks(
    found: Life, certificates: Mapping[str, x509.Certificate]
) -> tuple[list[tuple[int, Look]], list[Doubt]]:
    """The looks at a VM's vTPM that its identity key signed, with their entries; what is wrong with others.

    Args:
        found: The life.
        certificates: SHA-256 of the DER, in hexadecimal, to certificate.
    """
    seen: list[tuple[int, Look]] = []
    unseen: list[Doubt] = []
    for told in found.looks:
        stage = next((one for one in reversed(found.stages) if one.entry < told.entry), None)
        own = None if stage is None else certificates.get(stage.digest)
        if stage is None or own is None:
            unseen.append(Doubt(entry=told.entry, says="there is no certificate that the look is signed by"))
            continue
        try:
            seen.append((told.entry, counter.checked(told.said, stage.uuid, own)))
        except RefusedError as refused:
            unseen.append(Doubt(entry=told.entry, says=f"the look does not count: {refused.why}"))
    return seen, unseen


def _of_places(found: Life, certificates: Mapping[str, x509.Certificate]) -> Iterator[Doubt]:
    """Certificates that state another place than the log, and hosts that no certificate states."""
    stated: dict[str, int] = {}
    for stage in found.stages:
        own = certificates.get(stage.digest)
        for place in () if own is None else profiles.stated(own, profiles.PLACE_POLICY):
            stay = next((one for one in reversed(found.stays) if one.entry < stage.entry), None)
            if stay is None or place != stay.place:
                where = "nowhere" if stay is None else stay.place
                yield Doubt(
                    entry=stage.entry, says=f"certificate {stage.serial} says {place}, and the log {where}"
                )
            stated.setdefault(place, stage.entry)
    first = min(stated.values(), default=None)
    for stay, after in pairwise(found.stays):
        named = stay.entry < stated.get(stay.place, 0) < after.entry
        if first is not None and stay.entry > first and not named:
            yield Doubt(entry=stay.entry, says=f"no certificate was issued for the time on {stay.place}")


def _of_clone(found: Life, certificates: Mapping[str, x509.Certificate]) -> Iterator[Doubt]:
    if not found.stages:
        return
    begin = found.stages[0]
    for stage in found.stages:
        own = certificates.get(stage.digest)
        said = () if own is None else profiles.stated(own, profiles.PARENT_POLICY)
        if own is not None and said != ((found.parent,) if found.parent else ()):
            yield Doubt(entry=stage.entry, says=f"certificate {stage.serial} names another parent")
    if found.parent and not found.parents:
        yield Doubt(entry=begin.entry, says="its parent had no identity before")
    mine = certificates.get(begin.digest)
    theirs = [certificates[one.digest] for one in found.parents if one.digest in certificates]
    if mine is not None and any(profiles.modules(one) == profiles.modules(mine) for one in theirs):
        yield Doubt(entry=begin.entry, says="a clone has the vTPM of its parent")


def _digest(certificate: x509.Certificate) -> str:
    return certificate.fingerprint(hashes.SHA256()).hex()


def _of_epochs(stays: Sequence[Stay]) -> Iterator[Doubt]:
    for before, stay in pairwise(stays):
        if stay.epoch <= before.epoch:
            yield Doubt(entry=stay.entry, says=f"epoch {stay.epoch} comes after {before.epoch}")


def signed_at(certificate: x509.Certificate) -> datetime:
    """When the factory signed a certificate: it begins a little earlier."""
    return certificate.not_valid_before_utc + BACKDATED
