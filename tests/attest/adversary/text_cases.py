"""IMA lists in the kernel's ASCII form, edited as text."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from harness.attest.played import logs
from harness.attest.played.logs import Line
from harness.attest.reasons import Reason
from harness.attest.reference.policy import Limits
from tests.attest.adversary.case import Case, grouped
from tests.attest.adversary.stage import Asked, Stage


def _text(stage: Stage, change: Callable[[bytes], bytes]) -> Asked:
    """Another text of the list with the honest quote; of 20 entries at most."""
    honest = logs.ima_list(stage.lines, "ascii")
    excerpt = logs.excerpt(stage.lines, "ascii", total=20).model_copy(update={"data": change(honest)})
    return stage.honest().sent(ima=excerpt).under(limits=Limits(ima_entries=20))


def _behind(line: bytes) -> Callable[[Stage], Asked]:
    """A line behind the list, where the quote would not miss it."""
    return partial(_text, change=lambda raw: raw + line)


_DIGEST = b"sha256:" + b"00" * 32
_VIOLATION = b"10 " + b"00" * 20
_LONG = Line(path=b"kexec", template="ima-buf", third=bytes(2**20 + 1))

CASES: tuple[Case, ...] = grouped(
    "logs",
    ("text", Reason.ACCEPTED, "The list as text", partial(_text, change=lambda raw: raw)),
    (
        "text-violation-behind",
        Reason.ACCEPTED,
        "A line behind the list that is well formed",
        _behind(_VIOLATION + b" ima-ng " + _DIGEST + b" /x\n"),
    ),
    (
        "text-longest-data",
        Reason.ACCEPTED,
        "A line behind the list with as many data as are read",
        _behind(_VIOLATION + b" ima-ng " + _DIGEST + b" " + b"/".ljust(2**20 - 49, b"x") + b"\n"),
    ),
    (
        "text-dropped",
        Reason.IMA_REPLAY,
        "A line less",
        partial(_text, change=lambda raw: raw[raw.index(b"\n") + 1 :]),
    ),
    (
        "text-relabelled",
        Reason.IMA_MALFORMED,
        "A line under another path",
        partial(_text, change=lambda raw: raw.replace(b"/lib1.so", b"/lib9.so")),
    ),
    (
        "text-cut",
        Reason.IMA_MALFORMED,
        "The last line without its end",
        partial(_text, change=lambda raw: raw[:-1]),
    ),
    (
        "text-unended-violation",
        Reason.IMA_MALFORMED,
        "A violation behind the list without the line's end",
        _behind(_VIOLATION + b" ima-ng " + _DIGEST + b" /x"),
    ),
    (
        "text-third-only",
        Reason.IMA_MALFORMED,
        "A line whose path is missing",
        _behind(_VIOLATION + b" ima-sig " + _DIGEST + b" abcd\n"),
    ),
    ("text-empty-line", Reason.IMA_MALFORMED, "An empty line", _behind(b"\n")),
    (
        "text-other-pcr",
        Reason.ACCEPTED,
        "A line of a PCR that is not signed, behind the others",
        _behind(b"11 " + b"00" * 20 + b" ima-ng " + _DIGEST + b" /x\n"),
    ),
    (
        "text-pcr-24",
        Reason.IMA_MALFORMED,
        "A line of PCR 24",
        _behind(b"24 " + b"00" * 20 + b" ima-ng " + _DIGEST + b" /x\n"),
    ),
    ("text-few-words", Reason.IMA_MALFORMED, "A line of too few words", _behind(_VIOLATION + b" ima-ng\n")),
    (
        "text-other-template",
        Reason.IMA_MALFORMED,
        "A line of an unknown template",
        _behind(_VIOLATION + b" ima " + _DIGEST + b" /x\n"),
    ),
    (
        "text-no-third",
        Reason.IMA_MALFORMED,
        "A line without its signature",
        _behind(_VIOLATION + b" ima-sig " + _DIGEST + b" /x\n"),
    ),
    (
        "text-short-digest",
        Reason.IMA_MALFORMED,
        "A digest of 19 bytes",
        _behind(b"10 " + b"00" * 19 + b" ima-ng " + _DIGEST + b" /x\n"),
    ),
    (
        "text-odd-digits",
        Reason.IMA_MALFORMED,
        "Digits that are none",
        _behind(b"10 " + b"zz" * 20 + b" ima-ng " + _DIGEST + b" /x\n"),
    ),
    (
        "text-capitals",
        Reason.IMA_MALFORMED,
        "Digits in capitals",
        _behind(_VIOLATION + b" ima-ng sha256:" + b"AA" * 32 + b" /x\n"),
    ),
    (
        "text-of-2-mib",
        Reason.IMA_MALFORMED,
        "A line of more than 2 MiB, all there",
        _behind(_LONG.to_ascii()),
    ),
)
