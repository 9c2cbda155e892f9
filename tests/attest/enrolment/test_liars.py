"""Attesters that lie when they are enrolled: each lie is refused, and nothing is left behind."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding

from harness.attest.attester.contract import (
    Answer,
    AttesterError,
    CreatedKey,
    Identity,
)
from harness.attest.evidence import RefusedError
from harness.attest.identity import authorities
from harness.attest.identity.authorities import NOBODY
from harness.attest.identity.enrolment import enrol
from harness.attest.played import marshal
from harness.attest.reasons import Reason
from harness.attest.tpm import structures
from harness.registry.registry import Registry
from tests.attest import slips
from tests.attest.ek_certificates import Authority
from tests.attest.enrolment.asking import CLOCK, POLICIES, Altered, asked, refused
from tests.attest.machine import Machine, machine

pytestmark = pytest.mark.programs


@pytest.mark.parametrize("slip", slips.SLIPS.values(), ids=slips.SLIPS)
def test_a_tpm_is_enrolled_by_a_certificate_as_its_maker_wrote_it(
    one: Machine, registry: Registry, slip: slips.Slip
) -> None:
    """A real TPM's key under a maker's root, both with a slip and critical policies; stored as it came."""
    said = one.attester.identify()
    key = x509.load_der_x509_certificate(said.ek_certificates["0x01c00002"]).public_key()
    assert isinstance(key, rsa.RSAPublicKey)
    begin, end = datetime(2020, 1, 1, tzinfo=UTC), datetime(2049, 1, 1, tzinfo=UTC)
    maker = Authority(further=(POLICIES,), begin=begin, end=end)
    good = maker.certify(key, further=POLICIES, begin=begin, end=end)
    own = slips.slipped(good, maker.key, [slip])
    root = slips.slipped(maker.certificate.public_bytes(Encoding.DER), maker.key, [slip])
    certified = said.model_copy(update={"ek_certificates": {"0x01c00002": own}, "software": False})
    trusted = authorities.parse(slips.pem(root), where="the roots")
    done = enrol(
        Altered(one.attester, identity=lambda _said: certified),
        registry,
        asked(one, authorities=trusted),
        CLOCK,
    )
    assert (done.record.ek_certificate, done.record.tpm.manufacturer) == (own, "NTC NPCT75x")
    assert not done.record.tpm.software


def test_without_a_certificate_nobody_is_enrolled(one: Machine, registry: Registry) -> None:
    liar = Altered(one.attester, identity=lambda said: said.model_copy(update={"ek_certificates": {}}))
    error = refused(liar, registry, asked(one))
    assert error.reason is Reason.EK_CERTIFICATE
    assert "--trust-ek" in error.remedy
    assert liar.keys_made == 0


def test_a_tpm_that_nobody_vouches_for_is_not_enrolled(
    one: Machine, tmp_path: Path, registry: Registry
) -> None:
    assert refused(one.attester, registry, asked(one, authorities=NOBODY)).reason is Reason.EK_CHAIN
    with machine(tmp_path / "stranger") as stranger:
        assert refused(stranger.attester, registry, asked(one)).reason is Reason.EK_CHAIN


def test_another_tpms_certificate_does_not_help(one: Machine, other: Machine, registry: Registry) -> None:
    certificates = one.attester.identify().ek_certificates
    liar = Altered(
        other.attester, identity=lambda said: said.model_copy(update={"ek_certificates": certificates})
    )
    assert refused(liar, registry, asked(one)).reason is Reason.EK_KEY


def test_another_tpms_endorsement_key_does_not_help(one: Machine, other: Machine, registry: Registry) -> None:
    """Certificate and key of one machine, everything else by another: it cannot open the credential.

    libtpms says that it failed (0x101) where it cannot decrypt, others that the credential is wrong. A liar
    says anything: with a secret of its own it is the secret that is refused.
    """
    stolen = one.attester.identify()
    liar = Altered(other.attester, identity=lambda _said: stolen, key=lambda said: _placed(said, stolen))
    with pytest.raises((RefusedError, AttesterError)) as caught:
        enrol(liar, registry, asked(one), CLOCK)
    assert caught.value.what in {Reason.CREDENTIAL, Reason.ATTESTER_FAILED}
    assert registry.attesters() == ()
    liar.activate = lambda *_given, **_named: bytes(32)  # type: ignore[method-assign]
    assert refused(liar, registry, asked(one)).reason is Reason.CREDENTIAL


def _placed(key: CreatedKey, under: Identity) -> CreatedKey:
    """The key with the names that it would have under another's endorsement key."""
    parent = structures.qualified_name(
        structures.ENDORSEMENT, structures.name_of(under.ek_public["rsa-2048"])
    )
    return key.model_copy(update={"qualified_name": structures.qualified_name(parent, key.name)})


