"""Certificates of each profile: what they say, who accepts them, and what is not certified."""

from __future__ import annotations

import subprocess
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from harness.attest.evidence import RefusedError
from harness.attest.identity import authorities, endorsement
from harness.attest.played.software_tpm import SoftwareTpm
from harness.attest.tpm import keys
from harness.attest.tpm.structures import parse_public
from harness.clock import NS_PER_S
from harness.errors import UsageError
from harness.pvi.factory import authority, profiles, trust
from harness.pvi.factory.authority import moment
from harness.pvi.factory.factory import TRUST
from harness.pvi.factory.profiles import (
    FACTORY_POLICY,
    MAX_SERVICES,
    PROFILE_POLICY,
    SERVICE_POLICY,
    Profile,
    checked,
)
from harness.pvi.factory.trust import CertificateRefusedError
from harness.pvi.factory.whereabouts import Whereabouts
from tests.pvi.factory.places import EC_KEY, HERE, NOW_NS, RSA_KEY, VM, Place, asked

BOUND = (Profile.VM, Profile.PROBE)


def _issued(place: Place, profile: Profile, **changed: object) -> x509.Certificate:
    """A certificate of the profile, with the vTPM that the factory endorsed where it needs one."""
    if profile in BOUND:
        changed = {"endorsement": place.issue(asked(Profile.VTPM, key=RSA_KEY.public_key())), **changed}
    return place.issue(asked(profile, **changed))


@pytest.mark.parametrize("profile", Profile)
def test_a_certificate_counts_for_its_purpose_alone_and_while_it_is_valid(
    place: Place, profile: Profile
) -> None:
    made, trusted, now = _issued(place, profile), trust.load(place.folder / TRUST), moment(NOW_NS)
    trust.check(made, profile, trusted, now=now)
    other = Profile.HOST if profile is not Profile.HOST else Profile.MIGRATION
    with pytest.raises(CertificateRefusedError, match=f"not of the profile {other}"):
        trust.check(made, other, trusted, now=now)
    assert made.not_valid_after_utc == now + profile.lifetime
    for off in (
        now - authority.BACKDATED - timedelta(seconds=1),
        made.not_valid_after_utc + timedelta(seconds=1),
    ):
        with pytest.raises(CertificateRefusedError):
            trust.check(made, profile, trusted, now=off)
    assert profiles.stated(made, PROFILE_POLICY) == (profile.value,)
    purposes = made.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert tuple(purposes) == profile.purposes


def test_a_host_certificate_has_the_services_that_its_provider_promises(place: Place) -> None:
    made = _issued(place, Profile.HOST)
    assert profiles.stated(made, SERVICE_POLICY) == ("measured-boot", "encrypted-memory")
    names = made.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert [str(one) for one in names.get_values_for_type(x509.IPAddress)] == ["192.0.2.1"]
    assert names.get_values_for_type(x509.DNSName) == ["host-a.example"]


def test_the_kind_of_the_factorys_machine_is_stated_and_never_improves(place: Place) -> None:
    assert profiles.stated(_issued(place, Profile.VPN), FACTORY_POLICY) == ("physical",)
    place.here = Whereabouts(marks=HERE.marks, virtualisation="kvm", randomness="", hardware="")
    assert profiles.stated(_issued(place, Profile.VPN), FACTORY_POLICY) == ("virtual",)
    assert place.log.bodies[-1]["factory"] == "virtual"
    place.here = Whereabouts(marks=HERE.marks, virtualisation="", randomness="", hardware="")
    assert profiles.stated(_issued(place, Profile.VPN), FACTORY_POLICY) == ("unknown",)


def test_the_verifier_accepts_an_endorsed_vtpm_and_takes_it_for_software(place: Place) -> None:
    key = SoftwareTpm("ecc-p256").ek_public
    _, certified = keys.load_endorsement(parse_public(key))
    made = place.issue(asked(Profile.VTPM, key=certified))
    known = authorities.load(place.folder / TRUST)
    der = made.public_bytes(Encoding.DER)
    found = endorsement.check(
        [der],
        key,
        roots=known.roots,
        intermediates=known.intermediates,
        now=moment(NOW_NS),
        revocations=known.revocations,
    )
    assert found.software
    with place.open() as factory:
        factory.revoke(f"{made.serial_number:x}", "key-compromise")
    again = authorities.load(place.folder / TRUST).revocations
    with pytest.raises(RefusedError, match="ek-chain"):
        endorsement.check(
            [der],
            key,
            roots=known.roots,
            intermediates=known.intermediates,
            now=moment(NOW_NS),
            revocations=again,
        )


def test_an_identity_names_the_vtpm_that_it_lives_in(place: Place) -> None:
    vtpm = place.issue(asked(Profile.VTPM, key=RSA_KEY.public_key()))
    made = place.issue(asked(Profile.VM, endorsement=vtpm))
    names = made.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.UniformResourceIdentifier) == [f"urn:uuid:{VM}"]
    (module,) = names.get_values_for_type(x509.OtherName)
    assert f":{vtpm.serial_number:x}".encode() in module.value


