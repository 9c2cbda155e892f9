"""IMA lists: both forms read strictly to the same entries, and replayed until PCR 10 agrees."""

from __future__ import annotations

import functools
import hashlib
import struct
import time
import timeit
from pathlib import Path
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.attest.evidence import Bank, ImaExcerpt, RefusedError
from harness.attest.logs import ima
from harness.attest.logs.ima import ImaState
from harness.attest.played import logs
from harness.attest.played.logs import Line
from harness.attest.reasons import Reason

Form = Literal["binary", "ascii"]
FORMS: tuple[Form, Form] = ("binary", "ascii")

AGGREGATE = Line(path=b"boot_aggregate", content=b"PCRs")
SHELL = Line(path=b"/usr/bin/bash", content=b"#!")
SIGNED = Line(path=b"/usr/bin/qemu-system-x86_64", content=b"qemu", template="ima-sig", third=b"\3\2\4\x99")
UNSIGNED = Line(path=b"/usr/sbin/libvirtd", content=b"virt", template="ima-sig")
BUFFER = Line(path=b"kexec-cmdline", content=b"quiet", template="ima-buf", third=b"quiet")
VIOLATION = Line(path=b"/var/log/journal", template="ima-sig", violation=True)
LONGER = Line(path=b"/etc/a", content=b"x", algorithm="sha512")
ALL = [AGGREGATE, SHELL, SIGNED, UNSIGNED, BUFFER, VIOLATION, LONGER]


def malformed(excerpt: ImaExcerpt, reason: Reason = Reason.IMA_MALFORMED, **limits: int) -> str:
    with pytest.raises(RefusedError) as caught:
        ima.parse(excerpt, **limits)
    assert caught.value.reason is reason
    return caught.value.why


def raw(data: bytes, form: Form = "binary", *, total: int = 100) -> ImaExcerpt:
    return ImaExcerpt(first=0, total=total, form=form, data=data)


@pytest.mark.parametrize("form", FORMS)
def test_everything_that_was_written_is_read(form: Form) -> None:
    entries = ima.parse(logs.excerpt(ALL, form))
    for entry, line in zip(entries, ALL, strict=True):
        assert entry.pcr == 10
        assert entry.template == line.template
        assert entry.template_digest == line.digest
        assert entry.path == line.path.decode()
        assert (entry.file_hash_alg, entry.file_digest) == (line.algorithm, line.file_digest)
        assert entry.template_data == line.data
        assert entry.violation is line.violation


def test_an_empty_stretch_is_one() -> None:
    assert ima.parse(raw(b"")) == ima.parse(raw(b"", "ascii")) == ()


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    ("path", "shown"),
    [
        (b"/opt/with_a b/c", "/opt/with_a b/c"),
        (b"/opt/ leading and trailing ", "/opt/ leading and trailing "),
        ("/opt/\u00fcber".encode(), "/opt/\u00fcber"),
        (b"/opt/\xff\xfe", "/opt/\\xff\\xfe"),
        (b"/opt/a\tb\x1b[0m", "/opt/a\tb\x1b[0m"),
        (b"/opt/two\nlines", "/opt/two\nlines"),
        (b"/opt/\n\n10 three\n", "/opt/\n\n10 three\n"),
        (b"/" + b"n" * 4095, "/" + "n" * 4095),
        (b"", ""),
    ],
)
@pytest.mark.parametrize("template", ["ima-ng", "ima-sig"])
def test_odd_paths(form: Form, path: bytes, shown: str, template: str) -> None:
    odd = Line(path=path, content=b"x", template=template)
    entries = ima.parse(logs.excerpt([AGGREGATE, odd, SHELL], form))
    assert [entry.path for entry in entries] == ["boot_aggregate", shown, "/usr/bin/bash"]
    assert entries[1].template_data == odd.data


def test_a_path_of_more_lines_than_are_tried_is_refused() -> None:
    odd = Line(path=b"/opt/" + b"\n" * 65, content=b"x")
    assert malformed(logs.excerpt([odd], "ascii"))
    assert len(ima.parse(logs.excerpt([odd], "binary"))) == 1


@pytest.mark.parametrize("form", FORMS)
def test_every_cut_is_refused_or_a_shorter_list(form: Form) -> None:
    data = logs.ima_list(ALL, form)
    whole = {len(logs.ima_list(ALL[:count], form)): count for count in range(len(ALL) + 1)}
    for size in range(len(data)):
        if size in whole:
            assert len(ima.parse(raw(data[:size], form))) == whole[size]
        else:
            malformed(raw(data[:size], form))


