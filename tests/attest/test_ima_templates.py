"""IMA templates: what the data of each say was measured, in both forms, whatever the entry is labelled."""

from __future__ import annotations

import hashlib
import struct
from dataclasses import replace
from typing import Literal

import pytest

from harness.attest.evidence import ImaExcerpt, RefusedError
from harness.attest.logs import ima
from harness.attest.logs.ima import ImaState
from harness.attest.reasons import Reason
from tests.attest.ima_entries import Entry, digest, excerpt, hexed, name, number, value

Form = Literal["binary", "ascii"]
FORMS: tuple[Form, Form] = ("binary", "ascii")
PATH = b"/usr/bin/qemu"
OF_FILE = ("/usr/bin/qemu", "sha256", hashlib.sha256(b"qemu").digest())
D, N, SIG = digest(b"qemu"), name(PATH), hexed(b"\3\2\4\x99")
OWNED = (number(0), number(65_534), number(0o100755, 2))
EMPTY = (b"", b"")

NG = Entry(template="ima-ng", fields=(D, N))
SIGNED = Entry(template="ima-sig", fields=(D, N, SIG))
MODULE = Entry(
    template="ima-modsig", fields=(D, N, EMPTY, digest(b"without its signature"), hexed(b"\x30\x82"))
)
PORTABLE = Entry(
    template="evm-sig",
    fields=(
        D,
        N,
        hexed(b"\5\2\4"),
        (b"security.ima|security.evm\0", b"security.ima|security.evm"),
        hexed(struct.pack("<II", 33, 9)),
        hexed(b"values"),
        *OWNED,
    ),
)
LEGACY = Entry(template="ima", fields=(hexed(hashlib.sha1(b"qemu").digest()), (PATH, PATH)))
LEGACY_MD5 = Entry(template="ima", fields=(hexed(hashlib.md5(b"qemu").digest()), (PATH, PATH)))
LEGACY_PADDED = Entry(template="ima", fields=(hexed(hashlib.md5(b"qemu").digest() + bytes(4)), (PATH, PATH)))
CUSTOM = Entry(template="d-ng|n-ng|iuid|igid|imode", fields=(D, N, *OWNED))
TURNED = Entry(template="n-ng|d-ng", fields=(N, D))
RAW = Entry(template="d|n-ng", fields=(hexed(hashlib.sha1(b"qemu").digest()), N))

READ = {
    "ima-ng": (NG, OF_FILE),
    "ima-ngv2": (Entry(template="ima-ngv2", fields=(digest(b"qemu", kind="ima:"), N)), OF_FILE),
    "ima-sigv2": (
        Entry(template="ima-sigv2", fields=(digest(b"qemu", kind="verity:"), N, SIG)),
        ("/usr/bin/qemu", "verity-sha256", OF_FILE[2]),
    ),
    "ima-sig": (SIGNED, OF_FILE),
    "ima-modsig": (MODULE, OF_FILE),
    "ima-modsig of a file without": (replace(MODULE, fields=(D, N, SIG, EMPTY, EMPTY)), OF_FILE),
    "evm-sig": (PORTABLE, OF_FILE),
    "evm-sig of a file without": (replace(PORTABLE, fields=(D, N, *[EMPTY] * 4, *OWNED)), OF_FILE),
    "ima": (LEGACY, ("/usr/bin/qemu", "sha1", hashlib.sha1(b"qemu").digest())),
    "ima with MD5": (LEGACY_MD5, ("/usr/bin/qemu", "md5", hashlib.md5(b"qemu").digest())),
    "ima with MD5, padded": (LEGACY_PADDED, ("/usr/bin/qemu", "md5", hashlib.md5(b"qemu").digest())),
    "custom": (CUSTOM, OF_FILE),
    "custom, name first": (TURNED, OF_FILE),
    "custom, without the hash": (RAW, ("/usr/bin/qemu", "sha1", hashlib.sha1(b"qemu").digest())),
}


def refused(given: ImaExcerpt) -> str:
    with pytest.raises(RefusedError) as caught:
        ima.parse(given)
    assert caught.value.reason is Reason.IMA_MALFORMED
    return caught.value.why


def raw(data: bytes, form: Form = "binary") -> ImaExcerpt:
    return ImaExcerpt(first=0, total=9, form=form, data=data)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("case", READ)
def test_what_was_measured_is_read_from_every_template(case: str, form: Form) -> None:
    entry, (path, alg, content) = READ[case]
    first, read, last = ima.parse(excerpt([NG, entry, SIGNED], form))
    assert (first.template, last.template) == ("ima-ng", "ima-sig")
    assert (read.template, read.template_digest, read.template_data) == (
        entry.template,
        entry.digest,
        entry.data,
    )
    assert (read.known, read.path, read.file_hash_alg, read.file_digest) == (True, path, alg, content)


