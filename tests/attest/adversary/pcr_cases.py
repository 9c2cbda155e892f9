"""PCR values that were not signed, selections that were not asked for, banks that are empty."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial

from harness.attest.played.software_tpm import NONCE, digest_of
from harness.attest.reasons import Reason
from harness.attest.reference.policy import ReferenceValues
from harness.attest.reference.values import merge
from harness.attest.tpm.algorithms import Alg
from harness.attest.tpm.structures import Selection
from tests.attest.adversary.case import Case, grouped
from tests.attest.adversary.stage import PCRS, Asked, Stage, digest, ignoring


def _values(stage: Stage, change: Callable[[dict[int, bytes]], dict[int, bytes]]) -> Asked:
    """Other values beside the honest quote."""
    return stage.honest().sent(pcrs=change(dict(stage.pcrs)))


def _swapped(pcrs: dict[int, bytes]) -> dict[int, bytes]:
    return {**pcrs, 0: pcrs[7], 7: pcrs[0]}


def _shifted(pcrs: dict[int, bytes]) -> dict[int, bytes]:
    """The same bytes in all, cut elsewhere."""
    return {**pcrs, 0: pcrs[0] + pcrs[1][:1], 1: pcrs[1][1:]}


def _selected(
    stage: Stage, selections: Sequence[Selection], pcrs: Sequence[int] | None = None, **sent: object
) -> Asked:
    """A quote of other selections over the values of `pcrs`, which are sent beside it."""
    values = {pcr: stage.pcrs.get(pcr, bytes(32)) for pcr in (PCRS if pcrs is None else pcrs)}
    scene = stage.quoting(selections=selections, pcr_digest=digest_of(values))
    return scene.sent(pcrs=values, **sent)


def _one(*pcrs: int, alg: int = Alg.SHA256) -> tuple[Selection, ...]:
    return (Selection(hash_alg=alg, pcrs=pcrs),)


def _relabelled(stage: Stage) -> Asked:
    """The values of PCRs 0 to 10, signed as those of PCRs 1 to 11."""
    moved = tuple(pcr + 1 for pcr in PCRS)
    return stage.quoting(selections=_one(*moved), pcr_digest=digest_of(stage.pcrs))


def _other_bank(stage: Stage) -> Asked:
    """A quote of the other bank, whose values are sent as those of this one."""
    values = {pcr: hashlib.sha384(b"%d" % pcr).digest() for pcr in PCRS}
    return stage.quoting(selections=_one(*PCRS, alg=Alg.SHA384), pcr_digest=digest_of(values)).sent(
        pcrs=values
    )


def _weak_bank(stage: Stage) -> Asked:
    """A quote of the SHA-1 bank."""
    values = {pcr: hashlib.sha1(b"%d" % pcr).digest() for pcr in PCRS}
    return stage.quoting(selections=_one(*PCRS, alg=Alg.SHA1), pcr_digest=digest_of(values)).sent(pcrs=values)


def _digest_by(stage: Stage, hash_name: str) -> Asked:
    joined = b"".join(stage.pcrs[pcr] for pcr in PCRS)
    return stage.quoting(pcr_digest=hashlib.new(hash_name, joined).digest())


def _falling(stage: Stage) -> Asked:
    joined = b"".join(stage.pcrs[pcr] for pcr in sorted(PCRS, reverse=True))
    return stage.quoting(pcr_digest=hashlib.sha256(joined).digest())


def _few(stage: Stage) -> Asked:
    """Less was asked for than the policy wants, and less was signed."""
    few = PCRS[:-1]
    return _selected(stage, _one(*few), few).challenged(pcrs=few)


def _another_platform(stage: Stage) -> Asked:
    """A true quote of a platform with another PCR 7, logs included."""
    values = {**stage.pcrs, 7: digest("another")}
    return stage.quoting(NONCE, values).sent(pcrs=values)


def _pinned_only(stage: Stage) -> Asked:
    """The same where the event log is not looked at, so that only the whole value can tell."""
    return _another_platform(stage).under(require=ignoring(event_log="ignore"))


def _updated(stage: Stage, *, firmware: bool, loader: bool) -> Asked:
    """A platform of which two states were recorded: PCRs 0 and 4 both old, or both new."""
    old, new = ({0: stage.pcrs[0], 4: stage.pcrs[4]}, {0: digest("firmware"), 4: digest("loader")})
    known = merge(_recorded(stage, old), _recorded(stage, new))
    pcrs = {**stage.pcrs, 0: (new if firmware else old)[0], 4: (new if loader else old)[4]}
    evidence = stage.tpm.evidence(NONCE, pcrs, clock=stage.clock(), ima=stage.honest().evidence.ima)
    fields = {"pcrs": known.pcrs, "pcr_combinations": known.pcr_combinations}
    scene = replace(stage.honest(), evidence=evidence)
    return scene.against(**fields).under(require=ignoring(event_log="ignore", ima="ignore"))


def _recorded(stage: Stage, pcrs: Mapping[int, bytes]) -> ReferenceValues:
    whole = {**{index: stage.pcrs[index] for index in range(8)}, **pcrs}
    return ReferenceValues(
        version=1, pcrs={"sha256": {index: (value.hex(),) for index, value in whole.items()}}
    )


CASES: tuple[Case, ...] = grouped(
    "pcrs",
    *(
        (
            f"pcrs-{'new' if firmware else 'old'}-firmware-{'new' if loader else 'old'}-loader",
            Reason.ACCEPTED if firmware == loader else Reason.PCR_VALUE,
            "PCR values of two recorded states" + (", of one" if firmware == loader else ", mixed"),
            partial(_updated, firmware=firmware, loader=loader),
        )
        for firmware in (False, True)
        for loader in (False, True)
    ),
    (
        "asked-in-any-order",
        Reason.ACCEPTED,
        "PCRs that were asked for in falling order",
        lambda stage: stage.honest().challenged(pcrs=PCRS[::-1]),
    ),
    (
        "value-changed",
        Reason.PCR_DIGEST,
        "A value that differs in its last bit",
        partial(_values, change=lambda pcrs: {**pcrs, 7: pcrs[7][:-1] + bytes([pcrs[7][-1] ^ 1])}),
    ),
    (
        "values-swapped",
        Reason.PCR_DIGEST,
        "Two values in each other's place",
        partial(_values, change=_swapped),
    ),
    (
        "values-shifted",
        Reason.PCR_DIGEST,
        "The signed bytes, cut at another place",
        partial(_values, change=_shifted),
    ),
    (
        "value-empty",
        Reason.PCR_DIGEST,
        "A value of no bytes",
        partial(_values, change=lambda pcrs: {**pcrs, 10: b""}),
    ),
    (
        "value-outside",
        Reason.PCR_OUTSIDE_SELECTION,
        "A value of a PCR that was not signed",
        partial(_values, change=lambda pcrs: {**pcrs, 14: bytes(32)}),
    ),
    (
        "value-missing",
        Reason.PCR_MISSING,
        "No value of a PCR that was signed",
        partial(_values, change=lambda pcrs: {pcr: value for pcr, value in pcrs.items() if pcr != 7}),
    ),
    ("no-values", Reason.PCR_MISSING, "No values at all", partial(_values, change=lambda pcrs: {})),
    (
        "digest-by-sha1",
        Reason.PCR_DIGEST,
        "A digest of the right values by SHA-1",
        partial(_digest_by, hash_name="sha1"),
    ),
    (
        "digest-by-sha384",
        Reason.PCR_DIGEST,
        "A digest of the right values by another hash than the key's",
        partial(_digest_by, hash_name="sha384"),
    ),
    ("digest-in-falling-order", Reason.PCR_DIGEST, "The values hashed in falling order", _falling),
    (
        "digest-empty",
        Reason.PCR_DIGEST,
        "A quote with an empty digest",
        lambda stage: stage.quoting(pcr_digest=b""),
    ),
    (
        "selection-relabelled",
        Reason.SELECTION_MISMATCH,
        "The right values, signed as those of other PCRs",
        _relabelled,
    ),
    (
        "selection-smaller",
        Reason.SELECTION_MISMATCH,
        "One PCR less than was asked for",
        lambda stage: _selected(stage, _one(*PCRS[:-1]), PCRS[:-1]),
    ),
    (
        "selection-larger",
        Reason.SELECTION_MISMATCH,
        "One PCR more than was asked for",
        lambda stage: _selected(stage, _one(*PCRS, 11), (*PCRS, 11)),
    ),
    ("selection-of-no-use", Reason.SELECTION_MISMATCH, "Asked and signed less than the policy wants", _few),
    (
        "selection-twice",
        Reason.SELECTION_MISMATCH,
        "The same selection twice",
        lambda stage: _selected(stage, _one(*PCRS) * 2),
    ),
    (
        "selection-in-two-banks",
        Reason.SELECTION_MISMATCH,
        "The asked selection, and another bank behind it",
        lambda stage: _selected(stage, (*_one(*PCRS), *_one(0, alg=Alg.SHA1))),
    ),
    (
        "bank-empty",
        Reason.SELECTION_EMPTY,
        "A bank that is not allocated: the signature is valid, the selection empty",
        lambda stage: _selected(stage, _one(), ()),
    ),
    (
        "bank-empty-with-values",
        Reason.SELECTION_EMPTY,
        "The same, with the values that were wanted beside it",
        lambda stage: _selected(stage, _one(), ()).sent(pcrs=dict(stage.pcrs)),
    ),
    (
        "no-selection",
        Reason.SELECTION_EMPTY,
        "A quote of no bank at all",
        lambda stage: _selected(stage, (), ()),
    ),
    ("bank-other", Reason.BANK_MISMATCH, "A quote of another bank", _other_bank),
    ("bank-sha1", Reason.BANK_MISMATCH, "A quote of the SHA-1 bank", _weak_bank),
    (
        "bank-mislabelled",
        Reason.BANK_MISMATCH,
        "Values that are said to be of another bank than was signed",
        lambda stage: stage.honest().sent(bank="sha384"),
    ),
    (
        "bank-not-the-policys",
        Reason.BANK_MISMATCH,
        "A challenge of another bank than the policy's",
        lambda stage: stage.honest().under(bank="sha384"),
    ),
    (
        "platform-changed",
        Reason.EVENT_LOG_REPLAY,
        "A true quote of a platform whose log hides a change",
        _another_platform,
    ),
    ("platform-changed-unlogged", Reason.PCR_VALUE, "The same where no log is looked at", _pinned_only),
)