@pytest.mark.parametrize("form", FORMS)
def test_no_byte_can_change_unseen(form: Form) -> None:
    """Every byte of an entry that is no violation is held by its template digest, or is that digest.

    PCR and template's name are in no digest: another PCR is seen when the list is replayed, and under
    another name the data say the same.
    """
    data = logs.ima_list([SIGNED], form)
    (was,) = ima.parse(raw(data, form))
    for at in range(len(data)):
        changed = raw(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :], form)
        try:
            (entry,) = ima.parse(changed)
        except RefusedError as error:
            assert error.reason is Reason.IMA_MALFORMED
        else:
            assert (entry.pcr, entry.template) != (was.pcr, was.template)
            assert entry._replace(pcr=was.pcr, template=was.template) == was


def test_more_entries_than_the_list_had_are_refused() -> None:
    assert malformed(logs.excerpt(ALL, first=3, total=3 + len(ALL) - 1))
    assert len(ima.parse(logs.excerpt(ALL, first=3, total=3 + len(ALL) + 50))) == len(ALL)


@pytest.mark.parametrize("form", FORMS)
def test_bounds_hold(form: Form) -> None:
    excerpt = logs.excerpt(ALL, form)
    size = len(excerpt.data)
    assert len(ima.parse(excerpt, limit_bytes=size, limit_entries=len(ALL))) == len(ALL)
    assert malformed(excerpt, Reason.SIZE_LIMIT, limit_bytes=size - 1)
    assert malformed(excerpt, Reason.SIZE_LIMIT, limit_entries=len(ALL) - 1)


def test_a_list_of_line_feeds_does_not_keep_the_verifier() -> None:
    """Each is a try to end the line there: 64 MB of them would take minutes."""
    fed = Line(path=b"/a" + b"\n" * 63)
    assert len(ima.parse(logs.excerpt([fed] * 100, "ascii"))) == 100
    assert "line feeds" in malformed(logs.excerpt([fed] * 200, "ascii"), Reason.SIZE_LIMIT)
    assert len(ima.parse(logs.excerpt([fed] * 200, "binary"))) == 200


def test_sizes_that_lie_are_refused() -> None:
    digest = bytes(20)
    for size in (256, 2**32 - 1):
        assert "template name" in malformed(raw(struct.pack("<I20sI", 10, digest, size) + bytes(300)))
    named = struct.pack("<I20sI", 10, digest, 6) + b"ima-ng"
    for size in (ima.MAX_TEMPLATE_BYTES + 1, 2**32 - 1):
        too_much = named + struct.pack("<I", size) + bytes(ima.MAX_TEMPLATE_BYTES + 1)
        assert f"{size} bytes" in malformed(raw(too_much))
    overhead = len(Line(path=b"b", template="ima-buf").data)
    longest = Line(path=b"b", template="ima-buf", third=bytes(ima.MAX_TEMPLATE_BYTES - overhead))
    for form in FORMS:
        assert len(ima.parse(logs.excerpt([longest], form))[0].template_data) == ima.MAX_TEMPLATE_BYTES
    for more in (1, 1024):
        beyond = Line(path=b"b", template="ima-buf", third=bytes(len(longest.third) + more))
        for form in FORMS:
            assert "bytes" in malformed(logs.excerpt([beyond], form))
    without_name = SHELL.data[: -4 - len(SHELL.path) - 1] + bytes(4)
    for body in (
        struct.pack("<I", 2**32 - 1),
        struct.pack("<I", 0) + struct.pack("<I", 2**32 - 1),
        b"",
        without_name,
        SHELL.data + b"\0",
        SIGNED.data,
        SHELL.data[:-1] + b"x",
        SHELL.data.replace(b"bash", b"b\0sh"),
        SHELL.data.replace(b"sha256", b"sha257"),
        SHELL.data.replace(b"sha256", b"sha384"),
        SHELL.data.replace(b":\0", b": "),
    ):
        assert malformed(raw(named + struct.pack("<I", len(body)) + body)), body


