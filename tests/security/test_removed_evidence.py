"""Checks of logs and certificates: each is taken out once, and its attack breaks through."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from harness.attest.evidence import RefusedError
from harness.attest.identity import chain, endorsement, revocation, revocation_memory
from harness.attest.identity.authorities import Authorities, RootsFileError
from harness.attest.played.platform import PCRS, challenge, judged, platform, policy
from harness.attest.played.software_tpm import SoftwareTpm
from harness.attest.reasons import Reason
from harness.attest.verify import appraisal_step
from tests.attest import slips
from tests.attest.ek_certificates import NOW, TPM_NAMES, Authority, tpm_names
from tests.attest.makers import Maker
from tests.attest.test_appraisal import FORGED, with_fewer, without_aggregate
from tests.attest.test_revocation import DAY, listed
from tests.security.removed import Attack, Removed, case, require_needed

_MAKER = Authority()


def measured_as_the_aggregate(_folder: Path) -> bool:
    """A file is measured under the name of the list's own beginning."""
    machine = platform(SoftwareTpm("ecc-p256"))
    few = tuple(index for index in PCRS if index != 1)
    infected = machine.measured(replace(FORGED, content=b"malware"))
    result = judged(
        infected,
        with_fewer(infected, few),
        policy=policy(pcrs=few, ima_unknown_file="refuse"),
        challenge=challenge(pcrs=few),
        reference=without_aggregate(machine),
    ).result
    return result.reason is Reason.IMA_FILE_UNKNOWN


def cloud_in_a_makers_name(_folder: Path) -> bool:
    """A cloud's virtual TPM has a certificate under a root that is configured."""
    tpm, maker = SoftwareTpm("rsa-2048"), Authority()
    names = tpm_names({**TPM_NAMES, "2.23.133.2.1": "id:474F4F47"})
    certificate = maker.certify(tpm.ek.public_key(), names=names)
    return endorsement.check([certificate], tpm.ek_public, roots=[maker.trusted], now=NOW).software


def cloud_and_maker(_folder: Path) -> bool:
    """A cloud's virtual TPM has a maker's name as well."""
    tpm, maker = SoftwareTpm("rsa-2048"), Authority()
    names = [*tpm_names({"2.23.133.2.1": "id:474F4F47"}), *tpm_names()]
    certificate = maker.certify(tpm.ek.public_key(), names=x509.SubjectAlternativeName(names))
    try:
        return endorsement.check([certificate], tpm.ek_public, roots=[maker.trusted], now=NOW).software
    except RefusedError as error:
        return "twice" in error.why


def list_without_its_beginning(_folder: Path) -> bool:
    """A list of measurements lacks the entry that ties it to the boot, and is said to be unchecked there."""
    machine = platform(SoftwareTpm("ecc-p256"))
    headless = replace(machine, lines=machine.lines[1:])
    result = judged(headless, policy=policy(), reference=machine.reference).result
    return "boot_aggregate" in result.claims["unchecked"]  # type: ignore[operator]


def _refused(*, is_listed: bool, days: int, forged: bool = False) -> bool:
    tpm, maker = SoftwareTpm("rsa-2048"), Authority()
    own = maker.certify(tpm.ek.public_key())
    revoked = [x509.load_der_x509_certificate(own)] if is_listed else []
    author = Authority() if forged else maker
    lists = [listed(author, *revoked, begin=NOW - 9 * DAY, end=NOW + days * DAY)]
    try:
        endorsement.check([own], tpm.ek_public, roots=[maker.trusted], now=NOW, revocations=lists)
    except RefusedError:
        return True
    return False


def revoked(_folder: Path) -> bool:
    """A certificate was revoked."""
    return _refused(is_listed=True, days=1)


def expired_list(_folder: Path) -> bool:
    """The list of what was revoked is an old one."""
    return _refused(is_listed=False, days=-1)


def forged_list(_folder: Path) -> bool:
    """An attacker has an honest TPM revoked, by a list in its authority's name."""
    return not _refused(is_listed=True, days=1, forged=True)


