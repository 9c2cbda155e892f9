r"""What the data of an IMA entry say: which fields they have, and which path and digest are in them.

A template's name is in no digest and may be relabelled by the sender of the list; its data are in the
template digest. A builtin template's data are therefore read strictly by its fields, and data under any other
name by what leads them: a digest and a name, as every builtin template but the oldest has them. So another
label cannot hide which file was measured. This module must never believe more of a label than that.

Source: Linux ``Documentation/security/IMA-templates.rst``, and ``ima_template_lib.c`` in
``security/integrity/ima``.
"""

from __future__ import annotations

import struct
from binascii import hexlify, unhexlify
from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType
from typing import Final, TypeAlias

LEGACY: Final = b"ima"
"""The oldest template: a digest of 20 bytes and a name, hashed as padded to 256 bytes, without sizes."""

BUILTIN: Final[Mapping[bytes, tuple[str, ...]]] = {
    LEGACY: ("d", "n"),
    b"ima-ng": ("d-ng", "n-ng"),
    b"ima-ngv2": ("d-ngv2", "n-ng"),
    b"ima-sig": ("d-ng", "n-ng", "sig"),
    b"ima-sigv2": ("d-ngv2", "n-ng", "sig"),
    b"ima-buf": ("d-ng", "n-ng", "buf"),
    b"ima-modsig": ("d-ng", "n-ng", "sig", "d-modsig", "modsig"),
    b"evm-sig": (
        *("d-ng", "n-ng", "evmsig", "xattrnames", "xattrlengths"),
        *("xattrvalues", "iuid", "igid", "imode"),
    ),
}
"""The kernel's own templates and their fields."""

_NAMES: Final = frozenset({"n", "n-ng"})
_DIGEST_BYTES: Final[Mapping[bytes, tuple[str, int]]] = {
    name.encode(): (name, size)
    for name, size in (
        ("md5", 16),
        ("sha1", 20),
        ("rmd160", 20),
        ("sha224", 28),
        ("sha256", 32),
        ("sha384", 48),
        ("sha512", 64),
        ("sm3", 32),
        ("streebog256", 32),
        ("streebog512", 64),
        ("sha3-256", 32),
        ("sha3-384", 48),
        ("sha3-512", 64),
    )
}
"""The kernel's names of hashes (``crypto/hash_info.c``), and their bytes."""

_KINDS: Final[Mapping[bytes, str]] = {b"": "", b"ima": "", b"verity": "verity-"}
"""What may stand before a hash, and what that makes of its name."""

_RAW_DIGESTS: Final[Mapping[int, str]] = MappingProxyType({16: "md5", 20: "sha1"})
_LEGACY_DIGEST_BYTES: Final = 20
_LEGACY_NAME_BYTES: Final = 256
_MAX_FIELDS: Final = 64
_U32: Final = struct.Struct("<I")


class MalformedError(Exception):
    """Why an entry is invalid; the list's reader adds which one and turns it into a refusal."""


Measured: TypeAlias = tuple[str, str, bytes]
r"""What was measured, as far as an entry's data say: path, hash and digest.

The path is the file's, or the name of a buffer; bytes that are not UTF-8 read ``\xNN``. The hash is that of
the content, by the kernel's name, with ``verity-`` before it where the digest is fs-verity's.
"""


def measured(template: bytes, body: bytes, *, violation: bool) -> Measured | None:
    """What the data of an entry say was measured; None where that is not known of such data.

    A list has 100,000s of entries: of what a builtin template has behind the name only the sizes are read.

    Raises:
        MalformedError: The data are not those of the builtin template that they are said to be of.
    """
    fields = BUILTIN.get(template)
    if fields is None:
        return _by_content(template, body, violation=violation)
    if template == LEGACY:
        return _of_legacy(body)
    try:
        (size,) = _U32.unpack_from(body)
        first_end = 4 + size
        (size,) = _U32.unpack_from(body, first_end)
        at = second_end = first_end + 4 + size
        for _ in fields[2:]:
            (size,) = _U32.unpack_from(body, at)
            at += 4 + size
    except struct.error as error:
        raise MalformedError("the sizes of its fields do not add up") from error
    if at != len(body):
        raise MalformedError("the sizes of its fields do not add up")
    name = _name(body[first_end + 4 : second_end])
    if name is None:
        raise MalformedError("its name does not end with a zero byte, or has one inside")
    digest = _digest(body[4:first_end], typed=fields[0] == "d-ngv2", violation=violation)
    if digest is None:
        raise MalformedError("its file digest is of no known form")
    return name, digest[0], digest[1]