def test_what_is_no_entry_is_refused() -> None:
    good = SHELL.to_binary()
    assert malformed(raw(struct.pack("<I", 24) + good[4:]))
    assert malformed(raw(good.replace(b"ima-ng", b"ima-n\xff")))
    assert malformed(raw(good.replace(b"ima-ng", b"ima-n\x1b")))
    assert malformed(raw(struct.pack("<I20sI", 10, bytes(20), 3) + b"ima" + bytes(20) + struct.pack("<I", 9)))
    for first in (b"24 ", b"1 0 ", b"x ", b"-1 ", b"10\t"):
        assert malformed(raw(SHELL.to_ascii().replace(b"10 ", first, 1), "ascii"))
    assert malformed(raw(SHELL.to_ascii().replace(b"ima-ng", b"ima"), "ascii"))
    assert malformed(raw(SHELL.to_ascii().replace(b"ima-ng", b"ima-nx"), "ascii"))
    assert malformed(raw(SHELL.to_ascii().upper(), "ascii"))
    assert malformed(raw(SHELL.to_ascii().replace(SHELL.digest.hex().encode(), b"00", 1), "ascii"))
    unsigned = Line(path=b"abcd", template="ima-sig", violation=True).to_ascii()
    assert malformed(raw(unsigned.rstrip() + b"\n", "ascii"))
    for parts in range(5):
        assert malformed(raw(b" ".join(SHELL.to_ascii().split()[:parts]) + b"\n", "ascii"))
    for digest in (b"00" * 19, b"00" * 21, b""):
        assert malformed(raw(VIOLATION.to_ascii().replace(b"00" * 20, digest, 1), "ascii"))


@pytest.mark.parametrize("bank", ["sha256", "sha384"])
@pytest.mark.parametrize("form", FORMS)
def test_replay_gives_what_a_tpm_would_hold(bank: Bank, form: Form) -> None:
    state = ima.replay(
        ImaState.start(bank),
        ima.parse(logs.excerpt(ALL, form)),
        bank=bank,
        expected=logs.pcr10(ALL, bank),
        first=0,
    )
    assert state == ImaState(entries=len(ALL), values={bank: logs.pcr10(ALL, bank)})


def test_a_violation_extends_ones() -> None:
    """The data of a violation are in no PCR: another path replays the same."""
    other = Line(path=b"/elsewhere", template="ima-sig", violation=True)
    state = ima.replay(
        ImaState.start("sha256"),
        ima.parse(logs.excerpt([other])),
        bank="sha256",
        expected=logs.pcr10([VIOLATION]),
    )
    assert state.entries == 1


def test_a_tail_ahead_of_the_quote_is_normal() -> None:
    entries = ima.parse(logs.excerpt(ALL))
    for count in range(len(ALL) + 1):
        state = ima.replay(ImaState.start("sha256"), entries, bank="sha256", expected=logs.pcr10(ALL[:count]))
        assert state.entries == count


@pytest.mark.parametrize(
    "change",
    ["missing", "reordered", "duplicated", "inserted", "changed", "not yet in"],
)
def test_any_other_list_is_refused(change: str) -> None:
    other = {
        "missing": [*ALL[:2], *ALL[3:]],
        "reordered": [ALL[1], ALL[0], *ALL[2:]],
        "duplicated": [*ALL[:3], ALL[2], *ALL[3:]],
        "inserted": [*ALL[:3], Line(path=b"/new"), *ALL[3:]],
        "changed": [*ALL[:1], Line(path=SHELL.path, content=b"other"), *ALL[2:]],
        "not yet in": ALL[:-1],
    }[change]
    with pytest.raises(RefusedError) as caught:
        ima.replay(
            ImaState.start("sha256"), ima.parse(logs.excerpt(other)), bank="sha256", expected=logs.pcr10(ALL)
        )
    assert caught.value.reason is Reason.IMA_REPLAY


def test_replay_goes_on_from_where_it_was() -> None:
    state = ImaState.start("sha256", "sha384")
    for first, last in ((0, 3), (3, 3), (3, 7)):
        entries = ima.parse(logs.excerpt(ALL[first:], first=first, total=len(ALL)))
        state = ima.replay(state, entries, bank="sha256", expected=logs.pcr10(ALL[:last]), first=first)
        assert state.entries == last
        assert state.values == {bank: logs.pcr10(ALL[:last], bank) for bank in ("sha256", "sha384")}