_POINT = x509.UniformResourceIdentifier("http://maker.example/a.crl")
_OTHER = x509.UniformResourceIdentifier("http://maker.example/b.crl")


def _part(**of: Any) -> x509.IssuingDistributionPoint:
    whole: dict[str, Any] = {
        "full_name": None,
        "relative_name": None,
        "only_contains_user_certs": False,
        "only_contains_ca_certs": False,
        "only_some_reasons": None,
        "indirect_crl": False,
        "only_contains_attribute_certs": False,
    }
    return x509.IssuingDistributionPoint(**{**whole, **of})


def _trusted_by(extension: x509.ExtensionType, *, critical: bool = True, pointed: bool = True) -> bool:
    """Whether a TPM is trusted by a list of its authority that names nothing and has the extension."""
    tpm, maker = SoftwareTpm("rsa-2048"), Authority()
    point = x509.DistributionPoint([_POINT], None, None, None)
    points = x509.CRLDistributionPoints([point]) if pointed else None
    own = maker.certify(tpm.ek.public_key(), points=points)
    lists = [listed(maker, further=[extension], critical=critical)]
    try:
        endorsement.check([own], tpm.ek_public, roots=[maker.trusted], now=NOW, revocations=lists)
    except RefusedError:
        return False
    return True


def list_of_changes(_folder: Path) -> bool:
    """The authority's list of changes lies where its whole list should."""
    return not any(_trusted_by(x509.DeltaCRLIndicator(1), critical=critical) for critical in (True, False))


def list_of_others(_folder: Path) -> bool:
    """Its list of authorities lies there, or one of another part; the right part is taken."""
    parts = (_part(only_contains_ca_certs=True), _part(full_name=[_OTHER]))
    return _trusted_by(_part(full_name=[_POINT])) and not any(map(_trusted_by, parts))


def list_of_a_part(_folder: Path) -> bool:
    """A certificate that names no part has the list of one part."""
    return not _trusted_by(_part(full_name=[_POINT]), pointed=False)


def list_for_a_reason(_folder: Path) -> bool:
    """Its list of what was revoked for some reasons lies there."""
    reasons = frozenset({x509.ReasonFlags.key_compromise})
    parts = (_part(only_some_reasons=reasons), _part(indirect_crl=True))
    return not any(map(_trusted_by, parts))


def list_with_more(_folder: Path) -> bool:
    """A list says something critical that nothing here understands."""
    return not _trusted_by(x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\x05\x00"))


def issuer_for_servers(_folder: Path) -> bool:
    """An authority that signs certificates of servers signs one of an endorsement key."""
    tpm, root = SoftwareTpm("rsa-2048"), Authority()
    servers: list[x509.ExtensionType] = [x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH])]
    between = Authority(name="servers", parent=root, further=servers)
    try:
        endorsement.check(
            [between.certify(tpm.ek.public_key())],
            tpm.ek_public,
            roots=[root.trusted],
            intermediates=[between.trusted],
            now=NOW,
        )
    except RefusedError:
        return True
    return False


def issuer_for_servers_not_quite_der(_folder: Path) -> bool:
    """The same in certificates that OpenSSL verifies."""
    root = Authority()
    servers: list[x509.ExtensionType] = [x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH])]
    between = Authority(name="servers", parent=root, further=servers)
    try:
        Maker((slips.defaults,), SoftwareTpm("ecc-p256")).chained(root, between)
    except RefusedError:
        return True
    return False


def list_put_back_by_changes(folder: Path) -> bool:
    """A newer list of changes takes the place of the whole list that was used."""
    return _put_back(folder, listed(_MAKER, number=8, further=[x509.DeltaCRLIndicator(7)]))


def _put_back(folder: Path, *later: x509.CertificateRevocationList) -> bool:
    maker = _MAKER
    for lists in ((listed(maker, number=7),), later):
        found = Authorities(roots=(maker.trusted,), intermediates=(), revocations=lists)
        try:
            revocation_memory.require_current(found, folder / "lists.json", where="roots")
        except RootsFileError:
            return True
    return False