def named(template: bytes, body: bytes) -> Mapping[str, bytes]:
    """The data's fields by the kernel's names, as far as the label says them; empty where it does not."""
    if template == LEGACY:
        return {"d": body[:-_LEGACY_NAME_BYTES], "n": body[-_LEGACY_NAME_BYTES:].rstrip(b"\0")}
    fields, parts = _labelled(template), split(body)
    if fields is None or parts is None or len(fields) != len(parts):
        return {}
    return dict(zip(fields, parts, strict=True))


def split(body: bytes) -> list[bytes] | None:
    """The fields of template data, each with its size before it; None where the sizes do not add up."""
    parts: list[bytes] = []
    at, end = 0, len(body)
    while at < end:
        if at + 4 > end or len(parts) == _MAX_FIELDS:
            return None
        (size,) = _U32.unpack_from(body, at)
        at += 4
        if size > end - at:
            return None
        parts.append(body[at : at + size])
        at += size
    return parts


def legacy(digest: bytes, name: bytes) -> bytes:
    """The data of the oldest template, as they are hashed."""
    return digest + name.ljust(_LEGACY_NAME_BYTES, b"\0")


def from_text(template: bytes, rest: bytes) -> bytes:
    """The template data that the text behind a template's name in the ASCII form stands for.

    Raises:
        MalformedError: It stands for none, or the fields of such a template are not known.
    """
    fields = BUILTIN.get(template) or _labelled(template)
    if fields is None:
        raise MalformedError(
            f"the fields of template {_shown(template)} are not known, nor so what was hashed of this text"
        )
    words = _words(fields, rest)
    if template == LEGACY:
        return legacy(_bytes(words[0]), words[1])
    parts = [_WRITERS[name](word) for name, word in zip(fields, words, strict=True)]
    return b"".join([_U32.pack(len(part)) + part for part in parts])


def _labelled(template: bytes) -> tuple[str, ...] | None:
    """The fields of a builtin template, or of a custom one, whose name is its format."""
    if template in BUILTIN:
        return BUILTIN[template]
    fields = tuple(template.decode("ascii", "replace").split("|"))
    return fields if set(fields) <= _WRITERS.keys() else None


def _of_legacy(body: bytes) -> Measured:
    """What data of the oldest template say; kernels before 3.13 pad an MD5 digest to 20 bytes."""
    digest, name = body[:-_LEGACY_NAME_BYTES], body[-_LEGACY_NAME_BYTES:].rstrip(b"\0")
    if len(digest) == _LEGACY_DIGEST_BYTES and digest.endswith(bytes(4)) and any(digest):
        digest = digest[:16]
    return _text(name), _RAW_DIGESTS[len(digest)], digest


def _by_content(template: bytes, body: bytes, *, violation: bool) -> Measured | None:
    """What data under any other name say, by the digest and the name that lead them."""
    if len(body) - _LEGACY_NAME_BYTES in _RAW_DIGESTS:
        name = body[-_LEGACY_NAME_BYTES:].rstrip(b"\0")
        if name and 0 not in name and len(name) < _LEGACY_NAME_BYTES:
            return _of_legacy(body)
    parts, labels = (split(body) or [])[:2], _labelled(template) or ()
    if len(parts) != 2:
        return None
    for at in (0, 1):
        first, second = parts[at], parts[1 - at]
        digest = _digest(first, typed=None, violation=violation)
        if digest is None and labels[at : at + 1] == ("d",) and len(first) in _RAW_DIGESTS:
            digest = _RAW_DIGESTS[len(first)], first
        path = _name(second)
        if digest is not None and path is not None:
            return path, *digest
    return None


