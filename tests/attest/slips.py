"""Certificates that are not quite DER, as makers of TPMs write them: made from good ones and signed again.

The slip goes into the body before it is signed, so that the signature is over it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from random import Random

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from tests.attest.ek_certificates import PrivateKey

BOOLEAN, OCTETS, OID, UTF8 = 0x01, 0x04, 0x06, 0x0C
SEQUENCE, SET, EXTENSIONS = 0x30, 0x31, 0xA3
UTC_TIME, GENERALIZED_TIME = 0x17, 0x18

ECDSA_SHA1 = bytes.fromhex("2a8648ce3d0401")


@dataclass
class Node:
    """One value: its tag, and its content or the values in it."""

    tag: int
    content: bytes = b""
    values: list[Node] = field(default_factory=list)

    @property
    def der(self) -> bytes:
        content = self.content + b"".join(one.der for one in self.values)
        size = len(content)
        length = size.to_bytes((size.bit_length() + 7) // 8 or 1, "big")
        return bytes([self.tag, *([len(length) | 0x80] if size > 0x7F else []), *length]) + content


def parsed(data: bytes) -> Node:
    (node,) = _parsed(data)
    return node


def _parsed(data: bytes) -> list[Node]:
    found = []
    while data:
        size, start = data[1], 2
        if size > 0x7F:
            start += size - 0x80
            size = int.from_bytes(data[2:start], "big")
        content, tag = data[start : start + size], data[0]
        found.append(Node(tag, values=_parsed(content)) if tag & 0x20 else Node(tag, content))
        data = data[start + size :]
    return found


Slip = Callable[[Node], None]
"""Changes a certificate's body, TBSCertificate of RFC 5280."""


def _parts(body: Node) -> list[Node]:
    """Signature algorithm, issuer, validity, subject and key."""
    return [one for one in body.values if one.tag == SEQUENCE]


def extensions(body: Node) -> list[Node]:
    """Its extensions, each of an identifier, sometimes a boolean, and a value."""
    return [one for outer in body.values if outer.tag == EXTENSIONS for one in outer.values[0].values]


def _attribute(number: str, text: str) -> Node:
    return Node(SEQUENCE, values=[Node(OID, bytes.fromhex(number)), Node(UTF8, text.encode())])


def names(body: Node) -> None:
    """Issuer and subject are one set of three attributes, the longest first; the TPM's three likewise."""
    for name in (_parts(body)[1], _parts(body)[3]):
        if name.values:
            (common,) = name.values[0].values
            further = [_attribute("55040a", "a corporation"), _attribute("550406", "TW")]
            name.values = [Node(SET, values=[common, *further])]
            assert [one.der for one in name.values[0].values] != sorted(one.der for one in (common, *further))
    for extension in extensions(body):
        if extension.values[0].content == bytes.fromhex("551d11"):
            value = parsed(extension.values[-1].content)
            directory = value.values[0].values[0]
            attributes = [one for each in directory.values for one in each.values]
            attributes.sort(key=lambda one: one.der, reverse=True)
            directory.values = [Node(SET, values=attributes)]
            extension.values[-1].content = value.der


def defaults(body: Node) -> None:
    """`critical` and `cA` are written out where they are FALSE, and one extension more where it is."""
    for extension in extensions(body):
        if extension.values[1].tag != BOOLEAN:
            extension.values.insert(1, Node(BOOLEAN, b"\0"))
        if extension.values[0].content == bytes.fromhex("551d13") and extension.values[-1].content == b"0\0":
            extension.values[-1].content = bytes.fromhex("3003010100")
    outer = [one for one in body.values if one.tag == EXTENSIONS]
    private = [Node(OID, bytes.fromhex("2a0304")), Node(BOOLEAN, b"\0"), Node(OCTETS, b"\x05\0")]
    outer[0].values[0].values.append(Node(SEQUENCE, values=private))


def parameters(body: Node) -> None:
    """The signature's algorithm names a curve."""
    _parts(body)[0].values.append(Node(OID, bytes.fromhex("2a8648ce3d030107")))


def days(body: Node) -> None:
    """The days have years of four digits."""
    validity = _parts(body)[2]
    validity.values = [Node(GENERALIZED_TIME, b"20" + one.content) for one in validity.values]


def sha1(body: Node) -> None:
    """The signature is by SHA-1."""
    _parts(body)[0].values[0].content = ECDSA_SHA1


SLIPS: dict[str, Slip] = {"names": names, "defaults": defaults, "parameters": parameters, "days": days}


def signed(body: bytes, algorithm: bytes, key: PrivateKey, *, by_sha1: bool = False) -> bytes:
    """A certificate of any body, truly signed by a key on a curve."""
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    digest = hashes.SHA1() if by_sha1 else hashes.SHA256()
    signature = key.sign(body, ec.ECDSA(digest))
    content = body + algorithm + Node(0x03, b"\0" + signature).der
    return Node(SEQUENCE, content).der


def slipped(certificate: bytes, key: PrivateKey, slips: Sequence[Slip]) -> bytes:
    """The certificate with slips, signed by `key` over its new body."""
    body = parsed(certificate).values[0]
    for slip in slips:
        slip(body)
    return signed(body.der, _parts(body)[0].der, key, by_sha1=sha1 in slips)


def walked(node: Node) -> list[Node]:
    """The value and all values in it, extensions' own too where they are read."""
    return [node, *(one for value in node.values for one in walked(value))]


def shaken(body: Node, random: Random) -> None:
    """Change one to three values of a body, so that it is still built of values."""
    for _ in range(random.randint(1, 3)):
        node = random.choice(walked(body)[1:])
        match random.randrange(7):
            case 0:
                node.tag = random.choice([0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x0C, 0x13, 0x17, 0x18, 0x1E])
            case 1:
                node.content = random.randbytes(random.choice([0, 1, 2, 20]))
            case 2 if node.content:
                place = random.randrange(len(node.content))
                changed = bytes([random.randrange(256)])
                node.content = node.content[:place] + changed + node.content[place + 1 :]
            case 3 if node.values:
                node.values.append(parsed(random.choice(node.values).der))
            case 4 if node.values:
                node.values.remove(random.choice(node.values))
            case 5:
                node.values = random.sample(node.values, len(node.values))
            case _:
                node.values.append(Node(0x05))


def pem(*certificates: bytes) -> bytes:
    """As a file of roots holds them."""
    from ssl import DER_cert_to_PEM_cert

    return "".join(map(DER_cert_to_PEM_cert, certificates)).encode()
