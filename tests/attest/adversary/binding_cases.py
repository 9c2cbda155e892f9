"""Guests that are not where they are said to be: quotes of guest and host that do not belong together."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

from harness.attest.evidence import RefusedError
from harness.attest.guest.binding import Linkage, Proved, host_nonce, verify_linked
from harness.attest.played.software_tpm import NONCE
from harness.attest.reasons import Reason, Tier
from tests.attest.adversary.case import Case, grouped, warned
from tests.attest.adversary.stage import WARNING, Asked, Stage, digest, ignoring

UUID = "3f1c9a52-7a1e-4a5e-9b42-0d6b1f6f6c01"
GUEST, HOST, ELSEWHERE = "guest-1", "host-a", "host-b"
EPOCH = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """A guest's and a host's quote, and what they should prove together."""

    guest: Asked
    host: Asked
    linkage: Linkage
    swapped: Asked | None = None
    keyless: bool = False

    def judge(self) -> str:
        """The reason of both verified and linked; `swapped` is handed on as the guest's evidence instead.

        `keyless`: the guest's key is not handed on.
        """
        guest = Proved(
            evidence=(self.swapped or self.guest).evidence,
            verification=self.guest.verify(),
            key=None if self.keyless else self.guest.question.key,
        )
        host = Proved(
            evidence=self.host.evidence, verification=self.host.verify(), key=self.host.question.key
        )
        linked = verify_linked(guest, host, self.linkage)
        assert linked.accepted == (linked.tier in {Tier.AFFIRMING, Tier.WARNING})
        assert linked.accepted == (linked.expires_ns is not None)
        return f"{WARNING if linked.tier is Tier.WARNING else ''}{linked.reason.value}"


def _linkage(stage: Stage, **fields: object) -> Linkage:
    honest = Linkage(
        nonce=NONCE, vak_name=stage.guest.name, guest=GUEST, vm_uuid=UUID, host_id=HOST, epoch=EPOCH
    )
    return replace(honest, **fields)  # type: ignore[arg-type]


def _guest(stage: Stage, nonce: bytes = NONCE) -> Asked:
    return stage.honest(tpm=stage.guest, name=GUEST, nonce=nonce)


def _vouched(stage: Stage, guest: Asked, linkage: Linkage) -> bytes:
    """What the host quotes over for this guest and linkage."""
    return host_nonce(
        linkage.nonce,
        guest.evidence.attest,
        linkage.vak_name,
        linkage.vm_uuid,
        linkage.host_id,
        linkage.epoch,
    )


def _pair(stage: Stage, **quoted: object) -> Pair:
    """Two honest quotes; the host's is over a linkage with other fields `quoted` where there are any."""
    guest = _guest(stage)
    host = stage.honest(nonce=_vouched(stage, guest, _linkage(stage, **quoted)))
    return Pair(guest=guest, host=host, linkage=_linkage(stage))


def _other_guest(stage: Stage) -> Pair:
    """The host vouched for another quote of the guest."""
    pair = _pair(stage)
    later = stage.honest(tpm=stage.guest, name=GUEST, clock=stage.clock(later_ms=2000))
    return replace(pair, guest=later)


def _spliced(stage: Stage) -> Pair:
    """The host's quote for one guest, passed on for another one, which the challenge to the host tells."""
    pair = _other_guest(stage)
    nonce = _vouched(stage, pair.guest, pair.linkage)
    return replace(pair, host=pair.host.challenged(nonce=nonce))


def _relayed(stage: Stage) -> Pair:
    """Another host's quote over the right nonce, verified as that host's."""
    guest = _guest(stage)
    nonce = _vouched(stage, guest, _linkage(stage))
    return Pair(
        guest=guest,
        host=stage.honest(tpm=stage.other, name=ELSEWHERE, nonce=nonce),
        linkage=_linkage(stage),
    )


def _relayed_as_host(stage: Stage) -> Pair:
    """The same, verified with the expected host's key."""
    pair = _relayed(stage)
    return replace(pair, host=pair.host.asked(key=stage.enrolled()))


def _relabelled_host(stage: Stage) -> Pair:
    """The same, where the registry's key was handed over as that of the expected host."""
    pair = _relayed(stage)
    return replace(pair, linkage=_linkage(stage, host_id=ELSEWHERE))


