"""IMA lists of any template, into any PCR and as text: what hides nothing, and what counts for nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from hashlib import sha256
from typing import TypeAlias, cast

from harness.attest.evidence import ImaExcerpt
from harness.attest.played import logs
from harness.attest.played.logs import Line
from harness.attest.reasons import Reason
from harness.attest.reference.policy import ImaReference, ima_basis
from harness.attest.verify.memory import Memory
from tests.attest.adversary.case import Case, grouped, warned
from tests.attest.adversary.stage import FILES_BEFORE, PCRS, Asked, Stage
from tests.attest.ima_entries import Entry, digest, hexed, name, number, value


def _as_text(stage: Stage, change: Callable[[bytes], bytes] = bytes) -> Asked:
    """The honest list in the ASCII form, or a changed one."""
    data = change(logs.ima_list(stage.lines, "ascii"))
    sent = ImaExcerpt(first=0, total=len(stage.lines), form="ascii", data=data)
    return stage.honest().sent(ima=sent)


def _with(stage: Stage, *more: Entry, known: Mapping[str, bytes] | None = None, **policy: object) -> Asked:
    """A platform that measured more, of any template and into any PCR; PCRs 11 and 12 are signed with 10.

    `known` are paths and contents that are further reference values.
    """
    signed = {pcr: value(more, pcr) for pcr in (11, 12) if any(one.pcr == pcr for one in more)}
    return _signing(stage, more, signed, known or {}, policy)


def _signing(
    stage: Stage,
    more: Sequence[Entry],
    signed: Mapping[int, bytes],
    known: Mapping[str, bytes],
    policy: Mapping[str, object],
) -> Asked:
    """Likewise, with any values of the PCRs other than 10."""
    scene = stage.honest(lines=cast("list[Line]", [*stage.lines, *more]))
    pcrs = (*PCRS, *signed)
    tenth = [*stage.lines, *(one for one in more if one.pcr == 10)]
    evidence = stage.tpm.evidence(
        scene.question.challenge.nonce,
        {**scene.evidence.pcrs, 10: logs.pcr10(cast("list[Line]", tenth)), **signed},
        clock=stage.clock(),
        event_log=scene.evidence.event_log,
        ima=scene.evidence.ima,
    )
    digests = {path: (f"sha256:{sha256(content).hexdigest()}",) for path, content in known.items()}
    files = ImaReference(files={**stage.reference.ima.files, **digests})
    asked = replace(scene, evidence=evidence).challenged(pcrs=pcrs).against(ima=files)
    return asked.asked(memory=None).under(pcrs=pcrs, **policy)


FILE = Entry(template="ima-ng", fields=(digest(b"own"), name(b"/usr/bin/own")))
ELEVENTH = replace(FILE, pcr=11)
TWELFTH = replace(FILE, pcr=12)
_OWN = {"/usr/bin/own": b"own"}
_OTHER = {"/usr/bin/own": b"another"}
_NOTHING = Entry(template="my-own", fields=((b"anything", b""),))


def _unsigned(stage: Stage) -> Asked:
    return stage.honest().sent(ima=stage.ima(cast("list[Line]", [*stage.lines, ELEVENTH])))


def _lost(stage: Stage) -> Asked:
    """A tail with an entry of a PCR that an earlier stretch of this boot did not lead to."""
    assert stage.earlier.ima is not None
    values = {**stage.earlier.ima.values, "sha256:11": b""}
    memory = replace(stage.earlier, ima=replace(stage.earlier.ima, values=values))
    return _tail_with(stage, memory)


def _tail_with(stage: Stage, memory: Memory) -> Asked:
    lines = cast("list[Line]", [*stage.lines, ELEVENTH])
    scene = _signing(stage, [ELEVENTH], {11: value([ELEVENTH], 11)}, _OTHER, {})
    files = ima_basis(scene.question.policy, scene.question.reference)
    sent = stage.ima(lines[FILES_BEFORE:], first=FILES_BEFORE)
    return scene.sent(ima=sent).challenged(ima_from=FILES_BEFORE).asked(memory=replace(memory, basis=files))


_V2 = Entry(template="ima-ngv2", fields=(digest(b"own", kind="ima:"), name(b"/usr/bin/own")))
_VERITY = Entry(template="ima-ngv2", fields=(digest(b"own", kind="verity:"), name(b"/usr/bin/own")))
_OLD = Entry(template="ima", fields=(hexed(logs.hashed("sha1", b"own")), (b"/usr/bin/own", b"/usr/bin/own")))
_OLD_MD5 = replace(_OLD, fields=(hexed(logs.hashed("md5", b"own")), _OLD.fields[1]))
_CUSTOM = Entry(template="d-ng|n-ng|imode", fields=(*FILE.fields, number(0o755, 2)))
_TURNED = Entry(template="n-ng|d-ng", fields=FILE.fields[::-1])
_RAW = Entry(template="d|n-ng", fields=(_OLD.fields[0], FILE.fields[1]))


class _Relabelled(Entry):
    """An entry of the oldest template, sent under a name that has a size before its data."""

    @property
    def data(self) -> bytes:
        return _OLD.data


_OLD_RELABELLED = _Relabelled(template="my-own", fields=())


def _with_more(
    stage: Stage, *, entries: Sequence[Entry], known: Mapping[str, bytes], policy: Mapping[str, object]
) -> Asked:
    return _with(stage, *entries, known=known, **policy)


def _swap(old: bytes, new: bytes, data: bytes) -> bytes:
    """Another text in the list's last line."""
    head, _, last = data.rstrip(b"\n").rpartition(b"\n")
    return head + b"\n" + (last + b"\n").replace(old, new, 1)


