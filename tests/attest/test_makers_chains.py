"""Chains as makers of TPMs write them are followed; what is refused of a strict one is refused of them too.

Each maker here writes all of its certificates with one slip, or with none: a chain goes the strict way or
OpenSSL's, and every check has to hold on both.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID

from harness.attest.evidence import RefusedError
from harness.attest.identity import authorities, chain
from harness.attest.identity.endorsement import MAX_CERTIFICATES, check
from harness.attest.played.authority import usage
from harness.attest.played.software_tpm import SoftwareTpm
from harness.attest.reasons import Reason
from tests.attest import ek_certificates as made
from tests.attest import slips
from tests.attest.ek_certificates import NOW, Authority
from tests.attest.makers import POLICIES, Maker, rsa_key
from tests.attest.slips import Slip

ANY_POLICY = x509.CertificatePolicies([x509.PolicyInformation(x509.ObjectIdentifier("2.5.29.32.0"), None)])
CHAINS = {"strict": (), **{name: (slip,) for name, slip in slips.SLIPS.items()}}


@pytest.fixture(scope="module")
def tpm() -> SoftwareTpm:
    return SoftwareTpm("ecc-p256")


@pytest.fixture(params=CHAINS)
def maker(request: pytest.FixtureRequest, tpm: SoftwareTpm) -> Maker:
    return Maker(CHAINS[request.param], tpm)


def refused(maker: Maker, *line: Authority, **options: Any) -> RefusedError:
    with pytest.raises(RefusedError) as caught:
        maker.chained(*line, **options)
    return caught.value


# -- what is followed


def test_a_chain_is_followed_as_its_maker_wrote_it(maker: Maker) -> None:
    root = Authority(name="root")
    found = maker.chained(root, Authority(name="between", parent=root))
    assert "CN=between" in found.issuer
    assert (found.manufacturer, found.model, found.version) == ("id:4E544300", "NPCT75x", "id:00070002")
    assert not found.software


@pytest.mark.parametrize("policies", [POLICIES, ANY_POLICY], ids=["own", "any"])
@pytest.mark.parametrize("where", ["root", "between", "own"])
def test_critical_policies_are_accepted_wherever_they_stand(
    maker: Maker, where: str, policies: x509.CertificatePolicies
) -> None:
    root = Authority(name="root", further=(policies,) if where == "root" else ())
    between = Authority(name="between", parent=root, further=(policies,) if where == "between" else ())
    options: dict[str, Any] = {"further": policies} if where == "own" else {}
    assert maker.chained(root, between, **options).model == "NPCT75x"


@pytest.mark.parametrize("slip", [slips.defaults, slips.parameters, slips.days])
@pytest.mark.parametrize("where", ["root", "between", "own"])
def test_one_certificate_with_a_slip_among_strict_ones(tpm: SoftwareTpm, slip: Slip, where: str) -> None:
    """Names are those of the whole chain, so they slip in all of it or in none."""
    strict, odd = Maker((), tpm), Maker((slip,), tpm)
    root = Authority(name="root")
    between = Authority(name="between", parent=root)
    by = {place: odd if place == where else strict for place in ("root", "between", "own")}
    own = by["own"].certify(between)
    found = strict.check(own, by["between"].dressed(between), roots=[by["root"].dressed(root)])
    assert found.model == "NPCT75x"


def test_all_slips_at_once(tpm: SoftwareTpm) -> None:
    root = Authority(name="root")
    everything = Maker(tuple(slips.SLIPS.values()), tpm)
    assert everything.chained(root, Authority(name="between", parent=root)).model == "NPCT75x"


def test_a_root_that_was_made_again_under_its_name_hides_nothing(maker: Maker) -> None:
    root, other = Authority(name="root"), Authority(name="root")
    own = maker.certify(root)
    for roots in ([root, other], [other, root]):
        assert maker.check(own, roots=[maker.dressed(one) for one in roots]).model == "NPCT75x"


# -- what is refused


@pytest.mark.parametrize(
    "weak",
    [
        {"end": NOW - timedelta(days=1)},
        {"begin": NOW + timedelta(days=1)},
        {"ca": False},
        {"ca": None},
        {"key_usage": usage(encipher=True)},
        {"further": (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]),)},
    ],
    ids=["expired", "not yet", "no authority", "says nothing of it", "may not sign", "for servers"],
)
@pytest.mark.parametrize("place", ["root", "between"])
def test_an_issuer_that_may_not_be_one(maker: Maker, weak: dict[str, object], place: str) -> None:
    root = Authority(name="root", **(weak if place == "root" else {}))  # type: ignore[arg-type]
    between = Authority(name="between", parent=root, **(weak if place == "between" else {}))  # type: ignore[arg-type]
    assert refused(maker, root, between).reason is Reason.EK_CHAIN


def test_a_path_that_is_longer_than_its_root_allows(maker: Maker) -> None:
    root = Authority(name="root", path_length=0)
    assert maker.chained(root).model == "NPCT75x"
    assert refused(maker, root, Authority(name="between", parent=root)).reason is Reason.EK_CHAIN


def test_a_chain_that_is_longer_than_any_makers(maker: Maker) -> None:
    line = [Authority(name="root")]
    for number in range(5):
        line.append(Authority(name=f"authority {number}", parent=line[-1]))
    assert maker.chained(*line[:-1]).model == "NPCT75x"
    assert refused(maker, *line).reason is Reason.EK_CHAIN


@pytest.mark.parametrize("days", [-200, 300])
def test_a_chain_outside_its_days(maker: Maker, days: int) -> None:
    root = Authority(name="root")
    assert refused(maker, root, now=NOW + timedelta(days=days)).reason is Reason.EK_CHAIN


def test_a_certificate_that_has_expired(maker: Maker) -> None:
    root = Authority(name="root")
    assert refused(maker, root, end=NOW - timedelta(days=1)).reason is Reason.EK_CHAIN


def test_an_authority_of_the_right_name_alone(maker: Maker) -> None:
    root, stranger = Authority(name="root"), Authority(name="root")
    own = maker.certify(stranger)
    with pytest.raises(RefusedError) as caught:
        maker.check(own, maker.dressed(stranger), roots=[maker.dressed(root)])
    assert caught.value.reason is Reason.EK_CHAIN


def test_an_authority_that_came_with_the_machine(maker: Maker) -> None:
    stranger = Authority(name="stranger")
    between = Authority(name="between", parent=stranger)
    own, others = maker.certify(between), [maker.dressed(between), maker.dressed(stranger)]
    with pytest.raises(RefusedError) as caught:
        maker.check(own, *others, roots=[maker.dressed(Authority(name="root"))])
    assert caught.value.reason is Reason.EK_CHAIN


def test_a_certificate_that_is_itself_the_root(maker: Maker) -> None:
    alone = Authority(name="alone", signs_with=maker.tpm.ek)
    own = maker.dressed(alone)
    with pytest.raises(RefusedError) as caught:
        maker.check(own, roots=[own])
    assert (caught.value.reason, "itself" in caught.value.why) == (Reason.EK_CHAIN, True)
    with pytest.raises(RefusedError) as caught:
        maker.check(own, roots=[maker.dressed(Authority(name="root"))])
    assert caught.value.reason is Reason.EK_CHAIN


def test_a_root_that_only_says_it_signed_itself(maker: Maker) -> None:
    """Its issuer is its own name, its signature another key's."""
    forged = Authority(name="root", parent=Authority(name="root"))
    good = maker.dressed(Authority(name="good"))
    found = authorities.parse(slips.pem(maker.dressed(forged), good), where="the roots")
    assert (len(found.roots), len(found.intermediates)) == (1, 1)