def _one_key(stage: Stage) -> Pair:
    """The host plays the guest with its own key."""
    guest = stage.honest(name=GUEST)
    linkage = _linkage(stage, vak_name=stage.tpm.name)
    return Pair(guest=guest, host=stage.honest(nonce=_vouched(stage, guest, linkage)), linkage=linkage)


def _other_vak(stage: Stage) -> Pair:
    """Another key than the guest's own, enrolled under its name; the host vouches for it as if it were."""
    guest = stage.honest(tpm=stage.other, name=GUEST)
    host = stage.honest(nonce=_vouched(stage, guest, _linkage(stage)))
    return Pair(guest=guest, host=host, linkage=_linkage(stage))


def _other_nonce(stage: Stage) -> Pair:
    """A guest's quote over a nonce of an earlier round, vouched for by the host in this one."""
    guest = _guest(stage, nonce=digest("earlier"))
    host = stage.honest(nonce=_vouched(stage, guest, _linkage(stage)))
    return Pair(guest=guest, host=host, linkage=_linkage(stage))


def _swapped_evidence(stage: Stage) -> Pair:
    """The guest's verified evidence was exchanged for another before it was linked."""
    pair = _pair(stage)
    other = stage.honest(tpm=stage.guest, name=GUEST, clock=stage.clock(later_ms=2000))
    return replace(pair, swapped=other)


def _swapped_and_vouched(stage: Stage) -> Pair:
    """The same, and the host vouched for the other one, which was not verified."""
    pair = _swapped_evidence(stage)
    assert pair.swapped is not None
    return replace(pair, host=stage.honest(nonce=_vouched(stage, pair.swapped, pair.linkage)))


def _degraded_host(stage: Stage) -> Pair:
    pair = _pair(stage)
    attest, signature = stage.tpm.quote(
        pair.host.question.challenge.nonce, {**stage.pcrs, 7: digest("evil")}, clock=stage.clock()
    )
    pcrs = {**stage.pcrs, 7: digest("evil")}
    host = pair.host.sent(attest=attest, signature=signature, pcrs=pcrs, event_log=None)
    return replace(pair, host=host.under(require=ignoring(event_log="ignore")))


def _refused_guest(stage: Stage) -> Pair:
    pair = _pair(stage)
    return replace(pair, guest=pair.guest.challenged(used=True))


def _software_guest(stage: Stage) -> Pair:
    pair = _pair(stage)
    return replace(pair, guest=pair.guest.asked(software_tpm=True).under(software_tpm="warn"))


def _renamed(stage: Stage) -> Pair:
    pair = _pair(stage)
    return replace(pair, guest=pair.guest.enrolled(attester="guest-2"))


def _unnamed(stage: Stage) -> Pair:
    pair = _pair(stage)
    return replace(pair, guest=pair.guest.enrolled(attester=""), linkage=_linkage(stage, guest=""))


