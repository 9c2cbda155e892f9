"""An endorsement key is believed only under a configured root; every other way in has its own refusal."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from hashlib import sha256

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.attest.evidence import KeyType, RefusedError
from harness.attest.identity import endorsement
from harness.attest.identity.certificate import read
from harness.attest.identity.chain import MAX_CHAIN_DEPTH
from harness.attest.identity.endorsement import Endorsement, authorities, check, split
from harness.attest.played import marshal
from harness.attest.played.authority import usage
from harness.attest.played.software_tpm import SoftwareTpm, public_area
from harness.attest.reasons import Reason
from harness.attest.tpm import structures
from tests.attest import ek_certificates as made
from tests.attest.ek_certificates import NOW, Authority


@dataclass(frozen=True, slots=True)
class Case:
    """A TPM, its maker's root and one authority between."""

    tpm: SoftwareTpm
    root: Authority
    between: Authority

    def certify(self, **options: object) -> bytes:
        return self.between.certify(self.tpm.ek.public_key(), **options)  # type: ignore[arg-type]

    def check(
        self,
        *certificates: bytes,
        roots: tuple[Authority, ...] | None = None,
        intermediates: tuple[Authority, ...] | None = None,
        now: datetime = NOW,
    ) -> Endorsement:
        anchors = (self.root,) if roots is None else roots
        further = (self.between,) if intermediates is None else intermediates
        return check(
            certificates,
            self.tpm.ek_public,
            roots=[one.trusted for one in anchors],
            intermediates=[one.trusted for one in further],
            now=now,
        )


@pytest.fixture(scope="module")
def root() -> Authority:
    return Authority(name="root")


@pytest.fixture(scope="module", params=["rsa-2048", "ecc-p256"])
def case(request: pytest.FixtureRequest, tpms: dict[KeyType, SoftwareTpm], root: Authority) -> Case:
    return Case(tpms[request.param], root, Authority(name="between", parent=root))


def refusal(case: Case, *certificates: bytes, **options: object) -> tuple[Reason, str]:
    with pytest.raises(RefusedError) as caught:
        case.check(*certificates, **options)  # type: ignore[arg-type]
    return caught.value.reason, caught.value.why


# -- what is believed


def test_a_chain_up_to_a_configured_root_says_whose_tpm_it_is(case: Case) -> None:
    data = case.certify()
    assert case.check(data) == Endorsement(
        subject="",
        issuer="CN=between",
        root=sha256(case.root.certificate.public_bytes(Encoding.DER)).hexdigest(),
        certificate=data,
        manufacturer="id:4E544300",
        model="NPCT75x",
        version="id:00070002",
        software=False,
    )


@pytest.mark.parametrize(
    ("manufacturer", "maker"),
    [("id:49465800", "IFX X"), ("id:414D4400", "AMD X"), ("id:00001014", "id:00001014 X"), ("IFX", "IFX X")],
)
def test_a_maker_has_a_name_for_people(case: Case, manufacturer: str, maker: str) -> None:
    found = case.check(case.certify(names=made.tpm_names({**made.TPM_NAMES, "2.23.133.2.1": manufacturer})))
    assert replace(found, model="X").maker == maker
    assert found.fingerprint == sha256(found.certificate).hexdigest()


def test_a_key_can_be_pinned_by_its_fingerprint(case: Case) -> None:
    name = structures.name_of(case.tpm.ek_public).hex()
    assert endorsement.pinned(case.tpm.ek_public, name[4:].upper())
    assert not endorsement.pinned(case.tpm.ek_public, sha256(b"another").hexdigest())
    with pytest.raises(RefusedError) as caught:
        endorsement.pinned(case.tpm.ak_public, sha256(case.tpm.ak_public).hexdigest())
    assert caught.value.reason is Reason.EK_KEY


def test_a_root_may_sign_itself(case: Case) -> None:
    data = case.root.certify(case.tpm.ek.public_key())
    assert case.check(data, intermediates=()).issuer == "CN=root"