def test_a_root_that_names_another_issuer(maker: Maker) -> None:
    """Its own key signed it, but it says that another did."""

    def renamed(body: slips.Node) -> None:
        issuer = [one for one in body.values if one.tag == slips.SEQUENCE][1]
        issuer.values[0].values[0].values[1].content = b"somebody"

    other, good = Authority(name="root"), Authority(name="good")
    found = authorities.parse(slips.pem(maker.dressed(other, renamed), maker.dressed(good)), where="here")
    assert (len(found.roots), len(found.intermediates)) == (1, 1)


UNKNOWN = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4.5"), b"\x05\x00")
CONSTRAINED = x509.PolicyConstraints(require_explicit_policy=0, inhibit_policy_mapping=None)
NAMED = x509.NameConstraints(
    permitted_subtrees=None,
    excluded_subtrees=[x509.DirectoryName(x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "x")]))],
)
"""No name of the chain is excluded, but whether one is has to be found out."""


@pytest.mark.parametrize(
    "extension",
    [UNKNOWN, CONSTRAINED, x509.InhibitAnyPolicy(0)],
    ids=["unknown", "policy constraints", "any policy inhibited"],
)
@pytest.mark.parametrize("where", ["root", "between", "own"])
def test_other_critical_extensions_stay_refused(
    maker: Maker, extension: x509.ExtensionType, where: str
) -> None:
    root = Authority(name="root", further=(extension,) if where == "root" else ())
    between = Authority(name="between", parent=root, further=(extension,) if where == "between" else ())
    error = refused(maker, root, between, **({"further": extension} if where == "own" else {}))
    assert error.reason is Reason.EK_CHAIN
    assert extension.oid.dotted_string in error.why