@pytest.mark.parametrize("form", FORMS)
def test_a_list_of_all_templates_leads_to_pcr_10(form: Form) -> None:
    entries = [entry for entry, _ in READ.values()]
    expected = value(entries)
    read = ima.parse(excerpt(entries, form))
    state = ima.replay(ImaState.start("sha256"), read, bank="sha256", expected=expected)
    assert (state.entries, state.values["sha256"]) == (len(entries), expected)


def test_the_fields_of_a_template_have_their_names() -> None:
    entries = ima.parse(excerpt([SIGNED, PORTABLE, LEGACY, CUSTOM]))
    assert entries[0].fields == {"d-ng": D[0], "n-ng": N[0], "sig": SIG[0]}
    assert [*entries[1].fields][2:6] == ["evmsig", "xattrnames", "xattrlengths", "xattrvalues"]
    assert entries[2].fields == {"d": LEGACY.fields[0][0], "n": PATH}
    assert entries[3].fields["imode"] == (0o100755).to_bytes(2, "little")


UNKNOWN = [
    Entry(template="my-own", fields=((b"anything", b""),)),
    Entry(template="sig|d-ng|n-ng", fields=(SIG, D, N)),
    Entry(template="n-ng", fields=(N,)),
    Entry(template="d-ng|sig", fields=(D, SIG)),
    Entry(template="my-own", fields=()),
]


@pytest.mark.parametrize("entry", UNKNOWN)
def test_of_other_data_nothing_is_said_and_the_list_leads_to_pcr_10_all_the_same(entry: Entry) -> None:
    entries = [NG, entry, SIGNED]
    read = ima.parse(excerpt(entries))
    assert (read[1].known, read[1].path, read[1].file_digest) == (False, "", b"")
    state = ima.replay(ImaState.start("sha256"), read, bank="sha256", expected=value(entries))
    assert state.entries == 3


LABELS = ["foo", "sig|n-ng|sig", "buf|n-ng", "d-ng|n-ng|sig", "n-ng", "d|n", "xattrvalues|n-ng|sig"]


@pytest.mark.parametrize("label", LABELS)
@pytest.mark.parametrize("case", READ)
def test_another_label_does_not_hide_what_was_measured(case: str, label: str) -> None:
    """The label is in no digest: whoever sends the list may write any."""
    entry, (path, alg, content) = READ[case]
    data = entry.data
    head = struct.pack("<I20sI", 10, entry.digest, len(label)) + label.encode()
    (read,) = ima.parse(raw(head + struct.pack("<I", len(data)) + data))
    if entry is RAW and not label.startswith("d|"):
        assert not read.known  # 20 bytes that nothing but a label calls a digest
    else:
        assert (read.known, read.path, read.file_hash_alg, read.file_digest) == (True, path, alg, content)


@pytest.mark.parametrize("label", ["ima-ng", "ima-ngv2", "ima-sigv2", "ima-modsig", "evm-sig"])
def test_data_that_are_not_those_of_their_template_are_refused(label: str) -> None:
    data = SIGNED.data
    head = struct.pack("<I20sI", 10, SIGNED.digest, len(label)) + label.encode()
    assert "fields" in (why := refused(raw(head + struct.pack("<I", len(data)) + data))) or "digest" in why


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("size", [20, 32])
def test_a_violation_has_a_digest_of_zeros_whose_length_is_the_kernels(form: Form, size: int) -> None:
    zeros = (b"sha256:\0" + bytes(size), b"sha256:" + b"00" * size)
    entry = Entry(template="ima-ng", fields=(zeros, N), violation=True)
    (read,) = ima.parse(excerpt([entry], form))
    assert (read.violation, read.path, read.file_digest) == (True, "/usr/bin/qemu", bytes(size))


def test_a_digest_of_20_zeros_that_is_no_violation_is_refused() -> None:
    zeros = (b"sha256:\0" + bytes(20), b"sha256:" + b"00" * 20)
    assert "digest" in refused(excerpt([Entry(template="ima-ng", fields=(zeros, N))]))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ((b" 65534 ", b" x "), "not a number"),
        ((b" 65534 ", b" 4294967296 "), "a number of 4 bytes"),
        ((b" 33261\n", b" 65536\n"), "a number of 2 bytes"),
        ((b" 33261\n", b"\n"), "8 of the 9 fields"),
        ((b" 33261\n", b" 33260\n"), "not that of its data"),
    ],
)
def test_a_text_that_stands_for_no_data_is_refused(change: tuple[bytes, bytes], said: str) -> None:
    assert said in refused(raw(PORTABLE.to_ascii().replace(*change), "ascii"))