def test_an_authority_between_may_come_from_the_tpm(case: Case) -> None:
    own, between = case.certify(), case.between.certificate.public_bytes(Encoding.DER)
    assert case.check(between, own, intermediates=()).issuer == "CN=between"


@pytest.mark.parametrize("filling", [b"", b"\0" * 40, b"\xff" * 3])
def test_what_fills_an_nv_index_does_not_matter(case: Case, filling: bytes) -> None:
    assert case.check(case.certify() + filling).model == "NPCT75x"


def test_another_keys_certificate_beside_does_not_matter(case: Case) -> None:
    other = case.root.certify(SoftwareTpm("ecc-p256").ek.public_key())
    assert case.check(b"rubbish", other, case.certify()).issuer == "CN=between"


def test_a_purpose_need_not_be_named(case: Case) -> None:
    assert not case.check(case.certify(purpose=None)).software


@pytest.mark.parametrize(
    ("names", "software"),
    [
        ({"2.23.133.2.1": "id:00001014"}, True),
        ({"2.23.133.2.2": "SWTPM"}, True),
        ({"2.23.133.2.1": "id:49465800", "2.23.133.2.2": "SLB9670"}, False),
    ],
)
def test_a_software_tpm_is_known_by_its_certificate(
    case: Case, names: dict[str, str], software: bool
) -> None:
    data = case.certify(names=made.tpm_names({**made.TPM_NAMES, **names}))
    assert case.check(data).software is software


# -- the chain


def test_an_authority_that_nobody_configured_is_not_believed(case: Case) -> None:
    stranger = Authority(name="root")  # the right name, another key
    assert refusal(case, case.certify(), roots=(stranger,))[0] is Reason.EK_CHAIN


def test_an_unknown_issuer_is_not_believed(case: Case) -> None:
    stranger = Authority(name="stranger")
    reason, why = refusal(case, stranger.certify(case.tpm.ek.public_key()))
    assert reason is Reason.EK_CHAIN
    assert "issued by CN=stranger" in why


def test_a_root_that_came_from_the_tpm_is_no_root(case: Case) -> None:
    stranger = Authority(name="stranger")
    own = stranger.certify(case.tpm.ek.public_key())
    assert refusal(case, own, stranger.certificate.public_bytes(Encoding.DER))[0] is Reason.EK_CHAIN
    assert refusal(case, own, intermediates=(stranger,))[0] is Reason.EK_CHAIN


def test_without_the_authority_between_there_is_no_chain(case: Case) -> None:
    assert refusal(case, case.certify(), intermediates=())[0] is Reason.EK_CHAIN


def test_without_any_root_nothing_is_believed(case: Case) -> None:
    reason, why = refusal(case, case.certify(), roots=())
    assert (reason, why) == (Reason.EK_CHAIN, "no root is configured")


def test_a_self_signed_certificate_is_not_believed_even_as_a_root() -> None:
    tpm = SoftwareTpm("ecc-p256")
    maker = Authority()
    maker.key = tpm.ek
    data = maker.certify(tpm.ek.public_key())
    own = read(data)
    for roots in ([], [own], [Authority().trusted]):
        with pytest.raises(RefusedError) as caught:
            check([data], tpm.ek_public, roots=roots, now=NOW)
        assert caught.value.reason is Reason.EK_CHAIN


@pytest.mark.parametrize("days", [-200, 300])
def test_outside_its_days_nothing_is_believed(case: Case, days: int) -> None:
    now = NOW + timedelta(days=days)
    assert refusal(case, case.certify(), now=now)[0] is Reason.EK_CHAIN


def test_an_expired_certificate_is_not_believed(case: Case) -> None:
    old = case.certify(end=NOW - timedelta(days=1))
    assert refusal(case, old)[0] is Reason.EK_CHAIN
    assert case.check(old, now=NOW - timedelta(days=2)).issuer == "CN=between"