def uncritical(body: slips.Node) -> None:
    """Constraints of names are no longer critical, or FALSE is written out."""
    for extension in slips.extensions(body):
        if extension.values[0].content == bytes.fromhex("551d1e"):
            extension.values = [one for one in extension.values if one.tag != slips.BOOLEAN]


@pytest.mark.parametrize("further", [[], [uncritical]], ids=["critical", "not critical"])
@pytest.mark.parametrize("where", ["root", "between"])
def test_constraints_of_names_are_never_taken_for_fulfilled(
    maker: Maker, where: str, further: list[Slip]
) -> None:
    root = Authority(name="root", further=(NAMED,) if where == "root" else ())
    between = Authority(name="between", parent=root, further=(NAMED,) if where == "between" else ())
    own, other = maker.certify(between), maker.dressed(between, *further)
    with pytest.raises(RefusedError) as caught:
        maker.check(own, other, roots=[maker.dressed(root, *further)])
    assert caught.value.reason is Reason.EK_CHAIN


def first_version(body: slips.Node) -> None:
    """The version is not said, which makes it the first, which has no extensions."""
    body.values = [one for one in body.values if one.tag != 0xA0]


def long_serial(body: slips.Node) -> None:
    """The serial number has 24 bytes."""
    (serial,) = [one for one in body.values if one.tag == 0x02]
    serial.content = bytes([1]) * 24


@pytest.mark.parametrize("slip", [first_version, long_serial])
@pytest.mark.parametrize("place", ["root", "between", "own"])
def test_a_certificate_of_another_form(maker: Maker, slip: Slip, place: str) -> None:
    root = Authority(name="root")
    between = Authority(name="between", parent=root)
    slipping = {where: [slip] if where == place else [] for where in ("root", "between", "own")}
    own = maker.certify(between, *slipping["own"])
    other, anchor = maker.dressed(between, *slipping["between"]), maker.dressed(root, *slipping["root"])
    with pytest.raises(RefusedError) as caught:
        maker.check(own, other, roots=[anchor])
    assert caught.value.reason in {Reason.EK_CHAIN, Reason.EK_CERTIFICATE}


