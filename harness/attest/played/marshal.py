"""Marshalling as a TPM does it (TCG TPM 2.0 Library, Part 2): the parsers' counterpart.

Everything that can be said can be marshalled, whether it makes sense or not; that is what forgeries need.
"""

from __future__ import annotations

from collections.abc import Iterable

from harness.attest.tpm.algorithms import Alg
from harness.attest.tpm.structures import Attest, ClockInfo, Public, Selection, Signature


def number(value: int, size_bytes: int) -> bytes:
    """An unsigned integer, big endian."""
    return value.to_bytes(size_bytes, "big")


def sized(content: bytes) -> bytes:
    """TPM2B of `content`."""
    return number(len(content), 2) + content


def selection(one: Selection, *, select_bytes: int = 3) -> bytes:
    """TPMS_PCR_SELECTION, its bit map of `select_bytes`."""
    bits = sum(1 << pcr for pcr in one.pcrs)
    return number(one.hash_alg, 2) + number(select_bytes, 1) + bits.to_bytes(select_bytes, "little")


def selections(ones: Iterable[Selection]) -> bytes:
    """TPML_PCR_SELECTION."""
    parts = [selection(one, select_bytes=4 if max(one.pcrs, default=0) > 23 else 3) for one in ones]
    return number(len(parts), 4) + b"".join(parts)


def clock(info: ClockInfo) -> bytes:
    """TPMS_CLOCK_INFO."""
    return (
        number(info.clock_ms, 8)
        + number(info.reset_count, 4)
        + number(info.restart_count, 4)
        + number(info.safe, 1)
    )


def attest(value: Attest) -> bytes:
    """TPMS_ATTEST; a quote's body is written where there are selections, `body` otherwise."""
    head = (
        number(value.magic, 4)
        + number(value.type, 2)
        + sized(value.qualified_signer)
        + sized(value.extra_data)
        + clock(value.clock)
        + number(value.firmware_version, 8)
    )
    if value.selections is None:
        return head + value.body
    return head + selections(value.selections) + sized(value.pcr_digest or b"") + value.body


def signature(value: Signature, *, coordinate_bytes: int = 32) -> bytes:
    """TPMT_SIGNATURE; `r` and `s` at the fixed length that a TPM gives them, longer where they need it."""
    head = number(value.scheme, 2) + number(value.hash_alg, 2)
    if value.rsa is not None:
        return head + sized(value.rsa)
    return head + _coordinate(value.r or 0, coordinate_bytes) + _coordinate(value.s or 0, coordinate_bytes)


def _coordinate(value: int, size_bytes: int) -> bytes:
    return sized(number(value, max(size_bytes, -(-value.bit_length() // 8))))


def public(value: Public) -> bytes:
    """TPMT_PUBLIC of an RSA or ECC key, without key derivation."""
    head = (
        number(value.type, 2)
        + number(value.name_alg, 2)
        + number(value.attributes, 4)
        + sized(value.auth_policy)
    )
    if value.symmetric is None:
        head += number(Alg.NULL, 2)
    else:
        head += (
            number(value.symmetric.alg, 2)
            + number(value.symmetric.key_bits, 2)
            + number(value.symmetric.mode, 2)
        )
    if value.scheme is None:
        head += number(Alg.NULL, 2)
    else:
        head += number(value.scheme, 2)
        head += b"" if value.hash_alg is None else number(value.hash_alg, 2)
    if value.type == Alg.RSA:
        return (
            head
            + number(value.key_bits or 0, 2)
            + number(value.exponent or 0, 4)
            + sized(value.modulus or b"")
        )
    return (
        head
        + number(value.curve or 0, 2)
        + number(Alg.NULL, 2)
        + sized(value.x or b"")
        + sized(value.y or b"")
    )
