"""Whatever a maker's certificates say, a machine that sends them is refused with a reason and in time."""

from __future__ import annotations

import contextlib
from random import Random

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from harness.attest.evidence import RefusedError
from harness.attest.identity import authorities, certificate
from harness.attest.identity.endorsement import MAX_CERTIFICATES, check
from harness.attest.played.software_tpm import SoftwareTpm
from harness.attest.reasons import Reason
from tests.attest import slips
from tests.attest.ek_certificates import NOW, Authority, pem
from tests.attest.makers import POLICIES, Maker, rsa_key


@pytest.fixture(scope="module")
def tpm() -> SoftwareTpm:
    return SoftwareTpm("ecc-p256")


def test_a_thousand_authorities_of_one_name_take_no_time(tpm: SoftwareTpm) -> None:
    """What a machine sends cannot make the search for a chain endless."""
    odd = Maker((slips.names,), tpm)
    own = odd.certify(Authority(name="loop"))
    loops = [odd.dressed(Authority(name="loop")) for _ in range(MAX_CERTIFICATES - 1)]
    with pytest.raises(RefusedError) as caught:
        odd.check(own, *loops, roots=[odd.dressed(Authority(name="root"))])
    assert caught.value.reason is Reason.EK_CHAIN


def test_a_name_that_is_no_text(tpm: SoftwareTpm) -> None:
    """A BIT STRING as the issuer's common name."""

    def bits(body: slips.Node) -> None:
        issuer = [one for one in body.values if one.tag == slips.SEQUENCE][1]
        issuer.values[0].values[0].values[1] = slips.Node(0x03, b"\0\xa5")

    root = Authority(name="root")
    strict = Maker((), tpm)
    with pytest.raises(RefusedError) as caught:
        strict.check(strict.certify(root, bits), roots=[strict.dressed(root)])
    assert caught.value.reason in {Reason.EK_CERTIFICATE, Reason.EK_CHAIN}


@pytest.mark.filterwarnings("ignore:Parsed a serial number")
@pytest.mark.parametrize("seed", range(4))
def test_whatever_a_makers_certificate_says_is_refused_with_a_reason(tpm: SoftwareTpm, seed: int) -> None:
    """Values of the body, and of the extensions in it, are changed before it is signed."""
    random = Random(seed)
    root = Authority(name="root")
    found = authorities.parse(pem(root.certificate), where="the roots")
    good = root.certify(tpm.ek.public_key(), further=POLICIES)
    for _ in range(500):
        own = slips.parsed(good)
        body = own.values[0]
        for extension in slips.extensions(body):
            if random.random() < 0.3:
                value = slips.parsed(extension.values[-1].content)
                slips.shaken(slips.Node(0x30, values=[value]), random)
                extension.values[-1].content = value.der
        if random.random() < 0.7:
            slips.shaken(body, random)
        data = slips.signed(body.der, own.values[1].der, root.key)
        with contextlib.suppress(RefusedError):
            check([data], tpm.ek_public, roots=found.roots, now=NOW)


def test_a_key_that_is_not_read_is_named(tpm: SoftwareTpm) -> None:
    """The key's algorithm is RSAES-OAEP, as in some certificates of old."""

    def oaep(body: slips.Node) -> None:
        key = [one for one in body.values if one.tag == slips.SEQUENCE][4]
        key.values[0].values[0].content = bytes.fromhex("2a864886f70d010107")

    root = Authority(name="root")
    own = root.certify(rsa_key(2048).public_key())
    with pytest.raises(RefusedError) as caught:
        Maker((), tpm).check(
            slips.slipped(own, root.key, [oaep]), roots=[root.certificate.public_bytes(Encoding.DER)]
        )
    assert caught.value.reason is Reason.EK_KEY
    assert "id-RSAES-OAEP" in caught.value.why


def test_an_authority_that_openssl_does_not_read_is_refused_with_a_reason(tpm: SoftwareTpm) -> None:
    """Its name is a BMPString of a character beyond the basic plane, which the strict reader takes."""

    def wide(body: slips.Node) -> None:
        subject = [one for one in body.values if one.tag == slips.SEQUENCE][3]
        subject.values[0].values[0].values[1] = slips.Node(0x1E, "\U0001f600".encode("utf-16-be"))

    root = Authority(name="root")
    between = Authority(name="\U0001f600", parent=root)
    own = Maker([slips.parameters], tpm).certify(between)
    strict = Maker((), tpm)
    with pytest.raises(RefusedError) as caught:
        strict.check(own, strict.dressed(between, wide), roots=[strict.dressed(root)])
    assert caught.value.reason is Reason.EK_CHAIN
    assert "OpenSSL" in caught.value.why


def test_whatever_the_parameters_of_a_key_are_the_certificate_is_read(tpm: SoftwareTpm) -> None:
    """A root of an unknown algorithm, with values within values deeper than any slip is looked for."""

    def deep(body: slips.Node) -> None:
        key = [one for one in body.values if one.tag == slips.SEQUENCE][4]
        value = slips.Node(0x05)
        for _ in range(40):
            value = slips.Node(slips.SEQUENCE, values=[value])
        key.values[0].values = [slips.Node(slips.OID, bytes.fromhex("2a0304")), value]

    read = certificate.read(Maker((), tpm).dressed(Authority(name="root"), deep))
    assert read.strict
    assert read.key_type == "1.2.3.4"