def test_a_strict_chain_never_goes_the_other_way(tpm: SoftwareTpm, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not even where it was refused and certificates with slips come with it."""
    tried: list[object] = []
    monkeypatch.setattr(chain, "_verify_leniently", lambda line, _now: tried.append(line))
    root = Authority(name="root", end=NOW - timedelta(days=1))
    strict, odd = Maker((), tpm), Maker((slips.defaults,), tpm)
    beside = odd.dressed(Authority(name="beside"))
    with pytest.raises(RefusedError):
        strict.check(strict.certify(root), beside, roots=[strict.dressed(root), beside])
    assert tried == []


@pytest.mark.parametrize(
    "weak", [rsa_key(1024), ec.generate_private_key(ec.SECP192R1())], ids=["RSA", "P-192"]
)
def test_an_issuer_with_a_weak_key(tpm: SoftwareTpm, weak: ec.EllipticCurvePrivateKey) -> None:
    """Only the root's own certificate has a slip: its signature with a weak key would be made elsewhere."""
    root = Authority(name="root")
    between = Authority(name="between", parent=root, signs_with=weak)
    own = between.certify(tpm.ek.public_key())
    for by in (Maker((), tpm), Maker((slips.defaults,), tpm)):
        with pytest.raises(RefusedError) as caught:
            by.check(own, by.dressed(between), roots=[by.dressed(root)])
        assert caught.value.reason is Reason.EK_CHAIN


@pytest.mark.parametrize("place", ["between", "own"])
def test_a_signature_by_sha_1(maker: Maker, place: str) -> None:
    """With parameters it is not even read: only ECDSA with SHA-2 has them taken off."""
    root = Authority(name="root")
    between = Authority(name="between", parent=root)
    own = maker.certify(between, *([slips.sha1] if place == "own" else []))
    other = maker.dressed(between, *([slips.sha1] if place == "between" else []))
    with pytest.raises(RefusedError) as caught:
        maker.check(own, other, roots=[maker.dressed(root)])
    assert caught.value.reason in {Reason.EK_CHAIN, Reason.EK_CERTIFICATE}


@pytest.mark.parametrize(
    "odd",
    [
        {"purpose": ExtendedKeyUsageOID.SERVER_AUTH},
        {"purpose": x509.ObjectIdentifier("2.23.133.8.3")},
        {"ca": True},
        {"key_usage": usage(sign=True)},
        {"names": made.tpm_names({"2.23.133.2.1": "id:4E544300"})},
    ],
    ids=["a server's", "an attestation key's", "an authority's", "for signing", "names no TPM"],
)
def test_a_certificate_for_something_else(maker: Maker, odd: dict[str, object]) -> None:
    root = Authority(name="root")
    assert refused(maker, root, Authority(name="between", parent=root), **odd).reason is Reason.EK_CERTIFICATE


@pytest.mark.parametrize("tail", [b"\1", b"\0\1", b"\xff\0", b"\x30\x82"])
def test_something_behind_a_certificate(maker: Maker, tail: bytes) -> None:
    root = Authority(name="root")
    with pytest.raises(RefusedError) as caught:
        maker.check(maker.certify(root) + tail, roots=[maker.dressed(root)])
    assert caught.value.reason is Reason.EK_CERTIFICATE
    assert maker.check(maker.certify(root) + bytes(40), roots=[maker.dressed(root)]).model == "NPCT75x"


def test_more_certificates_than_are_read(maker: Maker) -> None:
    root = Authority(name="root")
    own, anchor = maker.certify(root), maker.dressed(root)
    assert maker.check(own, *[anchor] * (MAX_CERTIFICATES - 1), roots=[anchor]).model == "NPCT75x"
    with pytest.raises(RefusedError) as caught:
        maker.check(own, *[anchor] * MAX_CERTIFICATES, roots=[anchor])
    assert caught.value.reason is Reason.EK_CERTIFICATE


@pytest.mark.filterwarnings("ignore:Parsed a serial number")
def test_no_altered_byte_goes_unnoticed(maker: Maker) -> None:
    """Slips are undone for reading only: the signature is over every byte as it came."""
    root = Authority(name="root")
    own = maker.certify(root)
    found = authorities.parse(slips.pem(maker.dressed(root)), where="the roots")
    for place in range(len(own)):
        altered = bytearray(own)
        altered[place] ^= 1 << place % 8
        with pytest.raises(RefusedError):
            check([bytes(altered)], maker.tpm.ek_public, roots=found.roots, now=NOW)


def test_a_slip_that_is_undone_on_the_way_breaks_the_signature(tpm: SoftwareTpm) -> None:
    """What the reader sees is not what was signed, and is never taken for it."""
    from harness.attest.identity import der

    root = Authority(name="root")
    odd = Maker((slips.defaults,), tpm)
    undone, told = der.undone(odd.certify(root))
    assert told
    with pytest.raises(RefusedError) as caught:
        odd.check(undone, roots=[Maker((), tpm).dressed(root)])
    assert caught.value.reason is Reason.EK_CHAIN