@pytest.mark.parametrize(
    "weak",
    [
        {"end": NOW - timedelta(days=1)},
        {"begin": NOW + timedelta(days=1)},
        {"ca": False},
        {"ca": None},
        {"key_usage": usage(encipher=True)},
    ],
    ids=["expired", "not yet", "no authority", "says nothing of it", "may not sign"],
)
def test_every_issuer_must_be_a_valid_authority(case: Case, weak: dict[str, object]) -> None:
    between = Authority(name="between", parent=case.root, **weak)  # type: ignore[arg-type]
    data = between.certify(case.tpm.ek.public_key())
    assert refusal(case, data, intermediates=(between,))[0] is Reason.EK_CHAIN


@pytest.mark.parametrize("weak", [{"end": NOW - timedelta(days=1)}, {"path_length": 0}, {"ca": False}])
def test_a_configured_root_must_be_a_valid_authority_too(case: Case, weak: dict[str, object]) -> None:
    root = Authority(name="root", **weak)  # type: ignore[arg-type]
    between = Authority(name="between", parent=root)
    data = between.certify(case.tpm.ek.public_key())
    assert refusal(case, data, roots=(root,), intermediates=(between,))[0] is Reason.EK_CHAIN


def test_an_endorsement_key_vouches_for_no_other(case: Case) -> None:
    """A certified TPM's key is no authority, whatever it signs."""
    between = Authority(name="between", parent=case.root, ca=False, key_usage=None)
    forged = between.certify(case.tpm.ek.public_key())
    assert refusal(case, forged, intermediates=(between,))[0] is Reason.EK_CHAIN


def test_a_long_chain_ends_somewhere(case: Case) -> None:
    line = [case.root]
    for number in range(MAX_CHAIN_DEPTH + 1):
        line.append(Authority(name=f"authority {number}", parent=line[-1]))
    data = line[-1].certify(case.tpm.ek.public_key())
    assert refusal(case, data, intermediates=tuple(line[1:]))[0] is Reason.EK_CHAIN
    data = line[-2].certify(case.tpm.ek.public_key())
    assert (
        case.check(data, intermediates=tuple(line[1:-1])).issuer
        == line[-2].certificate.subject.rfc4514_string()
    )


# -- the key


def test_the_certificate_of_another_tpm_is_no_use(case: Case) -> None:
    other = SoftwareTpm(case.tpm.kind)
    reason, why = refusal(case, case.between.certify(other.ek.public_key()))
    assert (reason, why) == (Reason.EK_KEY, "1 certificates, none of this key")


@pytest.mark.parametrize(
    "attributes",
    [0x000300B2 & ~bit for bit in (1 << 1, 1 << 4, 1 << 5, 1 << 16, 1 << 17)] + [0x000300B2 | 1 << 18],
)
def test_a_certified_key_that_is_no_storage_key_is_refused(case: Case, attributes: int) -> None:
    """The number is in the certificate, but the area claims another use of it."""
    area = structures.parse_public(case.tpm.ek_public)
    forged = marshal.public(replace(area, attributes=attributes))
    with pytest.raises(RefusedError) as caught:
        check([case.certify()], forged, roots=[case.root.trusted], now=NOW)
    assert caught.value.reason is Reason.EK_KEY


@pytest.mark.parametrize("public", [b"", b"\0" * 60, b"\xff" * 5000])
def test_what_is_no_public_area_is_no_key(case: Case, public: bytes) -> None:
    with pytest.raises(RefusedError) as caught:
        check([case.certify()], public, roots=[case.root.trusted], now=NOW)
    assert caught.value.reason is Reason.EK_KEY


def test_an_attestation_key_is_no_endorsement_key(case: Case) -> None:
    data = case.between.certify(case.tpm.ak.public_key())
    public = marshal.public(public_area(case.tpm.ak))
    with pytest.raises(RefusedError) as caught:
        check([data], public, roots=[case.root.trusted], now=NOW)
    assert caught.value.reason is Reason.EK_KEY


# -- the certificate


def test_without_a_certificate_the_remedy_is_named(case: Case) -> None:
    with pytest.raises(RefusedError) as caught:
        case.check()
    assert caught.value.reason is Reason.EK_CERTIFICATE
    assert "--trust-ek" in caught.value.remedy