_More: TypeAlias = tuple[str, str, str, Sequence[Entry], Mapping[str, bytes], Mapping[str, object]]
_MORE: tuple[_More, ...] = (
    ("template-known", Reason.ACCEPTED, "A known file in a newer template", [_V2], _OWN, {}),
    ("template-verity", Reason.IMA_FILE_CHANGED, "Its fs-verity digest", [_VERITY], _OWN, {}),
    ("template-oldest", Reason.IMA_FILE_CHANGED, "In the oldest template", [_OLD], _OTHER, {}),
    ("template-oldest-md5", Reason.IMA_FILE_CHANGED, "Likewise, with MD5", [_OLD_MD5], _OTHER, {}),
    ("template-custom", Reason.ACCEPTED, "In a custom one", [_CUSTOM], _OWN, {}),
    ("template-custom-first", Reason.ACCEPTED, "Its name first", [_TURNED], _OWN, {}),
    ("template-custom-raw", Reason.IMA_FILE_CHANGED, "Without its hash", [_RAW], _OTHER, {}),
    ("template-unknown", Reason.IMA_FILE_UNKNOWN, "Unknown fields", [_NOTHING], {}, {}),
    (
        "template-unknown-warned",
        warned(Reason.IMA_FILE_UNKNOWN),
        "Unknown fields where the policy warns",
        [_NOTHING],
        {},
        {"ima_unknown_file": "warn"},
    ),
    *(
        (
            f"relabelled-{at}",
            Reason.IMA_FILE_CHANGED,
            f"A changed file as an entry of {label}, where unknown files are ignored",
            [replace(FILE, template=label)],
            _OTHER,
            {"ima_unknown_file": "ignore"},
        )
        for at, label in enumerate(("my-own", "sig|n-ng", "d|n-ng"))
    ),
    (
        "relabelled-oldest",
        Reason.IMA_FILE_CHANGED,
        "A changed file of the oldest template under another name",
        [_OLD_RELABELLED],
        _OTHER,
        {"ima_unknown_file": "ignore"},
    ),
    ("pcr-11", Reason.ACCEPTED, "A known file in another PCR", [ELEVENTH], _OWN, {}),
    ("pcr-11-unknown", Reason.IMA_FILE_UNKNOWN, "An unknown one", [ELEVENTH], {}, {}),
    ("pcr-11-before", Reason.IMA_FILE_CHANGED, "A changed one", [ELEVENTH, FILE], _OTHER, {}),
    (
        "pcr-11-and-12",
        Reason.IMA_FILE_CHANGED,
        "A changed one before one in a third PCR",
        [replace(ELEVENTH, fields=(digest(b"own"), name(b"/usr/bin/other"))), TWELFTH],
        {**_OTHER, "/usr/bin/other": b"own"},
        {},
    ),
)


CASES: tuple[Case, ...] = grouped(
    "logs",
    *(
        (f"ima-{name_}", reason, title, partial(_with_more, entries=entries, known=known, policy=policy))
        for name_, reason, title, entries, known, policy in _MORE
    ),
    (
        "ima-pcr-11-not-led-to",
        Reason.ACCEPTED,
        "A changed file in another PCR, which the list does not lead to: nothing vouches for it",
        lambda stage: _signing(stage, [ELEVENTH], {11: bytes(31) + b"1"}, _OTHER, {}),
    ),
    (
        "ima-pcr-11-not-signed",
        Reason.ACCEPTED,
        "The same, where that PCR is not signed",
        _unsigned,
    ),
    (
        "ima-pcr-11-tail",
        Reason.IMA_FILE_CHANGED,
        "A changed file of another PCR in the rest of a list",
        lambda stage: _tail_with(stage, stage.earlier),
    ),
    (
        "ima-pcr-11-lost",
        Reason.ACCEPTED,
        "The same, where an earlier stretch did not lead to that PCR: nothing vouches for it any more",
        _lost,
    ),
    ("ima-as-text", Reason.ACCEPTED, "The list as text", _as_text),
    *(
        (f"ima-text-{name_}", Reason.IMA_MALFORMED, title, partial(_as_text, change=partial(_swap, *pair)))
        for name_, title, pair in (
            ("of-no-pcr", "A text that begins with no PCR", (b"10 ", b"xx ")),
            ("cut", "A line without what was measured", (b" ima-sig ", b"\n")),
            ("of-unknown-template", "A text of unknown fields", (b" ima-sig ", b" my-own ")),
            ("of-fewer-fields", "A text of too few fields", (b" ima-sig ", b" d-ng|n-ng|sig|buf|iuid|igid ")),
            ("not-hexadecimal", "A digest that is not hexadecimal", (b" sha256:", b" sha256:x")),
            ("upper-case", "A digest in upper case", (b"10 ", b"10 AB")),
            ("other-digest", "A template digest of another length", (b"10 ", b"10 ab")),
            ("no-number", "An owner that is not a number", (b" ima-sig ", b" iuid|n-ng|sig ")),
            *(
                (f"number-{at}", "A mode that is none", (b" ima-sig ", b" imode|d-ng|n-ng|sig %s " % mode))
                for at, mode in enumerate((b"01", b"65536", b"9" * 11, b"9" * 12, b"-1"))
            ),
            ("unended", "A text whose last line does not end", (b"\n", b"\n10")),
        )
    ),
)
