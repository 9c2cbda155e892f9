"""Four slips of encoding that makers of TPMs put into their certificates, undone for reading.

DER has one way to write each value. Some makers' certificates break that rule where most libraries do not
look, and a library that does look refuses them whole. What is undone here means the same with and without it:

* a SET, whose elements have no order, is not sorted by its elements' bytes (X.690, 11.6);
* a BOOLEAN that is FALSE by default is written out (X.690, 11.5): ``critical`` of an extension, ``cA`` of the
  basic constraints;
* the algorithm of an ECDSA signature has parameters, where there are none (RFC 5758, 3.2);
* a day before 2050 is a GeneralizedTime, where certificates have a UTCTime (RFC 5280, 4.1.2.5).

Anything else that is not DER stays as it is, for the strict reader to refuse. The result serves to read a
certificate's fields; its signature is over the original bytes and must be verified over those.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterator

MAX_DEPTH = 16
"""Values within values; a certificate has less than ten."""

_BOOLEAN, _OCTETS, _OID, _SEQUENCE, _SET, _EXTENSIONS = 0x01, 0x04, 0x06, 0x30, 0x31, 0xA3
_CONSTRUCTED = 0x20
_FALSE = b"\x01\x01\x00"
_BASIC_CONSTRAINTS = b"\x06\x03\x55\x1d\x13"
_ECDSA_WITH_SHA2 = frozenset(bytes.fromhex(f"06082a8648ce3d0403{last:02x}") for last in (2, 3, 4))
"""ecdsa-with-SHA256, -SHA384 and -SHA512 (RFC 5758, 3.2), tag and length before each."""

_UTC_TIME, _GENERALIZED_TIME = 0x17, 0x18
_BEFORE_2050 = re.compile(rb"(?:19[5-9]|20[0-4])\d{11}Z")

_UNSORTED = "a SET out of order"
_DEFAULT = "a default value written out"
_PARAMETERS = "parameters of an ECDSA signature"
LONG_YEAR = "a day before 2050 with a year of four digits"
"""The one slip that the strict reader reads; it is only its verification that refuses."""


def undone(certificate: bytes) -> tuple[bytes, tuple[str, ...]]:
    """A certificate's DER without the slips, and what they were; unchanged and none where it has none.

    Raises:
        ValueError: It is not built as a certificate is.
    """
    slips: list[str] = []
    body, algorithm, *rest = _within(_only(certificate), _SEQUENCE)
    parts = [_body(body, slips), _algorithm(algorithm, slips), *rest]
    return _wrapped(_SEQUENCE, b"".join(parts)), tuple(dict.fromkeys(slips))


def signed_part(certificate: bytes) -> bytes:
    """The bytes that a certificate's signature is over.

    Raises:
        ValueError: It is not built as a certificate is.
    """
    body, _, _ = _within(_only(certificate), _SEQUENCE)
    return body


def _body(body: bytes, slips: list[str]) -> bytes:
    """TBSCertificate (RFC 5280, 4.1): its sequences are signature, issuer, validity, subject and key."""
    parts, sequences = [], 0
    for part in _within(body, _SEQUENCE):
        if part[0] == _SEQUENCE:
            sequences += 1
            change = {1: _algorithm, 3: _validity}.get(sequences, _sorted)
            parts.append(change(part, slips))
        elif part[0] == _EXTENSIONS:
            parts.append(_each(part, slips, lambda list_, told: _each(list_, told, _extension)))
        else:
            parts.append(part)
    return _wrapped(_SEQUENCE, b"".join(parts))


def _algorithm(part: bytes, slips: list[str]) -> bytes:
    identifier, *parameters = _within(part, _SEQUENCE)
    if identifier not in _ECDSA_WITH_SHA2 or not parameters:
        return part
    slips.append(_PARAMETERS)
    return _wrapped(_SEQUENCE, identifier)


def _validity(part: bytes, slips: list[str]) -> bytes:
    return _each(part, slips, _day)


def _day(value: bytes, slips: list[str]) -> bytes:
    start, _ = _extent(value, 0)
    if value[0] != _GENERALIZED_TIME or not _BEFORE_2050.fullmatch(value[start:]):
        return value
    slips.append(LONG_YEAR)
    return _wrapped(_UTC_TIME, value[start + 2 :])


def _extension(part: bytes, slips: list[str]) -> bytes:
    """Extension: an object identifier, `critical` unless it is FALSE, and the value in an OCTET STRING."""
    fields = list(_within(part, _SEQUENCE))
    if len(fields) == 3 and fields[1] == _FALSE:
        slips.append(_DEFAULT)
        del fields[1]
    if fields and fields[-1][0] == _OCTETS:
        change = _constraints if fields[0] == _BASIC_CONSTRAINTS else _sorted
        with contextlib.suppress(ValueError):  # no DER in it: left to a reader that knows the extension
            fields[-1] = _each(fields[-1], slips, change)
    return _wrapped(_SEQUENCE, b"".join(fields))


def _constraints(value: bytes, slips: list[str]) -> bytes:
    fields = list(_within(value, _SEQUENCE))
    if fields[:1] != [_FALSE]:
        return value
    slips.append(_DEFAULT)
    return _wrapped(_SEQUENCE, b"".join(fields[1:]))


def _sorted(value: bytes, slips: list[str], depth: int = 0) -> bytes:
    """The value with each SET in it in order."""
    if depth > MAX_DEPTH:
        raise ValueError("values within values without an end")
    if not value[0] & _CONSTRUCTED:
        return value
    found = [_sorted(part, slips, depth + 1) for part in _within(value, value[0])]
    ordered = sorted(found) if value[0] == _SET else found
    if ordered != found:
        slips.append(_UNSORTED)
    return _wrapped(value[0], b"".join(ordered))


def _each(value: bytes, slips: list[str], change: Callable[[bytes, list[str]], bytes]) -> bytes:
    return _wrapped(value[0], b"".join(change(part, slips) for part in _within(value, value[0])))


def _only(data: bytes) -> bytes:
    (value,) = _values(data)
    return value


def _within(value: bytes, tag: int) -> Iterator[bytes]:
    """The values in a constructed one, each with its tag and length."""
    if value[0] != tag:
        raise ValueError(f"a value of tag {value[0]:#04x} where {tag:#04x} is due")
    start, _ = _extent(value, 0)
    return _values(value[start:])


def _values(data: bytes) -> Iterator[bytes]:
    at = 0
    while at < len(data):
        _, end = _extent(data, at)
        yield data[at:end]
        at = end


def _extent(data: bytes, at: int) -> tuple[int, int]:
    """Where the content of the value at `at` begins and ends (X.690, 8.1, 10.1)."""
    if len(data) < at + 2 or data[at] & 0x1F == 0x1F:
        raise ValueError("no value of DER")
    length, start = data[at + 1], at + 2
    if length >= 0x80:
        size = length - 0x80
        length, start = int.from_bytes(data[start : start + size], "big"), start + size
        if not 1 <= size <= 3 or length < 0x80 or length < 1 << 8 * (size - 1):
            raise ValueError("a length that is not written as DER writes it")
    if start + length > len(data):
        raise ValueError("cut short")
    return start, start + length


def _wrapped(tag: int, content: bytes) -> bytes:
    size = len(content)
    if size < 0x80:
        return bytes([tag, size]) + content
    length = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes([tag, 0x80 | len(length)]) + length + content
