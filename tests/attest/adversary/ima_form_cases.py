"""IMA lists that are malformed, too long, or not looked at."""

from __future__ import annotations

import struct
from functools import partial

from harness.attest.played.logs import Line
from harness.attest.reasons import Reason
from harness.attest.reference.policy import Limits
from tests.attest.adversary.case import Case, grouped
from tests.attest.adversary.ima_bytes import GOOD, behind, entry, fields, legacy, raw_ima
from tests.attest.adversary.stage import ignoring

CASES: tuple[Case, ...] = grouped(
    "logs",
    (
        "ima-cut",
        Reason.IMA_MALFORMED,
        "A list without its last byte",
        partial(raw_ima, change=lambda raw: raw[:-1]),
    ),
    (
        "ima-trailing",
        Reason.IMA_MALFORMED,
        "A byte behind the list",
        partial(raw_ima, change=lambda raw: raw + b"\0"),
    ),
    (
        "ima-more-than-there-were",
        Reason.IMA_MALFORMED,
        "More entries than the list had",
        partial(raw_ima, change=lambda raw: raw, total=8),
    ),
    *(
        (
            f"ima-{name}",
            Reason.IMA_MALFORMED,
            title,
            partial(behind, more=more),
        )
        for name, title, more in (
            ("pcr-24", "An entry of PCR 24", entry(fields(GOOD, b"/x\0"), pcr=24)),
            ("template-unnamed", "A template without a name", entry(b"", name=b"")),
            ("template-no-text", "A template whose name is no text", entry(b"", name=b"ima\x1b")),
            ("template-not-ascii", "A template of a name in no known script", entry(b"", name=b"im\xe4")),
            (
                "template-of-the-oldest-form",
                "Data of another template as those of the oldest",
                entry(fields(GOOD, b"/x\0"), name=b"ima"),
            ),
            (
                "oldest-form-name",
                "A name of 300 bytes in the oldest template",
                legacy(b"/" + b"x" * 299),
            ),
            ("oldest-form-zero", "A name with a zero byte in the oldest template", legacy(b"/x\0y")),
            (
                "hash-of-verity-in-ima-ng",
                "A file digest with its kind, where the template has none",
                entry(fields(b"verity:" + GOOD, b"/x\0")),
            ),
            (
                "hash-without-its-kind",
                "A file digest without its kind, where the template has one",
                entry(fields(GOOD, b"/x\0"), name=b"ima-ngv2"),
            ),
            (
                "hash-of-another-kind",
                "A file digest of a kind that does not exist",
                entry(fields(b"other:" + GOOD, b"/x\0"), name=b"ima-ngv2"),
            ),
            (
                "digest-of-20-zeros",
                "A file digest as only a violation has it",
                entry(fields(b"sha256:\0" + bytes(20), b"/x\0")),
            ),
            ("text", "A text where the binary form is due", Line(path=b"/x", content=b"x").to_ascii()),
            ("fields-cut", "A field that goes on after its template's data", entry(fields(GOOD)[:-1])),
            ("name-of-4-gib", "A template name of 4 GiB", struct.pack("<I20sI", 10, bytes(20), 0xFFFFFFFF)),
            (
                "data-of-4-gib",
                "Template data of 4 GiB",
                struct.pack("<I20sI", 10, bytes(20), 6) + b"ima-ng" + struct.pack("<I", 0xFFFFFFFF),
            ),
            (
                "longer-than-list",
                "An entry that goes on after the end",
                entry(fields(GOOD, b"/x\0")).replace(struct.pack("<I", 51), struct.pack("<I", 56)),
            ),
            (
                "data-above-1-mib",
                "Template data of more than 1 MiB, all there",
                entry(fields(GOOD, b"b\0", bytes(2**20)), name=b"ima-buf"),
            ),
            (
                "other-digest",
                "A template digest of other data",
                entry(fields(GOOD, b"/x\0"), digest=b"\1" * 20),
            ),
            ("path-unended", "A path without a zero byte at its end", entry(fields(GOOD, b"/x"))),
            ("path-with-zero", "A path with a zero byte inside", entry(fields(GOOD, b"/x\0y\0"))),
            ("path-missing", "No path", entry(fields(GOOD, b""))),
            ("field-too-many", "A field too many", entry(fields(GOOD, b"/x\0", b"more"))),
            (
                "hash-unknown",
                "A file digest of an unknown hash",
                entry(fields(b"crc32:\0" + bytes(4), b"/x\0")),
            ),
            ("hash-short", "A file digest that is too short", entry(fields(GOOD[:-1], b"/x\0"))),
            ("hash-unmarked", "A file digest without its hash", entry(fields(bytes(32), b"/x\0"))),
        )
    ),
    (
        "ima-too-long",
        Reason.SIZE_LIMIT,
        "A list with more bytes than the policy reads",
        lambda stage: stage.honest().under(limits=Limits(ima_bytes=100)),
    ),
    (
        "ima-of-too-many-entries",
        Reason.SIZE_LIMIT,
        "A list with more entries than the policy reads",
        lambda stage: stage.honest().under(limits=Limits(ima_entries=len(stage.lines) - 1)),
    ),
    (
        "ima-not-looked-at",
        Reason.ACCEPTED,
        "No list where the policy ignores it",
        lambda stage: stage.honest().sent(ima=None).under(require=ignoring(ima="ignore")),
    ),
)