def test_a_text_of_an_unknown_template_is_refused_with_what_to_do() -> None:
    assert "'my-own'" in refused(raw(NG.to_ascii().replace(b"ima-ng", b"my-own"), "ascii"))


@pytest.mark.parametrize(
    ("data", "form", "said"),
    [
        (SIGNED.to_ascii(), "binary", "it is text: the ASCII form"),
        (SIGNED.to_ascii().replace(SIGNED.digest.hex().encode(), b"ab" * 32), "binary", "it is text"),
        (b"10 " + SIGNED.digest.hex().encode() + b" ima-sig\n", "ascii", "ends before the digest and path"),
        (b"10 " + SIGNED.digest.hex().encode() + b"\n", "ascii", "ends before the template's name"),
        (b"10 ab\n", "ascii", "ends before"),
        (b"10\n", "ascii", "does not begin with a PCR"),
        (
            SIGNED.to_ascii().replace(SIGNED.digest.hex().encode(), b"ab" * 32),
            "ascii",
            "a template digest of 32 bytes",
        ),
        (
            struct.pack("<I32sI", 10, b"\xab" * 32, 7) + b"ima-sig" + bytes(40),
            "binary",
            "template digests are SHA-1's",
        ),
        (SIGNED.to_binary()[:30], "binary", "it is cut"),
        (SIGNED.to_binary()[:37], "binary", "it is cut"),
        (SIGNED.to_binary()[:-1], "binary", "it is cut"),
    ],
)
def test_what_is_wrong_with_a_list_is_one_sentence(data: bytes, form: Form, said: str) -> None:
    why = refused(raw(data, form))
    assert why.startswith("entry 0 of the IMA list: ")
    assert said in why
    assert "unpack" not in why and "buffer of" not in why


ELEVEN = [replace(one, pcr=11) for one in (NG, SIGNED, PORTABLE)]
MIXED = [NG, ELEVEN[0], SIGNED, ELEVEN[1], ELEVEN[2], CUSTOM]


@pytest.mark.parametrize("form", FORMS)
def test_entries_of_another_pcr_are_no_part_of_pcr_10(form: Form) -> None:
    read = ima.parse(excerpt(MIXED, form))
    assert [entry.pcr for entry in read] == [10, 11, 10, 11, 11, 10]
    state = ima.replay(ImaState.start("sha256"), read, bank="sha256", expected=value(MIXED))
    assert state.entries == 6


def test_another_pcr_is_led_to_where_the_quote_stands() -> None:
    """Behind what leads to PCR 10, and before the next entry of PCR 10."""
    read = ima.parse(excerpt(MIXED))
    for count in (3, 4, 5):
        signed = value(MIXED[:count], 11)
        found = ima.follow({}, read, 3, "sha256", {11: signed})
        assert found.count == count and found.vouched == {11}
        assert found.values == {"sha256:11": signed}
        assert not found.aside
    for odd in (bytes(32), value([SIGNED]), value([*MIXED, ELEVEN[0]], 11)):
        lost = ima.follow({}, read, 3, "sha256", {11: odd})
        assert not lost.vouched and lost.aside == {11}
        assert (lost.count, lost.values) == (3, {"sha256:11": b""})
    assert ima.follow({}, read, 3, "sha256", {}).aside == {11}
    assert ima.follow({}, read, 1, "sha256", {}).aside == {11}
    assert not ima.follow({}, read[:1], 1, "sha256", {}).aside


def test_two_pcrs_must_agree_on_where_the_quote_stands() -> None:
    twelve = replace(NG, pcr=12)
    entries = [NG, ELEVEN[0], ELEVEN[1], twelve]
    read, last = ima.parse(excerpt(entries)), value(entries, 12)
    found = ima.follow({}, read, 1, "sha256", {11: value(entries, 11), 12: last})
    assert found.count == 4 and found.vouched == {11, 12}
    early = ima.follow({}, read, 1, "sha256", {11: value(entries[:2], 11), 12: last})
    assert early.vouched == {12} and early.aside == {11}


def test_another_pcr_is_followed_from_one_stretch_to_the_next_unless_it_was_lost() -> None:
    read, signed = ima.parse(excerpt(MIXED)), {11: value(MIXED, 11)}
    first = ima.follow({}, read[:3], 3, "sha256", {11: value(MIXED[:3], 11)})
    again = ima.follow(first.values, read[3:], 3, "sha256", signed)
    assert first.count == again.count == 3
    assert again.vouched == {11}
    assert again.values == {"sha256:11": value(MIXED, 11)}
    lost = ima.follow({}, read[:3], 3, "sha256", {})
    assert ima.follow(lost.values, read[3:], 3, "sha256", signed).aside == {11}