def test_an_identity_is_bound_to_no_vtpm_but_the_factorys(place: Place) -> None:
    foreign = authority.root("other", "physical", moment(NOW_NS))
    issuing = authority.issuing("other", "physical", foreign, moment(NOW_NS))
    vtpm = authority.certificate(
        asked(Profile.VTPM, key=RSA_KEY.public_key()), issuing, "physical", moment(NOW_NS)
    )
    with pytest.raises(CertificateRefusedError):
        place.issue(asked(Profile.VM, endorsement=vtpm))
    with pytest.raises(CertificateRefusedError, match="not of the profile vtpm-endorsement"):
        place.issue(asked(Profile.VM, endorsement=place.issue(asked(Profile.VPN))))
    assert [one["profile"] for one in place.log.bodies[1:]] == ["vpn"]


@pytest.mark.parametrize(
    ("profile", "changed", "why"),
    [
        (Profile.HOST, {"name": ""}, "a name has"),
        (Profile.HOST, {"name": "a" * 65}, "a name has"),
        (Profile.HOST, {"name": "a\nb"}, "a name has"),
        (Profile.HOST, {"addresses": ()}, "needs an address"),
        (Profile.VPN, {"addresses": ("no address",)}, "a host's name or an IP"),
        (Profile.VTPM, {"addresses": ("192.0.2.1",)}, "has no address"),
        (Profile.VM, {"uuid": None}, "needs the UUID"),
        (Profile.VM, {"uuid": VM.upper()}, "written in lower case"),
        (Profile.HOST, {"uuid": VM}, "has no UUID"),
        (Profile.VPN, {"services": ("a",)}, "only a host"),
        (Profile.HOST, {"services": ("a b",)}, "a service is"),
        (Profile.HOST, {"services": ("a",) * (MAX_SERVICES + 1)}, "a service is"),
        (Profile.VM, {}, "needs the certificate of its TPM"),
        (Profile.HOST, {"key": ec.generate_private_key(ec.SECP521R1()).public_key()}, "P-256 or P-384"),
        (Profile.HOST, {"key": rsa.generate_private_key(65537, 1024).public_key()}, "2048 bits"),
    ],
)
def test_what_does_not_fit_its_profile_is_not_certified(
    profile: Profile, changed: dict[str, object], why: str
) -> None:
    with pytest.raises(UsageError) as refused:
        checked(asked(profile, **changed))
    assert why in refused.value.why


def test_only_profiles_that_are_bound_to_a_vtpm_name_one(place: Place) -> None:
    vtpm = place.issue(asked(Profile.VTPM, key=RSA_KEY.public_key()))
    checked(asked(Profile.VM, endorsement=vtpm))
    with pytest.raises(UsageError, match="host"):
        checked(asked(Profile.HOST, endorsement=vtpm))


def test_revoked_expired_and_missing_lists_are_refused(place: Place) -> None:
    made, now = _issued(place, Profile.MIGRATION), moment(NOW_NS)
    known = trust.load(place.folder / TRUST)
    trust.check(made, Profile.MIGRATION, known, now=now + timedelta(days=6, hours=23))
    with pytest.raises(CertificateRefusedError, match="no revocation list of"):
        # the list has expired, the certificate of the longer profile has not
        lasting = _issued(place, Profile.HOST)
        trust.check(lasting, Profile.HOST, known, now=now + timedelta(days=8))
    for kept in known.lists:
        with pytest.raises(CertificateRefusedError, match="has no revocation list here"):
            less = trust.Trust(root=known.root, issuing=known.issuing, lists=(kept,))
            trust.check(made, Profile.MIGRATION, less, now=now)
    with place.open() as factory:
        factory.revoke(f"{made.serial_number:x}", "superseded")
    with pytest.raises(CertificateRefusedError, match="has revoked certificate"):
        trust.check(made, Profile.MIGRATION, trust.load(place.folder / TRUST), now=now)


def test_another_infrastructures_certificate_does_not_count(place: Place) -> None:
    now = moment(NOW_NS)
    root = authority.root("shop", "physical", now)  # of the same name
    issuing = authority.issuing("shop", "physical", root, now)
    made = authority.certificate(asked(Profile.MIGRATION), issuing, "physical", now)
    with pytest.raises(CertificateRefusedError):
        trust.check(made, Profile.MIGRATION, trust.load(place.folder / TRUST), now=now)


@pytest.mark.programs
@pytest.mark.parametrize("profile", Profile)
def test_openssl_verifies_the_chain_with_both_lists(place: Place, profile: Profile, tmp_path: Path) -> None:
    made = _issued(place, profile)

    def verified() -> str:
        (tmp_path / "own.pem").write_bytes(made.public_bytes(Encoding.PEM))
        (tmp_path / "lists").write_bytes(
            b"".join(
                (place.folder / TRUST / one).read_bytes() for one in (trust.ROOT_LIST, trust.ISSUING_LIST)
            )
        )
        folder, at = place.folder / TRUST, str(NOW_NS // NS_PER_S)
        command = ["openssl", "verify", "-x509_strict", "-crl_check_all", "-attime", at]
        command += ["-CAfile", str(folder / trust.ROOT), "-untrusted", str(folder / trust.ISSUING)]
        command += ["-CRLfile", str(tmp_path / "lists"), str(tmp_path / "own.pem")]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        return done.stdout + done.stderr

    assert "own.pem: OK" in verified()
    with place.open() as factory:
        factory.revoke(f"{made.serial_number:x}", "cessation")
    assert "certificate revoked" in verified()


def test_keys_are_certified_as_they_are_asked_for(place: Place) -> None:
    spki = Encoding.DER, PublicFormat.SubjectPublicKeyInfo
    found = _issued(place, Profile.VPN).public_key().public_bytes(*spki)
    assert found == EC_KEY.public_key().public_bytes(*spki)