def list_put_back(folder: Path) -> bool:
    """An older list takes the place of one that was used."""
    return _put_back(folder, listed(_MAKER, number=6))


def list_gone(folder: Path) -> bool:
    """The list that was used is taken away."""
    return _put_back(folder)


def list_put_back_with_a_forged_one(folder: Path) -> bool:
    """The same, with a forged list of a high number next to it."""
    return _put_back(folder, listed(_MAKER, number=6), listed(Authority(), number=99))


REMOVED: tuple[tuple[Removed, Attack], ...] = (
    (
        Removed(function=appraisal_step.ima_files, check="at == beginning and ", by=""),
        measured_as_the_aggregate,
    ),
    (
        Removed(function=appraisal_step._sequences, check="happened not in ordered[index]", by="False"),
        case("events-reversed"),
    ),
    (
        Removed(
            function=appraisal_step._sequences, check="index not in ordered and not happened", by="False"
        ),
        case("events-none-in-pcr-8"),
    ),
    (
        Removed(
            function=endorsement._describe,
            check="_vendor(manufacturer) in _SOFTWARE_MANUFACTURERS",
            by="False",
        ),
        cloud_in_a_makers_name,
    ),
    (Removed(function=endorsement._named_tpm, check="if twice:", by="if False:"), cloud_and_maker),
    (
        Removed(
            function=appraisal_step.ima_aside,
            check="work.entries[beginning].path != BOOT_AGGREGATE",
            by="False",
        ),
        list_without_its_beginning,
    ),
    (
        Removed(function=endorsement.check, check="revocation.check(followed, revocations, now)", by="pass"),
        revoked,
    ),
    (
        Removed(
            function=revocation.check,
            check="own and not any(_valid(one, now) and _covers(one, certificate) for one in own)",
            by="False",
        ),
        expired_list,
    ),
    (
        Removed(function=revocation.is_by, check="one.is_signature_valid(issuer.key)", by="True"),
        forged_list,
    ),
    (Removed(function=revocation.is_whole, check="x509.DeltaCRLIndicator", by="str"), list_of_changes),
    (Removed(function=revocation.check, check=" and _covers(one, certificate)", by=""), list_of_others),
    (
        Removed(
            function=revocation._covers,
            check="certificate.extension(x509.CRLDistributionPoints) or ()",
            by="certificate.extension(x509.CRLDistributionPoints)\n    if not points: return True",
        ),
        list_of_a_part,
    ),
    (
        Removed(
            function=revocation.is_whole,
            check="value.only_some_reasons or value.indirect_crl or value.only_contains_attribute_certs",
            by="False",
        ),
        list_for_a_reason,
    ),
    (
        Removed(function=revocation.is_whole, check="elif extension.critical:", by="elif False:"),
        list_with_more,
    ),
    (
        Removed(function=revocation_memory._newest, check=" and is_whole(one)", by=""),
        list_put_back_by_changes,
    ),
    (
        Removed(function=chain._may_endorse, check="not PURPOSES & set(purposes)", by="False"),
        issuer_for_servers,
    ),
    (
        Removed(function=chain._check_authority, check="not PURPOSES & set(purposes)", by="False"),
        issuer_for_servers_not_quite_der,
    ),
    (
        Removed(function=revocation_memory.require_current, check="newest.is_older_than(known)", by="False"),
        list_put_back,
    ),
    (
        Removed(
            function=revocation_memory.require_current,
            check="(newest is None or newest.is_older_than(known))",
            by="newest is not None and newest.is_older_than(known)",
        ),
        list_gone,
    ),
    (
        Removed(function=revocation_memory._newest, check="is_by(one, authority)", by="True"),
        list_put_back_with_a_forged_one,
    ),
)


@pytest.mark.parametrize(("removed", "attack"), REMOVED, ids=lambda one: getattr(one, "id", ""))
def test_an_attack_notices_that_its_check_is_missing(
    removed: Removed, attack: Attack, tmp_path: Path
) -> None:
    require_needed(removed, attack, tmp_path)