def test_another_tpms_attestation_key_is_not_taken_for_ones_own(
    one: Machine, other: Machine, registry: Registry
) -> None:
    """It is a good key, only of another TPM: the real TPM refuses the credential that is made for it."""
    foreign = other.attester.create_key("ecc-p256")
    identity = one.attester.identify()
    liar = Altered(one.attester, key=lambda _said: _placed(foreign, identity))
    error = refused(liar, registry, asked(one))
    assert error.reason is Reason.CREDENTIAL


@pytest.mark.parametrize(
    "wrong", [lambda said: b"", lambda said: said[:-1], lambda said: bytes(32), lambda said: said + b"\0"]
)
def test_only_the_whole_secret_counts(
    one: Machine, registry: Registry, wrong: Callable[[bytes], bytes]
) -> None:
    assert refused(Altered(one.attester, secret=wrong), registry, asked(one)).reason is Reason.CREDENTIAL


@pytest.mark.parametrize("bit", [1 << 1, 1 << 4, 1 << 5, 1 << 16, 1 << 18], ids=lambda bit: f"{bit:#x}")
def test_a_key_that_may_leave_or_sign_anything_is_no_attestation_key(
    one: Machine, registry: Registry, bit: int
) -> None:
    def weakened(said: CreatedKey) -> CreatedKey:
        area = structures.parse_public(said.public)
        public = marshal.public(replace(area, attributes=area.attributes & ~bit))
        return said.model_copy(update={"public": public, "name": structures.name_of(public)})

    error = refused(Altered(one.attester, key=weakened), registry, asked(one))
    assert error.reason is Reason.KEY_ATTRIBUTES


def test_a_key_of_another_type_than_asked_for_is_refused(one: Machine, registry: Registry) -> None:
    other_kind = one.attester.create_key("rsa-2048")
    error = refused(Altered(one.attester, key=lambda _said: other_kind), registry, asked(one))
    assert error.reason is Reason.KEY_ATTRIBUTES


@pytest.mark.parametrize("field", ["name", "qualified_name"])
def test_a_key_that_is_said_to_be_elsewhere_is_refused(one: Machine, registry: Registry, field: str) -> None:
    def moved(said: CreatedKey) -> CreatedKey:
        value: bytes = getattr(said, field)
        return said.model_copy(update={field: value[:-1] + bytes([value[-1] ^ 1])})

    error = refused(Altered(one.attester, key=moved), registry, asked(one))
    assert error.reason is Reason.QUALIFIED_SIGNER


def test_the_first_quote_must_be_the_new_keys(one: Machine, registry: Registry) -> None:
    def broken(said: Answer) -> Answer:
        signature = said.evidence.signature
        bad = said.evidence.model_copy(update={"signature": signature[:-1] + bytes([signature[-1] ^ 1])})
        return replace(said, evidence=bad)

    error = refused(Altered(one.attester, answer=broken), registry, asked(one))
    assert error.reason is Reason.SIGNATURE_INVALID


def test_an_old_first_quote_is_no_first_quote(one: Machine, registry: Registry) -> None:
    kept: list[Answer] = []

    def replayed(said: Answer) -> Answer:
        kept.append(said)
        return kept[0]

    liar = Altered(one.attester, answer=replayed, key=lambda said: said)
    enrol(liar, registry, asked(one), CLOCK)
    # The key is another one now, so the old quote is not even signed by it.
    assert refused(liar, registry, asked(one, renew=True)).reason is Reason.SIGNATURE_INVALID


def test_a_failing_attester_leaves_nothing_behind(one: Machine, registry: Registry) -> None:
    def failing(_said: Answer) -> Answer:
        raise AttesterError(Reason.TPM_GONE, "unplugged")

    with pytest.raises(AttesterError):
        enrol(Altered(one.attester, answer=failing), registry, asked(one), CLOCK)
    assert registry.attesters() == ()