@pytest.mark.parametrize(
    "names",
    [{key: made.TPM_NAMES[key] for key in made.TPM_NAMES if key != absent} for absent in made.TPM_NAMES],
)
def test_a_certificate_that_names_no_tpm_is_not_an_endorsement(case: Case, names: dict[str, str]) -> None:
    reason, why = refusal(case, case.certify(names=made.tpm_names(names)))
    assert reason is Reason.EK_CERTIFICATE
    assert "names no TPM" in why


@pytest.mark.parametrize(
    "odd",
    [
        {"purpose": ExtendedKeyUsageOID.SERVER_AUTH},
        {"ca": True},
        {"key_usage": usage(sign=True)},
    ],
    ids=["a server's", "an authority's", "for signing"],
)
def test_a_certificate_for_something_else_is_not_an_endorsement(case: Case, odd: dict[str, object]) -> None:
    assert refusal(case, case.certify(**odd))[0] is Reason.EK_CERTIFICATE


def test_a_critical_extension_that_nobody_knows_is_refused(case: Case) -> None:
    unknown = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4.5"), b"\x05\x00")
    reason, why = refusal(case, case.certify(further=unknown))
    assert reason is Reason.EK_CHAIN
    assert "1.2.3.4.5" in why


@pytest.mark.parametrize("tail", [b"\1", b"\0\1", b"\xff\0", b"\x30\x82"])
def test_something_behind_a_certificate_is_refused(case: Case, tail: bytes) -> None:
    assert refusal(case, case.certify() + tail)[0] is Reason.EK_CERTIFICATE


@pytest.mark.parametrize("count", [endorsement.MAX_CERTIFICATES + 1, 1000])
def test_there_is_a_limit_to_what_is_read(case: Case, count: int) -> None:
    assert refusal(case, *[case.certify()] * count)[0] is Reason.EK_CERTIFICATE
    huge = case.certify() + b"\0" * endorsement.MAX_CERTIFICATE_BYTES
    assert refusal(case, huge)[0] is Reason.EK_CERTIFICATE


_ANY = {Reason.EK_CERTIFICATE, Reason.EK_CHAIN, Reason.EK_KEY}


@pytest.mark.filterwarnings("ignore:Parsed a serial number")
def test_no_altered_byte_goes_unnoticed(case: Case) -> None:
    data = case.certify()
    for place in range(len(data)):
        altered = bytearray(data)
        altered[place] ^= 1 << place % 8
        assert refusal(case, bytes(altered))[0] in _ANY


def test_no_certificate_that_is_cut_short_is_read(case: Case) -> None:
    data = case.certify()
    for length in range(len(data)):
        assert refusal(case, data[:length])[0] is Reason.EK_CERTIFICATE


_TPM = SoftwareTpm("ecc-p256")
_ROOT = Authority()


@given(st.lists(st.binary(max_size=400) | st.binary(max_size=300).map(lambda tail: b"\x30\x82" + tail)))
@settings(max_examples=150)
def test_whatever_a_tpm_holds_is_refused_and_nothing_else(certificates: list[bytes]) -> None:
    with pytest.raises(RefusedError):
        check(certificates, _TPM.ek_public, roots=[_ROOT.trusted], now=NOW)


# -- streams and files of certificates


def test_a_stream_of_certificates_is_taken_apart(case: Case) -> None:
    first, second = case.certify(), case.between.certificate.public_bytes(Encoding.DER)
    assert split(first + second) == (first, second)
    assert split(first + second + b"\0" * 9) == (first, second)
    assert split(b"") == split(b"\0\0\0\0") == ()
    assert len(split(first * 100)) == endorsement.MAX_CERTIFICATES


@given(st.binary(max_size=200).map(lambda tail: b"\x30\x82" + tail) | st.binary(max_size=200))
def test_taking_a_stream_apart_invents_nothing(stream: bytes) -> None:
    assert stream.startswith(b"".join(split(stream)))


def test_only_what_signs_itself_is_a_root(case: Case) -> None:
    leaf = read(case.certify())
    given_ = [case.between.trusted, leaf, case.root.trusted]
    roots, further = authorities(given_)
    assert roots == (case.root.trusted,)
    assert further == (case.between.trusted, leaf)