BINDING_CASES = grouped(
    "guest",
    ("bound", Reason.ACCEPTED, "A guest on its host", _pair),
    (
        "bound-software-tpm",
        warned(Reason.ACCEPTED),
        "The same, where the policy warns of a TPM in software: no better than its worse half",
        _software_guest,
    ),
    (
        "uuid-spelt-otherwise",
        Reason.ACCEPTED,
        "The same UUID in capitals",
        partial(_pair, vm_uuid=UUID.upper()),
    ),
    ("spliced", Reason.NONCE_MISMATCH, "The host's quote for another quote of the guest", _spliced),
    ("spliced-after", Reason.BINDING, "The same, where each quote was verified for itself", _other_guest),
    ("relayed", Reason.BINDING, "Another host's quote for the guest", _relayed),
    ("relayed-as-host", Reason.SIGNATURE_INVALID, "The same under the expected host's key", _relayed_as_host),
    ("relayed-relabelled", Reason.BINDING, "The same under the other host's name", _relabelled_host),
    (
        "bound-in-older-epoch",
        Reason.BINDING,
        "The host vouched in the epoch before",
        partial(_pair, epoch=EPOCH - 1),
    ),
    (
        "bound-in-newer-epoch",
        Reason.BINDING,
        "The host vouched in the epoch after",
        partial(_pair, epoch=EPOCH + 1),
    ),
    (
        "bound-as-other-host",
        Reason.BINDING,
        "The host vouched under another name",
        partial(_pair, host_id=ELSEWHERE),
    ),
    (
        "bound-as-other-vm",
        Reason.BINDING,
        "The host vouched for another VM",
        partial(_pair, vm_uuid="00000000-0000-0000-0000-000000000001"),
    ),
    (
        "bound-over-other-nonce",
        Reason.BINDING,
        "The host vouched in another round",
        partial(_pair, nonce=digest("x")),
    ),
    (
        "bound-to-other-key",
        Reason.BINDING,
        "The host vouched for another key",
        partial(_pair, vak_name=bytes(34)),
    ),
    ("guest-by-host-key", Reason.BINDING, "The host plays the guest with its own key", _one_key),
    ("guest-by-other-key", Reason.BINDING, "A guest with another key than its own", _other_vak),
    ("guest-over-other-nonce", Reason.BINDING, "A guest's quote of an earlier round", _other_nonce),
    ("evidence-exchanged", Reason.BINDING, "Other evidence than was verified", _swapped_evidence),
    (
        "evidence-exchanged-vouched",
        Reason.BINDING,
        "The same, with the host's word for it",
        _swapped_and_vouched,
    ),
    (
        "guest-key-withheld",
        Reason.BINDING,
        "A guest's result without the key it was verified by",
        lambda stage: replace(_pair(stage), keyless=True),
    ),
    (
        "guest-of-other-name",
        Reason.BINDING,
        "A guest's quote that was verified as another's",
        _renamed,
    ),
    ("host-degraded", Reason.PCR_VALUE, "A good guest on a host that is not", _degraded_host),
    ("guest-refused", Reason.NONCE_REUSED, "A good host with a guest's old quote", _refused_guest),
    (
        "guest-not-enrolled",
        Reason.KEY_UNKNOWN,
        "A guest without an enrolled key",
        lambda stage: replace(_pair(stage), guest=_guest(stage).asked(key=None)),
    ),
    (
        "guest-unnamed",
        Reason.BINDING,
        "A linkage that names no guest",
        _unnamed,
    ),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Asking:
    """Fields that no host may be asked to quote over."""

    nonce: bytes = NONCE
    attest: bytes = b"attest"
    vak_name: bytes = b"name"
    vm_uuid: str = UUID
    host_id: str = HOST
    epoch: int = EPOCH

    def judge(self) -> str:
        try:
            host_nonce(self.nonce, self.attest, self.vak_name, self.vm_uuid, self.host_id, self.epoch)
        except RefusedError as refused:
            return refused.reason.value
        return Reason.ACCEPTED.value


def _asking(**fields: object) -> Callable[[Stage], Asking]:
    return lambda stage: Asking(**fields)  # type: ignore[arg-type]


ASKING_CASES = grouped(
    "guest",
    ("link-of-16-bytes", Reason.ACCEPTED, "A link over the shortest nonce", _asking(nonce=bytes(16))),
    (
        "link-longest-key",
        Reason.ACCEPTED,
        "A link to a name of 65,535 bytes",
        _asking(vak_name=bytes(2**16 - 1)),
    ),
    ("link-short-nonce", Reason.NONCE_SHORT, "A link over a nonce of 15 bytes", _asking(nonce=bytes(15))),
    ("link-no-attest", Reason.BINDING, "A link over no quote", _asking(attest=b"")),
    ("link-no-key", Reason.BINDING, "A link to no key", _asking(vak_name=b"")),
    ("link-long-key", Reason.BINDING, "A link to a name of 64 KiB", _asking(vak_name=bytes(2**16))),
    ("link-no-host", Reason.BINDING, "A link to no host", _asking(host_id="")),
    ("link-odd-host", Reason.BINDING, "A link to a host whose name is no text", _asking(host_id="\udc80")),
    ("link-no-uuid", Reason.BINDING, "A link to what is no UUID", _asking(vm_uuid="guest-1")),
    ("link-epoch-below-0", Reason.BINDING, "A link in epoch -1", _asking(epoch=-1)),
    ("link-epoch-too-large", Reason.BINDING, "A link in an epoch of 9 bytes", _asking(epoch=2**64)),
)


CASES: tuple[Case, ...] = (*BINDING_CASES, *ASKING_CASES)
