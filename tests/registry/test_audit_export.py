"""An exported log stands alone: it verifies as it is, and after no change of a single byte."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from typing import Any

import pytest

from harness.registry.audit import export
from harness.registry.audit.chain import AuditEntry, AuditError, AuditHead, canonical, linked
from tests.registry.subjects import moment

BODIES: list[Any] = [
    {"before": {}},
    {"tier": "affirming", "n": 1.5, "rows": [{"table": "results", "number": 1, "digest": "ab"}]},
    {"what": 'ü \\ " / \u2028 \x00', "empty": None, "yes": True},
]


def chain() -> list[AuditEntry]:
    made: list[AuditEntry] = []
    for place, body in enumerate(BODIES):
        before = made[-1].head if made else None
        kind = "alarm" if made else "genesis"
        made.append(linked(before, at=moment(place), kind=kind, subject="host-a", body=body))
    return made


def file(entries: list[AuditEntry] | None = None) -> bytes:
    entries = chain() if entries is None else entries
    return "".join(export.lines(entries[-1].head, entries)).encode()


def verify(content: bytes, noted: AuditHead | None = None) -> AuditHead:
    return export.verify(io.BytesIO(content), noted, "log.jsonl")


def refused(content: bytes, noted: AuditHead | None = None) -> AuditError:
    with pytest.raises(AuditError) as caught:
        verify(content, noted)
    assert caught.value.where.startswith("log.jsonl:")
    assert caught.value.why
    return caught.value


def test_an_export_is_whole_on_its_own() -> None:
    assert verify(file()) == chain()[-1].head
    assert all(verify(file(), one.head) for one in chain())


CHANGES: dict[str, Callable[[bytes, int], bytes]] = {
    "a bit": lambda content, at: content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :],
    "the case": lambda content, at: content[:at] + bytes([content[at] ^ 0x20]) + content[at + 1 :],
    "the top bit": lambda content, at: content[:at] + bytes([content[at] ^ 0x80]) + content[at + 1 :],
    "to 0": lambda content, at: content[:at] + b"0" + content[at + 1 :],
    "to a blank": lambda content, at: content[:at] + b" " + content[at + 1 :],
    "gone": lambda content, at: content[:at] + content[at + 1 :],
    "a blank more": lambda content, at: content[:at] + b" " + content[at:],
    "a zero more": lambda content, at: content[:at] + b"0" + content[at:],
    "a line end more": lambda content, at: content[:at] + b"\n" + content[at:],
    "cut off": lambda content, at: content[:at],
}


@pytest.mark.parametrize("what", CHANGES)
def test_no_change_of_a_single_byte_passes(what: str) -> None:
    content = file()
    for at in range(len(content)):
        changed = CHANGES[what](content, at)
        if changed != content:
            refused(changed)


def test_every_other_value_of_every_byte_of_a_short_file_is_refused() -> None:
    content = file(chain()[:1])
    for at in range(len(content)):
        for value in range(256):
            if value != content[at]:
                refused(content[:at] + bytes([value]) + content[at + 1 :])


@pytest.mark.parametrize("more", [b"\n", b" ", b"x", b"{}\n", b"\0"])
def test_nothing_may_follow_the_last_line(more: bytes) -> None:
    assert refused(file() + more).entry == 4


def test_lines_may_neither_be_left_out_nor_swapped_nor_doubled() -> None:
    lines = file().splitlines(keepends=True)
    for at in range(len(lines)):
        refused(b"".join(lines[:at] + lines[at + 1 :]))
        refused(b"".join([*lines[: at + 1], *lines[at:]]))
        for other in range(at):
            swapped = [*lines]
            swapped[at], swapped[other] = lines[other], lines[at]
            refused(b"".join(swapped))


def test_the_first_wrong_line_is_named() -> None:
    content = file().replace(b'"yes":true', b'"yes":null')
    found = refused(content)
    assert (found.entry, found.where) == (3, "log.jsonl:4, entry 3")


@pytest.mark.parametrize("content", [b"", b"\n", b"{}\n", b"hello\n", b"\xff\xfe"])
def test_what_is_no_export_is_refused(content: bytes) -> None:
    refused(content)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("number", "1"),
        ("number", True),
        ("number", 1.0),
        ("kind", 1),
        ("subject", None),
        ("body", []),
        ("body", "x"),
        ("at", {}),
        ("at", {"realtime_ns": 1.5, "monotonic_ns": 0, "boot_id": "x"}),
        ("digest", "0" * 64),
        ("more", 1),
    ],
)
def test_an_entry_of_another_shape_is_refused_in_its_own_words(name: str, value: Any) -> None:
    header, line = file(chain()[:1]).splitlines(keepends=True)
    told = json.loads(line) | {name: value}
    found = refused(header + canonical(told).encode() + b"\n")
    assert found.entry == 1


def test_numbers_and_nesting_without_end_are_refused() -> None:
    header, line = file(chain()[:1]).splitlines(keepends=True)
    for body in (b"9" * 5000, b"1e999", b"NaN", b"[" * 10**5):
        refused(header + line.replace(b'"before":{}', b'"before":' + body))


def test_a_shorter_log_is_whole_and_the_noted_head_says_that_it_is_shorter() -> None:
    shorter = file(chain()[:2])
    assert verify(shorter) == chain()[1].head
    assert refused(shorter, chain()[-1].head).entry == 3


def test_a_log_written_anew_is_whole_and_not_the_one_that_was_noted() -> None:
    other = linked(chain()[0].head, at=moment(9), kind="alarm", subject="host-b", body={})
    assert verify(file([chain()[0], other])) == other.head
    assert refused(file([chain()[0], other]), chain()[1].head).entry == 2
