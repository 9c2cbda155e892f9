"""Parsers of what a TPM marshals: what is well formed reads back, anything else is refused and no more."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.attest.evidence import KeyType, RefusedError
from harness.attest.played import marshal, software_tpm
from harness.attest.played.software_tpm import NONCE, PCRS, SoftwareTpm
from harness.attest.reasons import Reason
from harness.attest.tpm import structures
from harness.attest.tpm.algorithms import NIST_P256, Alg
from harness.attest.tpm.structures import (
    Attest,
    ClockInfo,
    Public,
    Selection,
    Signature,
    Symmetric,
    name_of,
    parse_attest,
    parse_public,
    parse_signature,
    qualified_name,
)

KINDS: tuple[KeyType, ...] = ("ecc-p256", "rsa-2048")

numbers = {size: st.integers(0, 2 ** (8 * size) - 1) for size in (1, 2, 4, 8)}
selections = st.builds(
    Selection,
    hash_alg=numbers[2],
    pcrs=st.sets(st.integers(0, 31)).map(lambda chosen: tuple(sorted(chosen))),
)
clocks = st.builds(
    ClockInfo, clock_ms=numbers[8], reset_count=numbers[4], restart_count=numbers[4], safe=st.booleans()
)
attests = st.builds(
    Attest,
    magic=numbers[4],
    type=st.just(structures.QUOTE),
    qualified_signer=st.binary(max_size=66),
    extra_data=st.binary(max_size=66),
    clock=clocks,
    firmware_version=numbers[8],
    selections=st.lists(selections, max_size=16).map(tuple),
    pcr_digest=st.binary(max_size=64),
)
other_attests = st.builds(
    Attest,
    magic=numbers[4],
    type=numbers[2].filter(lambda kind: kind != structures.QUOTE),
    qualified_signer=st.binary(max_size=66),
    extra_data=st.binary(max_size=66),
    clock=clocks,
    firmware_version=numbers[8],
    selections=st.none(),
    pcr_digest=st.none(),
    body=st.binary(max_size=256),
)
signatures = st.one_of(
    st.builds(
        Signature,
        scheme=st.sampled_from([int(Alg.RSASSA), int(Alg.RSAPSS)]),
        hash_alg=numbers[2],
        rsa=st.binary(max_size=512),
    ),
    st.builds(
        Signature,
        scheme=st.just(int(Alg.ECDSA)),
        hash_alg=numbers[2],
        r=st.integers(0, 2**528 - 1),
        s=st.integers(0, 2**528 - 1),
    ),
)
symmetrics = st.none() | st.builds(Symmetric, alg=st.just(int(Alg.AES)), key_bits=numbers[2], mode=numbers[2])
publics = st.one_of(
    st.builds(
        Public,
        type=st.just(int(Alg.RSA)),
        name_alg=numbers[2],
        attributes=numbers[4],
        auth_policy=st.binary(max_size=64),
        symmetric=symmetrics,
        scheme=st.sampled_from([int(Alg.RSASSA), int(Alg.RSAPSS), int(Alg.OAEP)]),
        hash_alg=numbers[2],
        key_bits=numbers[2],
        exponent=numbers[4],
        modulus=st.binary(max_size=512),
    ),
    st.builds(
        Public,
        type=st.just(int(Alg.ECC)),
        name_alg=numbers[2],
        attributes=numbers[4],
        auth_policy=st.binary(max_size=64),
        symmetric=symmetrics,
        scheme=st.none(),
        hash_alg=st.none(),
        curve=numbers[2],
        x=st.binary(max_size=66),
        y=st.binary(max_size=66),
    ),
    st.builds(
        Public,
        type=st.just(int(Alg.ECC)),
        name_alg=numbers[2],
        attributes=numbers[4],
        auth_policy=st.binary(max_size=64),
        symmetric=symmetrics,
        scheme=st.sampled_from([int(Alg.ECDSA), int(Alg.ECDH)]),
        hash_alg=numbers[2],
        curve=numbers[2],
        x=st.binary(max_size=66),
        y=st.binary(max_size=66),
    ),
)


@given(attests | other_attests)
def test_an_attest_reads_back_as_it_was_marshalled(value: Attest) -> None:
    assert parse_attest(marshal.attest(value)) == value


@given(signatures)
def test_a_signature_reads_back_as_it_was_marshalled(value: Signature) -> None:
    assert parse_signature(marshal.signature(value)) == value


@given(publics)
def test_a_public_area_reads_back_as_it_was_marshalled(value: Public) -> None:
    assert parse_public(marshal.public(value)) == value


@given(st.binary(max_size=2100) | attests.map(marshal.attest), st.data())
def test_bytes_never_do_more_to_a_parser_than_being_refused(data: bytes, draw: st.DataObject) -> None:
    if data:
        at = draw.draw(st.integers(0, len(data) - 1))
        data = data[:at] + draw.draw(st.binary(max_size=4)) + data[at + 1 :]
    for parse in (parse_attest, parse_signature, parse_public, name_of):
        try:
            parse(data)
        except RefusedError as refused:
            assert refused.why


@pytest.mark.parametrize("kind", KINDS)
def test_every_truncation_and_every_extension_is_refused(
    kind: KeyType, tpms: dict[KeyType, SoftwareTpm]
) -> None:
    attest, signature = tpms[kind].quote(NONCE, PCRS)
    for parse, whole, malformed in (
        (parse_attest, attest, Reason.MALFORMED_ATTEST),
        (parse_signature, signature, Reason.MALFORMED_SIGNATURE),
        (parse_public, tpms[kind].ak_public, Reason.MALFORMED_EVIDENCE),
    ):
        parse(whole)
        for length in range(len(whole)):
            assert _reason(parse, whole[:length]) is malformed, length
        for tail in (b"\0", b"\0\0", whole):
            assert _reason(parse, whole + tail) is Reason.TRAILING_BYTES


def _reason(parse: object, data: bytes) -> Reason | None:
    assert callable(parse)
    try:
        parse(data)
    except RefusedError as refused:
        return refused.reason
    return None


def test_sizes_are_bounded_before_anything_is_read() -> None:
    assert _reason(parse_attest, bytes(2049)) is Reason.SIZE_LIMIT
    other = replace(_quote(), type=software_tpm.NV, selections=None, pcr_digest=None)
    body = bytes(2048 - len(marshal.attest(other)))
    assert parse_attest(marshal.attest(replace(other, body=body))).body == body
    assert _reason(parse_attest, marshal.attest(replace(other, body=body + b"\0"))) is Reason.SIZE_LIMIT
    assert _reason(parse_signature, bytes(1025)) is Reason.SIZE_LIMIT
    assert _reason(parse_signature, bytes(1024)) is Reason.MALFORMED_SIGNATURE
    assert _reason(parse_public, bytes(2049)) is Reason.SIZE_LIMIT
    assert _reason(parse_public, bytes(2048)) is Reason.KEY_ATTRIBUTES


def _quote() -> Attest:
    return Attest(
        magic=structures.GENERATED,
        type=structures.QUOTE,
        qualified_signer=bytes(34),
        extra_data=NONCE,
        clock=software_tpm.CLOCK,
        firmware_version=1,
        selections=(Selection(hash_alg=Alg.SHA256, pcrs=(0, 23)),),
        pcr_digest=bytes(32),
    )


def test_the_safe_byte_is_yes_or_no() -> None:
    whole = bytearray(marshal.attest(_quote()))
    at = 4 + 2 + 36 + 34 + 16
    assert whole[at] == 1
    for value in range(256):
        whole[at] = value
        expected = None if value in {0, 1} else Reason.MALFORMED_ATTEST
        assert _reason(parse_attest, bytes(whole)) is expected


def test_pcr_numbers_of_a_bit_map() -> None:
    whole = marshal.attest(_quote())
    assert bytes.fromhex("00000001000b03010080") in whole
    assert parse_attest(whole).selections == (Selection(hash_alg=Alg.SHA256, pcrs=(0, 23)),)


@pytest.mark.parametrize("size_bytes", [0, 1, 2, 5, 255])
def test_a_bit_map_of_a_size_that_no_platform_has_is_refused(size_bytes: int) -> None:
    whole = marshal.attest(_quote())
    at = whole.index(bytes.fromhex("00000001000b03")) + 6
    lying = whole[:at] + bytes([size_bytes]) + bytes(size_bytes) + whole[at + 4 :]
    assert _reason(parse_attest, lying) is Reason.MALFORMED_ATTEST


@pytest.mark.parametrize("count", [17, 2**16, 2**32 - 1])
def test_a_count_of_selections_is_bounded(count: int) -> None:
    many = (Selection(hash_alg=Alg.SHA256, pcrs=()),) * 17
    whole = marshal.attest(replace(_quote(), selections=many))
    lying = whole.replace(marshal.number(17, 4), marshal.number(count, 4), 1)
    assert _reason(parse_attest, lying) is Reason.MALFORMED_ATTEST


def test_lengths_that_lie_are_refused() -> None:
    whole = marshal.attest(_quote())
    for at in (6, 6 + 36, len(whole) - 34):
        length = int.from_bytes(whole[at : at + 2], "big")
        for lie in {0, 1, length - 1, length + 1, 67, 0x7FFF, 0xFFFF}:
            lying = whole[:at] + marshal.number(lie, 2) + whole[at + 2 :]
            assert _reason(parse_attest, lying) in {Reason.MALFORMED_ATTEST, Reason.TRAILING_BYTES}, (at, lie)


@pytest.mark.parametrize("scheme", [0, Alg.HMAC, Alg.NULL, Alg.RSAES, Alg.OAEP, Alg.ECDAA, Alg.SM2, 0xFFFF])
def test_what_is_no_signature_scheme_of_a_quote_has_no_meaning(scheme: int) -> None:
    data = marshal.number(scheme, 2) + marshal.number(Alg.SHA256, 2) + marshal.sized(bytes(32))
    assert _reason(parse_signature, data) is Reason.MALFORMED_SIGNATURE


@pytest.mark.parametrize("kind", [0, 8, 0x25, 0xFFFF])
def test_an_object_that_is_no_asymmetric_key_is_refused(kind: int) -> None:
    assert _reason(parse_public, marshal.number(kind, 2) + bytes(40)) is Reason.KEY_ATTRIBUTES


@pytest.mark.parametrize("name_alg", [0, Alg.SHA1, Alg.NULL, 0x0012, 0xFFFF])
def test_names_by_weak_or_unknown_hashes_are_not_believed(name_alg: int) -> None:
    assert _reason(name_of, bytes(2) + marshal.number(name_alg, 2) + bytes(60)) is Reason.KEY_ATTRIBUTES
    with pytest.raises(RefusedError):
        qualified_name(structures.ENDORSEMENT, marshal.number(name_alg, 2) + bytes(32))
    assert _reason(name_of, b"\0\x01\0") is Reason.MALFORMED_EVIDENCE


_HEAD, _TAIL = "0023000b000500720000", "0001" + "01" + "0001" + "02"


def test_a_key_as_the_templates_make_it_is_read() -> None:
    read = parse_public(bytes.fromhex(_HEAD + "0010" + "0018000b" + "0003" + "0010" + _TAIL))
    assert (read.curve, read.x, read.y) == (NIST_P256, b"\x01", b"\x02")


@pytest.mark.parametrize(
    "members",
    [
        *("0010" + "0018000b" + "0003" + f"{kdf:04x}000b" for kdf in (0x06, 0x07, 0x20, 0x21, 0x22)),
        *("0010" + f"{scheme:04x}000b" + "0003" + "0010" for scheme in (0x05, 0x14, 0x1B, 0x1C, 0x1D)),
        *(f"{cipher:04x}00800043" + "0018000b" + "0003" + "0010" for cipher in (0x03, 0x13, 0x26)),
        "0010" + "001a000b0001" + "0003" + "0010",
    ],
)
def test_a_member_of_a_union_that_no_template_has_is_refused(members: str) -> None:
    assert _reason(parse_public, bytes.fromhex(_HEAD + members + _TAIL)) is Reason.MALFORMED_EVIDENCE