def _digest(field: bytes, *, typed: bool | None, violation: bool) -> tuple[str, bytes] | None:
    """Hash and digest in a field such as ``sha256:`` and the digest behind a zero byte; else None.

    Args:
        field: The field.
        typed: Whether ``ima:`` or ``verity:`` stands before the hash; None where either may be.
        violation: Then the digest is zeros, which some kernels make 20 of whatever the hash.
    """
    algorithm, _, content = field.partition(b":\0")
    plain = _DIGEST_BYTES.get(algorithm)
    if plain is not None and not typed and len(content) == plain[1]:
        return plain[0], content
    kind, colon, rest = algorithm.rpartition(b":")
    if (typed is not None and typed != bool(colon)) or kind not in _KINDS:
        return None
    known = _DIGEST_BYTES.get(rest)
    if known is None or (len(content) != known[1] and not (violation and content == bytes(20))):
        return None
    return (_KINDS[kind] + known[0]), content


def _name(field: bytes) -> str | None:
    """The text of a field that ends with its only zero byte; None where it does not."""
    return (
        field[:-1].decode("utf-8", "backslashreplace") if field.find(b"\0") == len(field) - 1 >= 0 else None
    )


def _text(path: bytes) -> str:
    return path.decode("utf-8", "backslashreplace")


def _words(fields: tuple[str, ...], rest: bytes) -> list[bytes]:
    """The text of each field. A path may hold blanks: what stands before and behind it is counted off."""
    name = 1 if fields[1:2] == ("n-ng",) else _first_name(fields)
    words = rest.split(b" ", name)
    words[-1:] = words[-1].rsplit(b" ", len(fields) - name - 1)
    if len(words) != len(fields):
        raise MalformedError(f"it has {len(words)} of the {len(fields)} fields {'|'.join(fields)}")
    return words


def _first_name(fields: tuple[str, ...]) -> int:
    return next((at for at, field in enumerate(fields) if field in _NAMES), len(fields) - 1)


def _of_name(word: bytes) -> bytes:
    return word + b"\0"


def _of_names(word: bytes) -> bytes:
    """Of extended attributes there may be none, which is a field of nothing."""
    return word + b"\0" if word else b""


def _of_digest(word: bytes) -> bytes:
    """A field such as ``sha256:`` and the digest behind a zero byte; nothing where no digest is there."""
    algorithm, colon, digits = word.rpartition(b":")
    return algorithm + b":\0" + _bytes(digits) if colon else b""


def _of_number(form: struct.Struct, word: bytes) -> bytes:
    if not word:
        return b""
    try:
        return form.pack(int(word))
    except (ValueError, struct.error) as error:
        raise MalformedError(f"an owner, group or mode is not a number of {form.size} bytes") from error


def _bytes(hexadecimal: bytes) -> bytes:
    """The bytes of hexadecimal digits in the one spelling that the kernel uses."""
    try:
        data = unhexlify(hexadecimal)
    except ValueError as error:
        raise MalformedError("a digest or signature is not hexadecimal") from error
    if hexlify(data) != hexadecimal:
        raise MalformedError("a digest or signature is not in lower case")
    return data


def digest_of_text(hexadecimal: bytes) -> bytes:
    """The template digest that a line shows.

    Raises:
        MalformedError: It is not a digest.
    """
    return _bytes(hexadecimal)


def _shown(template: bytes) -> str:
    """A template's name for a message, whatever bytes it has."""
    return repr(template[:64].decode("ascii", "backslashreplace"))


_WRITERS: Final[Mapping[str, Callable[[bytes], bytes]]] = {
    **dict.fromkeys(("d", "sig", "buf", "modsig", "evmsig", "xattrlengths", "xattrvalues"), _bytes),
    **dict.fromkeys(("d-ng", "d-ngv2", "d-modsig"), _of_digest),
    **dict.fromkeys(("n", "n-ng"), _of_name),
    "xattrnames": _of_names,
    "iuid": partial(_of_number, struct.Struct("<I")),
    "igid": partial(_of_number, struct.Struct("<I")),
    "imode": partial(_of_number, struct.Struct("<H")),
}
"""How the text of a field becomes its bytes, for every field that the kernel knows."""
