"""Enrolment with real TPMs: what passes is stored whole, what does not leaves nothing behind."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding

from harness.attest.attester.contract import (
    Answer,
    Ask,
    Attester,
    AttesterError,
    CreatedKey,
    Identity,
    Properties,
)
from harness.attest.evidence import KeyType, RefusedError
from harness.attest.examine.recording import genuine
from harness.attest.examine.round import Examiner
from harness.attest.identity import authorities, enrolment
from harness.attest.identity.authorities import NOBODY
from harness.attest.identity.endorsement import Endorsement, check
from harness.attest.identity.enrolled import EnrolledKey
from harness.attest.identity.enrolment import Request, check_place, enrol
from harness.attest.played import marshal
from harness.attest.played.logs import Line
from harness.attest.played.software_tpm import AK_ATTRIBUTES, SoftwareTpm
from harness.attest.reasons import Reason, Tier
from harness.attest.reference.files import load_policy
from harness.attest.reference.policy import AppraisalPolicy, ReferenceValues
from harness.attest.reference.values import record
from harness.attest.tpm import structures
from harness.clock import MonotonicClock
from harness.registry.places import policy_file
from harness.registry.registry import Registry, open_registry, sqlite_url
from tests.attest import slips
from tests.attest.ek_certificates import Authority
from tests.attest.machine import Machine, machine

pytestmark = pytest.mark.programs

if TYPE_CHECKING:
    from harness.attest.evidence import EkType

CLOCK = MonotonicClock()
POLICIES = x509.CertificatePolicies([x509.PolicyInformation(x509.ObjectIdentifier("1.3.6.1.4.1.55"), None)])
KINDS: tuple[KeyType, ...] = ("ecc-p256", "rsa-2048")


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("machines")


@pytest.fixture(scope="module")
def one(lab: Path) -> Iterator[Machine]:
    with machine(lab / "one") as made:
        yield made


@pytest.fixture(scope="module")
def other(lab: Path) -> Iterator[Machine]:
    """A machine whose TPM the same authority has certified."""
    with machine(lab / "other", authority=lab / "one" / "authority") as made:
        yield made


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[Registry]:
    with open_registry(sqlite_url(tmp_path / "registry.sqlite")) as opened:
        yield opened


def asked(of: Machine, name: str = "a", **options: object) -> Request:
    wanted = Request(name=name, kind="host", authorities=of.authorities, keys=("ecc-p256",))
    return replace(wanted, **options)  # type: ignore[arg-type]


def refused(attester: Attester, registry: Registry, request: Request) -> RefusedError:
    """The refusal; nothing of the request may be in the registry then."""
    before = registry.attesters()
    with pytest.raises(RefusedError) as caught:
        enrol(attester, registry, request, CLOCK)
    assert registry.attesters() == before
    return caught.value


# -- what passes


def test_a_machine_is_enrolled_with_both_keys_and_then_attests(one: Machine, registry: Registry) -> None:
    done = enrol(one.attester, registry, asked(one, keys=KINDS), CLOCK)
    assert registry.attester("a") == done.record
    assert {key.kind for key in done.record.keys} == set(KINDS)
    assert done.endorsement is not None
    assert done.record.ek_certificate == done.endorsement.certificate
    assert (done.record.tpm.software, done.record.tpm.manufacturer) == (True, "id:00001014 swtpm")
    names = [name for name, _ in done.phases]
    assert names == [
        "identify",
        "endorsement",
        *(f"{step} {kind}" for kind in KINDS for step in ("create", "activate", "first quote")),
        "store",
    ]
    assert all(ns > 0 for _, ns in done.phases)

    policy = load_policy(policy_file("lab"))
    good = record(genuine(one.attester, registry, "a", key="rsa-2048", policy=policy, clock=CLOCK), policy)
    examiner = _examiner(registry, policy, good)
    for kind in KINDS:
        verdict = examiner.examine("a", one.attester, key=kind).result
        assert (verdict.tier, verdict.reason) == (Tier.AFFIRMING, Reason.ACCEPTED)
    latest = registry.latest("a")
    assert latest is not None
    assert latest.tier is Tier.AFFIRMING


def _examiner(registry: Registry, policy: AppraisalPolicy, reference: ReferenceValues) -> Examiner:
    return Examiner(registry, lambda _name: policy, lambda _name: reference, CLOCK)


def test_a_file_that_changed_holds_the_machine_until_it_is_enrolled_anew(
    tmp_path: Path, registry: Registry
) -> None:
    with machine(tmp_path / "own") as own:
        enrol(own.attester, registry, asked(own), CLOCK)
        policy = load_policy(policy_file("lab"))
        good = record(
            genuine(own.attester, registry, "a", key="ecc-p256", policy=policy, clock=CLOCK), policy
        )
        examiner = _examiner(registry, policy, good)
        assert examiner.examine("a", own.attester, key="ecc-p256").result.tier is Tier.AFFIRMING

        own.use([Line(path=own.files[1].path, content=b"something else")])
        changed = examiner.examine("a", own.attester, key="ecc-p256").result
        assert (changed.tier, changed.reason) == (Tier.CONTRAINDICATED, Reason.IMA_FILE_CHANGED)
        held = registry.attester("a")
        assert held is not None
        assert held.held

        again = enrol(own.attester, registry, asked(own, renew=True), CLOCK)
        assert not again.record.held
        assert again.record.keys != held.keys
        assert examiner.examine("a", own.attester, key="ecc-p256").result.reason is Reason.IMA_FILE_CHANGED


def test_a_pinned_key_needs_no_certificate_but_counts_as_software(one: Machine, registry: Registry) -> None:
    public = one.attester.identify().ek_public["rsa-2048"]
    pin = structures.name_of(public).hex()[4:]
    hardware = {"ek_certificates": {}, "software": False}
    uncertified = Altered(one.attester, identity=lambda said: said.model_copy(update=hardware))
    done = enrol(uncertified, registry, asked(one, authorities=NOBODY, trusted_ek=pin), CLOCK)
    assert (done.endorsement, done.record.ek_certificate) == (None, None)
    assert done.record.tpm.software
    assert done.record.ek_name == structures.name_of(public)


def test_the_fingerprint_is_what_the_guide_has_the_machine_print(one: Machine) -> None:
    one.tpm.flush()
    one.tpm.run("tpm2_createek", "--key-algorithm", "rsa", "--ek-context", "ek.ctx", "--public", "ek.pub")
    printed = one.tpm.run("tpm2_readpublic", "--object-context", "ek.ctx").stdout
    one.tpm.flush()
    name = structures.name_of(one.attester.identify().ek_public["rsa-2048"]).hex()
    assert f"name: {name}" in printed
    assert name.startswith("000b")


@pytest.mark.parametrize(
    ("certified", "says", "counts"),
    [(True, False, True), (False, True, True), (True, True, True), (False, False, False)],
)
def test_a_tpm_is_hardware_only_if_its_maker_and_itself_say_so(
    one: Machine,
    registry: Registry,
    monkeypatch: pytest.MonkeyPatch,
    certified: bool,
    says: bool,
    counts: bool,
) -> None:
    def vouched(*given: object, **named: object) -> Endorsement:
        return replace(check(*given, **named), software=certified)  # type: ignore[arg-type]

    monkeypatch.setattr(enrolment, "check", vouched)
    said = Altered(one.attester, identity=lambda told: told.model_copy(update={"software": says}))
    assert enrol(said, registry, asked(one), CLOCK).record.tpm.software is counts


# -- attesters that lie


@dataclass
class Altered:
    """An attester whose answers are changed on their way; a liar is no other thing."""

    honest: Attester
    identity: Callable[[Identity], Identity] = lambda said: said
    key: Callable[[CreatedKey], CreatedKey] = lambda said: said
    secret: Callable[[bytes], bytes] = lambda said: said
    answer: Callable[[Answer], Answer] = lambda said: said
    keys_made: int = 0

    def identify(self) -> Identity:
        return self.identity(self.honest.identify())

    def create_key(self, key: KeyType, *, ek: EkType | None = None) -> CreatedKey:
        self.keys_made += 1
        return self.key(self.honest.create_key(key, ek=ek))

    def activate(self, key: KeyType, credential: bytes, secret: bytes, *, ek: EkType | None = None) -> bytes:
        return self.secret(self.honest.activate(key, credential, secret, ek=ek))

    def quote(self, ask: Ask) -> Answer:
        return self.answer(self.honest.quote(ask))

    def properties(self) -> Properties:
        return self.honest.properties()

    def close(self) -> None:
        self.honest.close()


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


# -- what the first quote proves, forged by a key holder

_NONCE = bytes(range(32))
_PCRS: Mapping[int, bytes] = {0: bytes(32)}


@pytest.fixture(params=KINDS)
def signer(request: pytest.FixtureRequest, tpms: dict[KeyType, SoftwareTpm]) -> SoftwareTpm:
    return tpms[request.param]


def placed(signer: SoftwareTpm, **overrides: object) -> None:
    evidence = signer.evidence(_NONCE, _PCRS)
    if overrides:
        attest, signature = signer.quote(_NONCE, _PCRS, **overrides)  # type: ignore[arg-type]
        evidence = evidence.model_copy(update={"attest": attest, "signature": signature})
    key = EnrolledKey(
        attester="host-a",
        kind=signer.kind,
        public=signer.ak_public,
        name=signer.name,
        qualified_name=signer.qualified_name,
    )
    check_place(evidence, key, _NONCE)


def test_a_good_first_quote_passes(signer: SoftwareTpm) -> None:
    placed(signer)
    placed(signer, magic=structures.GENERATED)  # the overriding itself breaks nothing


@pytest.mark.parametrize(
    ("overrides", "reason"),
    [
        ({"magic": 0xFF544348}, Reason.NOT_TPM_GENERATED),
        ({"type": 0x8017, "body": b"\0\0\0\0"}, Reason.NOT_A_QUOTE),
        ({"qualified_signer": b"\0\x0b" + bytes(32)}, Reason.QUALIFIED_SIGNER),
    ],
    ids=["magic", "type", "signer"],
)
def test_a_first_quote_must_say_where_the_key_is(
    signer: SoftwareTpm, overrides: dict[str, object], reason: Reason
) -> None:
    with pytest.raises(RefusedError) as caught:
        placed(signer, **overrides)
    assert caught.value.reason is reason


def test_a_first_quote_over_another_nonce_is_refused(signer: SoftwareTpm) -> None:
    key = EnrolledKey(
        attester="host-a",
        kind=signer.kind,
        public=signer.ak_public,
        name=signer.name,
        qualified_name=signer.qualified_name,
    )
    with pytest.raises(RefusedError) as caught:
        check_place(signer.evidence(_NONCE, _PCRS), key, _NONCE[:-1])
    assert caught.value.reason is Reason.NONCE_MISMATCH


# -- one id, one TPM


def test_an_id_that_is_taken_is_refused_before_any_key_is_made(
    one: Machine, other: Machine, registry: Registry
) -> None:
    """New keys would take the place of those that are enrolled."""
    enrol(one.attester, registry, asked(one), CLOCK)
    again, second = Altered(one.attester), Altered(other.attester)
    error = refused(again, registry, asked(one))
    assert (error.reason, again.keys_made) == (Reason.IDENTITY_TAKEN, 0)
    assert "--renew" in error.remedy
    error = refused(second, registry, asked(other))
    assert (error.reason, second.keys_made) == (Reason.IDENTITY_TAKEN, 0)
    assert error.why == "a is enrolled already, with another TPM"


def test_a_second_tpm_is_not_a_renewal(one: Machine, other: Machine, registry: Registry) -> None:
    enrol(one.attester, registry, asked(one), CLOCK)
    liar = Altered(other.attester)
    error = refused(liar, registry, asked(other, renew=True))
    assert (error.reason, liar.keys_made) == (Reason.IDENTITY_TAKEN, 0)


def test_one_tpm_has_one_id(one: Machine, registry: Registry) -> None:
    enrol(one.attester, registry, asked(one), CLOCK)
    again = Altered(one.attester)
    error = refused(again, registry, asked(one, name="b"))
    assert (error.reason, error.why, again.keys_made) == (
        Reason.IDENTITY_TAKEN,
        "this TPM is enrolled as a",
        0,
    )


def test_another_endorsement_key_of_the_tpm_is_the_users_choice_alone(
    one: Machine, registry: Registry
) -> None:
    """The P-256 one has no certificate here, so even its user cannot enrol the TPM a second time by it."""
    enrol(one.attester, registry, asked(one), CLOCK)
    assert refused(one.attester, registry, asked(one, name="b", ek="ecc-p256")).reason in {
        Reason.EK_KEY,
        Reason.EK_CERTIFICATE,
    }


def test_who_is_not_enrolled_has_nothing_to_renew(one: Machine, registry: Registry) -> None:
    assert refused(one.attester, registry, asked(one, renew=True)).reason is Reason.NOT_ENROLLED


def test_a_revoked_machine_stays_revoked(one: Machine, registry: Registry) -> None:
    enrol(one.attester, registry, asked(one), CLOCK)
    registry.revoke("a", "sold")
    for renew in (False, True):
        assert refused(one.attester, registry, asked(one, renew=renew)).reason is Reason.REVOKED
    assert refused(one.attester, registry, asked(one, name="b")).reason is Reason.IDENTITY_TAKEN
    policy = load_policy(policy_file("lab"))
    examiner = _examiner(registry, policy, ReferenceValues(version=1))
    verdict = examiner.examine("a", one.attester, key="ecc-p256").result
    assert (verdict.tier, verdict.reason) == (Tier.CONTRAINDICATED, Reason.KEY_REVOKED)
    with pytest.raises(RefusedError) as caught:
        genuine(one.attester, registry, "a", key="ecc-p256", policy=policy, clock=CLOCK)
    assert caught.value.reason is Reason.KEY_REVOKED


def test_reference_values_are_only_taken_from_who_is_enrolled(
    one: Machine, other: Machine, registry: Registry
) -> None:
    policy = load_policy(policy_file("lab"))
    with pytest.raises(RefusedError) as caught:
        genuine(one.attester, registry, "a", key="ecc-p256", policy=policy, clock=CLOCK)
    assert caught.value.reason is Reason.NOT_ENROLLED
    enrol(one.attester, registry, asked(one), CLOCK)
    other.attester.create_key("ecc-p256")
    with pytest.raises(RefusedError) as caught:
        genuine(other.attester, registry, "a", key="ecc-p256", policy=policy, clock=CLOCK)
    assert caught.value.reason is Reason.SIGNATURE_INVALID
    assert registry.results("a") == ()


def test_the_curve_of_a_stored_key_is_the_one_that_was_asked_for(one: Machine, registry: Registry) -> None:
    done = enrol(one.attester, registry, asked(one), CLOCK)
    area = structures.parse_public(done.record.keys[0].public)
    assert area.attributes == AK_ATTRIBUTES
    point = ec.EllipticCurvePublicNumbers(
        int.from_bytes(area.x or b"", "big"), int.from_bytes(area.y or b"", "big"), ec.SECP256R1()
    )
    assert point.public_key().key_size == 256
