"""IMA lists that were edited, cut, rolled back or made huge; and lists that are honestly ahead of a quote."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

from harness.attest.logs.ima import ImaState
from harness.attest.played import logs
from harness.attest.played.logs import Line
from harness.attest.reasons import Reason
from harness.attest.reference.policy import ImaReference
from tests.attest.adversary.case import Case, grouped, warned
from tests.attest.adversary.ima_bytes import GOOD, behind, entry, fields
from tests.attest.adversary.stage import FILES_BEFORE, Asked, Stage

Lines = list[Line]
EVIL = Line(path=b"/tmp/evil", content=b"evil", template="ima-sig")


def _ima(stage: Stage, change: Callable[[Lines], Lines], *, total: int | None = None) -> Asked:
    """Another list with the honest quote."""
    return stage.honest().sent(ima=stage.ima(change(list(stage.lines)), total=total))


def _ran(stage: Stage, *more: Line, **policy: object) -> Asked:
    """A platform that ran more, and whose list says so."""
    scene = stage.honest(lines=[*stage.lines, *more])
    return scene.under(**policy) if policy else scene


def _reread(stage: Stage, lines: Sequence[Line], **clock: object) -> Asked:
    """A quote and a list of `lines`, both consistent, after the longer one that was accepted."""
    return stage.honest(lines=lines, clock=stage.clock(**clock))  # type: ignore[arg-type]


def _rewritten(stage: Stage) -> Asked:
    """A list as long as before and longer, in which a known entry is another one; the quote fits to it."""
    lines = list(stage.lines)
    lines[2] = lines[3]
    return _reread(stage, lines)


def _other_basis(stage: Stage) -> Asked:
    files = {**stage.reference.ima.files, "/usr/bin/new": ("sha256:" + "0" * 64,)}
    return stage.tail().against(ima=ImaReference(files=files))


def _aggregate(stage: Stage) -> Asked:
    lines = [replace(stage.lines[0], content=b"of another boot"), *stage.lines[1:]]
    return stage.honest(lines=lines).asked(memory=None)


def _changed_file(stage: Stage) -> Asked:
    return _ran(stage, replace(stage.lines[3], content=b"changed"))


VIOLATION = Line(path=b"/var/log/busy", template="ima-sig", violation=True)


def _off(stage: Stage) -> Asked:
    return stage.honest(lines=[]).asked(memory=None)


CASES: tuple[Case, ...] = grouped(
    "logs",
    ("ima-tail", Reason.ACCEPTED, "Only the entries that are not known yet", lambda stage: stage.tail()),
    (
        "ima-whole-for-a-tail",
        Reason.ACCEPTED,
        "The whole list where only the rest was asked for",
        lambda stage: stage.honest().challenged(ima_from=FILES_BEFORE),
    ),
    (
        "ima-ahead",
        Reason.ACCEPTED,
        "A list that was read after the quote: its tail is not covered and not judged",
        partial(_ima, change=lambda lines: [*lines, EVIL, EVIL]),
    ),
    (
        "ima-grew-while-read",
        Reason.ACCEPTED,
        "A list that had more entries than were sent",
        partial(_ima, change=lambda lines: lines, total=12),
    ),
    (
        "ima-unknown-warned",
        warned(Reason.IMA_FILE_UNKNOWN),
        "An unknown file where the policy warns",
        lambda stage: _ran(stage, EVIL, ima_unknown_file="warn"),
    ),
    (
        "ima-unknown-ignored",
        Reason.ACCEPTED,
        "An unknown file where the policy ignores it",
        lambda stage: _ran(stage, EVIL, ima_unknown_file="ignore"),
    ),
    (
        "ima-violation-warned",
        warned(Reason.IMA_VIOLATION),
        "A violation where the policy warns",
        lambda stage: _ran(stage, VIOLATION, ima_violation="warn"),
    ),
    (
        "ima-reboot",
        Reason.ACCEPTED,
        "A shorter list after a reboot",
        lambda stage: _reread(stage, stage.lines[:3], resets=1),
    ),
    (
        "ima-boot-after-suspend",
        Reason.ACCEPTED,
        "A shorter list after a boot that the TPM counts as a restart, as one after a suspend",
        lambda stage: _reread(stage, stage.lines[:3], restarts=1),
    ),
    (
        "ima-longest-data",
        Reason.ACCEPTED,
        "An entry behind the quote with as many data as are read",
        lambda stage: behind(stage, entry(fields(GOOD, b"b\0", bytes(2**20 - 54)), name=b"ima-buf")),
    ),
    ("ima-off", Reason.IMA_MISSING, "PCR 10 of zeros and a list of no entries: IMA is not on", _off),
    ("ima-missing", Reason.IMA_MISSING, "No list", lambda stage: stage.honest().sent(ima=None)),
    (
        "ima-last-missing",
        Reason.IMA_REPLAY,
        "A list without its last entry",
        partial(_ima, change=lambda lines: lines[:-1]),
    ),
    ("ima-empty", Reason.IMA_REPLAY, "A list of no entries", partial(_ima, change=lambda lines: [])),
    (
        "ima-dropped",
        Reason.IMA_REPLAY,
        "An entry less in the middle",
        partial(_ima, change=lambda lines: lines[:3] + lines[4:]),
    ),
    (
        "ima-first-dropped",
        Reason.IMA_REPLAY,
        "The first entry less",
        partial(_ima, change=lambda lines: lines[1:]),
    ),
    (
        "ima-swapped",
        Reason.IMA_REPLAY,
        "Two entries in each other's place",
        partial(_ima, change=lambda lines: [*lines[:-2], lines[-1], lines[-2]]),
    ),
    (
        "ima-twice",
        Reason.IMA_REPLAY,
        "An entry twice",
        partial(_ima, change=lambda lines: [lines[0], *lines]),
    ),
    (
        "ima-inserted",
        Reason.IMA_REPLAY,
        "An entry that never was",
        partial(_ima, change=lambda lines: [EVIL, *lines]),
    ),
    (
        "ima-relabelled",
        Reason.IMA_REPLAY,
        "An entry under another path",
        partial(_ima, change=lambda lines: [*lines[:-1], replace(lines[-1], path=b"/bin/true")]),
    ),
    (
        "ima-called-violation",
        Reason.IMA_REPLAY,
        "An entry that is called a violation",
        partial(_ima, change=lambda lines: [*lines[:-1], replace(lines[-1], violation=True)]),
    ),
    (
        "ima-other-boot",
        Reason.IMA_REPLAY,
        "Another platform's list",
        partial(_ima, change=lambda lines: logs.running_system(9)),
    ),
    (
        "ima-tail-with-a-hole",
        Reason.IMA_REPLAY,
        "The rest of the list without one entry",
        lambda stage: stage.tail().sent(ima=stage.ima(stage.lines[FILES_BEFORE + 1 :], first=FILES_BEFORE)),
    ),
    (
        "ima-rolled-back",
        Reason.IMA_REPLAY,
        "A whole list that is shorter than the accepted one of this boot, and a quote that fits to it",
        lambda stage: _reread(stage, stage.lines[:3]),
    ),
    ("ima-rewritten", Reason.IMA_REPLAY, "A list whose known entries are others now", _rewritten),
    (
        "ima-gap",
        Reason.IMA_GAP,
        "The rest of the list from a later entry than was asked for",
        lambda stage: stage.tail().sent(
            ima=stage.ima(stage.lines[FILES_BEFORE + 1 :], first=FILES_BEFORE + 1)
        ),
    ),
    (
        "ima-tail-unasked",
        Reason.IMA_GAP,
        "The rest of the list where all was asked for",
        lambda stage: stage.tail().challenged(ima_from=0),
    ),
    (
        "ima-tail-of-nothing-known",
        Reason.IMA_GAP,
        "The rest of a list of which nothing is known",
        lambda stage: stage.tail().asked(memory=None),
    ),
    (
        "ima-tail-never-checked",
        Reason.IMA_GAP,
        "The rest of a list that was not checked before",
        lambda stage: stage.tail().asked(memory=replace(stage.earlier, ima=None)),
    ),
    (
        "ima-tail-of-another-bank",
        Reason.IMA_GAP,
        "The rest of a list that was followed in another bank",
        lambda stage: stage.tail().asked(
            memory=replace(stage.earlier, ima=ImaState(entries=FILES_BEFORE, values={"sha384": bytes(48)}))
        ),
    ),
    (
        "ima-tail-after-reboot",
        Reason.IMA_GAP,
        "The rest of a list after a reboot",
        lambda stage: stage.tail(clock=stage.clock(resets=1)),
    ),
    (
        "ima-tail-after-resume",
        Reason.IMA_GAP,
        "The rest of a list after a restart, which may have been a boot",
        lambda stage: stage.tail(clock=stage.clock(restarts=1)),
    ),
    (
        "ima-tail-other-basis",
        Reason.IMA_GAP,
        "The rest of a list after the reference values changed",
        _other_basis,
    ),
    (
        "ima-tail-of-another-length",
        Reason.IMA_GAP,
        "The rest from an entry that was asked for and is not the next",
        lambda stage: (
            stage.tail()
            .challenged(ima_from=FILES_BEFORE + 1)
            .sent(ima=stage.ima(stage.lines[FILES_BEFORE + 1 :], first=FILES_BEFORE + 1))
        ),
    ),
    ("ima-unknown", Reason.IMA_FILE_UNKNOWN, "An unknown file", lambda stage: _ran(stage, EVIL)),
    ("ima-changed", Reason.IMA_FILE_CHANGED, "A known file of another content", _changed_file),
    (
        "ima-changed-warned",
        Reason.IMA_FILE_CHANGED,
        "The same where the policy only warns of unknown files",
        lambda stage: _changed_file(stage).under(ima_unknown_file="warn"),
    ),
    (
        "ima-violation",
        Reason.IMA_VIOLATION,
        "A file that was written while it was measured",
        lambda stage: _ran(stage, VIOLATION),
    ),
    (
        "ima-aggregate",
        Reason.IMA_FILE_CHANGED,
        "A list that starts with another boot's aggregate",
        _aggregate,
    ),
    (
        "ima-aggregate-ignored",
        Reason.IMA_FILE_CHANGED,
        "The same where the policy ignores unknown files",
        lambda stage: _aggregate(stage).under(ima_unknown_file="ignore"),
    ),
)