def test_gaps_are_named() -> None:
    entries = ima.parse(logs.excerpt(ALL[3:], first=3))
    for state, bank, first in (
        (ImaState.start("sha256"), "sha256", 3),
        (ImaState(entries=4, values={"sha256": logs.pcr10(ALL[:4])}), "sha256", 3),
        (ImaState(entries=3, values={"sha256": logs.pcr10(ALL[:3])}), "sha384", 3),
    ):
        with pytest.raises(RefusedError) as caught:
            ima.replay(state, entries, bank=bank, expected=logs.pcr10(ALL), first=first)  # type: ignore[arg-type]
        assert caught.value.reason is Reason.IMA_GAP


def test_long_lists_and_short_additions_are_fast() -> None:
    """75,000 entries a second read and replayed, and 100 new ones in 5 ms of the processor's time at best."""
    lines = logs.running_system(10_000)
    want = logs.pcr10(lines)
    known = ImaState(entries=9_900, values={"sha256": logs.pcr10(lines[:9_900])})
    for form in FORMS:
        whole, new = logs.excerpt(lines, form), logs.excerpt(lines[9_900:], form, first=9_900)
        start = ImaState.start("sha256")

        def replayed(state: ImaState, excerpt: ImaExcerpt) -> ImaState:
            return ima.replay(state, ima.parse(excerpt), bank="sha256", expected=want, first=excerpt.first)

        def best_s(state: ImaState, excerpt: ImaExcerpt, tries: int) -> float:
            call = functools.partial(replayed, state, excerpt)
            return min(timeit.repeat(call, timer=time.process_time, number=1, repeat=tries))

        whole_s, new_s = best_s(start, whole, 5), best_s(known, new, 20)
        assert len(lines) / whole_s > 75_000, form
        assert new_s < 5e-3, form


SAMPLE = Path(__file__).with_name("samples") / "guest-seabios-1.16"


def test_the_list_of_a_real_kernel_reads_the_same_in_both_forms() -> None:
    binary, text = (
        ima.parse(raw((SAMPLE / f"{form}_runtime_measurements").read_bytes(), form)) for form in FORMS
    )
    assert binary == text
    assert {entry.template for entry in binary} == {"ima-sig"}
    pcrs = [bytes.fromhex(line.split()[1]) for line in (SAMPLE / "pcrs.txt").read_text().splitlines()[:10]]
    assert (binary[0].path, binary[0].file_hash_alg) == (ima.BOOT_AGGREGATE, "sha256")
    assert binary[0].file_digest == hashlib.sha256(b"".join(pcrs)).digest()


def lines(paths: st.SearchStrategy[bytes]) -> st.SearchStrategy[Line]:
    return st.builds(
        Line,
        path=paths,
        content=st.binary(max_size=8),
        template=st.sampled_from(["ima-ng", "ima-sig", "ima-buf"]),
        algorithm=st.sampled_from(["sha1", "sha256", "sha384", "sha512"]),
        third=st.binary(max_size=80),
        violation=st.booleans(),
    )


any_line = lines(st.binary(max_size=60).map(lambda path: path.replace(b"\0", b"")))
one_line = lines(st.binary(max_size=60).map(lambda path: path.replace(b"\0", b"").replace(b"\n", b"")))


@given(st.lists(any_line, max_size=12))
def test_any_binary_list_is_read(some: list[Line]) -> None:
    assert [entry.template_data for entry in ima.parse(logs.excerpt(some))] == [line.data for line in some]


@given(st.lists(one_line, max_size=12))
def test_both_forms_say_the_same(some: list[Line]) -> None:
    assert ima.parse(logs.excerpt(some, "ascii")) == ima.parse(logs.excerpt(some, "binary"))


@given(st.lists(any_line, max_size=12), st.data())
def test_any_point_of_a_list_is_found(some: list[Line], data: st.DataObject) -> None:
    count = data.draw(st.integers(0, len(some)))
    entries = ima.parse(logs.excerpt(some))
    state = ima.replay(ImaState.start("sha256"), entries, bank="sha256", expected=logs.pcr10(some[:count]))
    assert state.entries == count


@given(st.binary(max_size=300), st.sampled_from(FORMS))
def test_any_bytes_are_read_or_refused(data: bytes, form: Form) -> None:
    try:
        entries = ima.parse(raw(data, form))
    except RefusedError as error:
        assert error.reason is Reason.IMA_MALFORMED
    else:
        assert entries or not data
